"""User-item pairs that count as seen."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.choices import SPLITS
from mentor_pyg.errors import InputError, shown
from mentor_pyg.typing import INTERACTS


def pairs_of(data: HeteroData, splits: Sequence[str] | str) -> Tensor:
    """Pairs [2, E] of the given splits."""
    store = data[INTERACTS]
    pairs = {
        "train": store.edge_index,
        "val": store.get("val_edge_label_index"),
        "test": store.get("test_edge_label_index"),
    }
    if isinstance(splits, str):
        splits = [splits]
    if not isinstance(splits, Iterable):
        raise InputError(f"seen: is {shown(splits)}; expected some of {', '.join(SPLITS)}")
    splits = list(splits)
    for split in splits:
        if not isinstance(split, str) or pairs.get(split) is None:
            raise InputError(
                f"seen: there is no split {shown(split)}; expected {', '.join(SPLITS)}"
            )
    return torch.cat([store.edge_index[:, :0], *(pairs[split] for split in splits)], dim=1)
