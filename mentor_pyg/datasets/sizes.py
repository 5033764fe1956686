from dataclasses import asdict, dataclass
from typing import Any

from torch_geometric.data import HeteroData

from mentor_pyg.typing import INTERACTS, ITEM, USER, modalities


@dataclass(frozen=True)
class DatasetStatistics:
    """Sizes of a dataset; ``str()`` returns a table.

    Attributes:
        users: Number of users U.
        items: Number of items I.
        pairs: Number of pairs by split.
        sparsity: Share of user-item pairs without interaction, over all splits.
        cold_users: Number of users without training pairs, who are not evaluated.
        dropped_pairs: Number of their held-out pairs by split.
        cold_items: Number of items without training pairs, ranked by their content.
        coverage: Share of items that have content by modality.
        widths: Width D_m of the features by modality.
    """

    users: int
    items: int
    pairs: dict[str, int]
    sparsity: float
    cold_users: int
    dropped_pairs: dict[str, int]
    cold_items: int
    coverage: dict[str, float]
    widths: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        pairs = ", ".join(f"{name} {n:,}" for name, n in self.pairs.items())
        dropped = ", ".join(f"{name} {n:,}" for name, n in self.dropped_pairs.items())
        lines = [
            f"users       {self.users:,} ({self.cold_users:,} without training pairs, "
            f"their pairs dropped: {dropped})",
            f"items       {self.items:,} ({self.cold_items:,} without training pairs)",
            f"pairs       {pairs}; sparsity {self.sparsity:.2%}",
        ]
        lines += [
            f"{name:<11} {self.widths[name]}-d features of {self.coverage[name]:.1%} of the items"
            for name in self.coverage
        ]
        return "\n".join(lines)


def statistics(data: HeteroData) -> DatasetStatistics:
    """Computes the statistics of ``data``."""
    num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
    store = data[INTERACTS]
    seen_user = store.edge_index[0].bincount(minlength=num_users) > 0
    seen_item = store.edge_index[1].bincount(minlength=num_items) > 0
    held_out = {"val": store.val_edge_label_index, "test": store.test_edge_label_index}
    pairs = {"train": store.edge_index.size(1)} | {k: v.size(1) for k, v in held_out.items()}

    masks = {m: data[ITEM].get(f"mask_{m}") for m in modalities(data)}
    return DatasetStatistics(
        users=num_users,
        items=num_items,
        pairs=pairs,
        sparsity=1 - sum(pairs.values()) / (num_users * num_items),
        cold_users=int((~seen_user).sum()),
        dropped_pairs={k: int((~seen_user[v[0]]).sum()) for k, v in held_out.items()},
        cold_items=int((~seen_item).sum()),
        coverage={m: 1.0 if x is None else float(x.float().mean()) for m, x in masks.items()},
        widths={m: data[ITEM][f"x_{m}"].size(1) for m in masks},
    )
