"""The best items for rows of embeddings, with items that may not appear."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.blocks import top_k_products
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation import SeenItems
from mentor_pyg.progress import progress_bar
from mentor_pyg.typing import INTERACTS, SPLITS


class Ranking(NamedTuple):
    """Lists of items, best first, [n, k] each; only entries that are ``valid`` count, and
    none comes after one that isn't."""

    items: Tensor
    scores: Tensor
    valid: Tensor


@torch.no_grad()
def rank(
    user_emb: Tensor,
    item_emb: Tensor,
    users: Tensor,
    k: int,
    seen: SeenItems | None = None,
    candidates: Tensor | None = None,
    progress: bool = False,
) -> Ranking:
    """The k candidates of highest inner product for each of ``users``.

    As :func:`mentor_pyg.top_k`, but lists are cut short before anything forbidden.

    Args:
        user_emb: [U, C].
        item_emb: [I, C].
        users: Rows of ``user_emb`` [n].
        k: Length of the lists, which are shorter where fewer items are left.
        seen: Items to leave out of a user's list.
        candidates: Rows of ``item_emb`` to choose from, each once; all if not given.
        progress: Whether to show a progress bar.
    """
    num_items = item_emb.size(0)
    if candidates is None:
        candidates = torch.arange(num_items, device=item_emb.device)
    k = min(k, candidates.numel())
    if k == 0 or users.numel() == 0:
        empty = item_emb.new_empty(users.numel(), k)
        return Ranking(empty.long(), empty, empty.bool())
    position = candidates.new_full((num_items,), -1)
    position[candidates] = torch.arange(candidates.numel(), device=candidates.device)
    forbidden = torch.finfo(item_emb.dtype).min

    with progress_bar(None, "ranking", progress, total=users.numel(), unit=" users") as bar:

        def mask(scores: Tensor, rows: slice) -> None:
            if seen is not None:
                row, item = seen.of(users[rows])
                column = position[item]
                scores[row[column >= 0], column[column >= 0]] = forbidden
            bar.update(rows.stop - rows.start)

        scores, columns = top_k_products(user_emb[users], item_emb[candidates], k, mask)
    return Ranking(candidates[columns], scores, scores > forbidden)


def pairs_of(data: HeteroData, splits: Sequence[str]) -> Tensor:
    """The pairs [2, E] of some splits.

    Raises:
        InputError: If there is no such split.
    """
    store = data[INTERACTS]
    pairs = {
        "train": store.edge_index,
        "val": store.get("val_edge_label_index"),
        "test": store.get("test_edge_label_index"),
    }
    for split in splits:
        if pairs.get(split) is None:
            raise InputError(f"seen: there is no split '{split}'; expected {', '.join(SPLITS)}")
    return torch.cat([store.edge_index[:, :0], *(pairs[split] for split in splits)], dim=1)
