"""Top-k ranking by inner products, without seen items and with a defined order of ties."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import InputError, NotFinite
from mentor_pyg.sparse.adjacency import csr_entries
from mentor_pyg.sparse.products import top_k_products


class SeenItems:
    """Items each user has interacted with, for masking.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
    """

    def __init__(self, edge_index: Tensor, num_users: int) -> None:
        order = edge_index[0].argsort()
        self.item = edge_index[1][order]
        self.rowptr = index2ptr(edge_index[0][order], num_users)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Positions in ``users`` and items, one entry per seen item."""
        return csr_entries(self.rowptr, self.item, users)


class Ranking(NamedTuple):
    """Ranked lists [n, k], best first. Entries that are not ``valid`` are padding at the end."""

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

    Scores are computed in blocks of users to bound memory. Ties are broken by a fixed random
    order, the same for all users, runs and devices, so that an item's position in the data is
    no advantage.

    Args:
        user_emb: User embeddings [U, C], dense or sparse.
        item_emb: Item embeddings [I, C], dense or, if those of users are, sparse.
        users: Rows of ``user_emb`` [n].
        k: Length of the lists; they are shorter where fewer items are left.
        seen: Items to exclude per user.
        candidates: Rows of ``item_emb`` to rank, without duplicates; all if not given.
        progress: Whether to show a progress bar.

    Raises:
        InputError: If embeddings or scores are not finite (e.g. after diverged training), or a
            user is out of range.
    """
    check_embeddings(user_emb, item_emb)
    outside = users[(users < 0) | (users >= user_emb.size(0))]
    if outside.numel():
        raise InputError(
            f"users: row {int(outside[0])} does not exist; expected 0 to {user_emb.size(0) - 1}"
        )
    num_items = item_emb.size(0)
    order = torch.randperm(num_items, generator=torch.Generator().manual_seed(0))
    order = order.to(item_emb.device)
    if candidates is None:
        candidates = torch.arange(num_items, device=item_emb.device)
    else:
        item_emb = item_emb.index_select(0, candidates)
    k = min(k, candidates.numel())
    if k == 0 or users.numel() == 0:
        empty = torch.empty(users.numel(), k, dtype=item_emb.dtype, device=item_emb.device)
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

        order = position[order]
        scores, columns = top_k_products(
            user_emb.index_select(0, users), item_emb, k, mask, order[order >= 0]
        )
    return Ranking(candidates[columns], scores, scores > forbidden)


def check_embeddings(user_emb: Tensor, item_emb: Tensor) -> None:
    """Raises an InputError unless embeddings are finite matrices of equal width and dtype."""
    for what, emb in (("user", user_emb), ("item", item_emb)):
        if emb.dim() != 2 or not emb.is_floating_point():
            raise InputError(
                f"{what} embeddings: have shape {list(emb.shape)} and dtype {emb.dtype}; "
                "expected a matrix of floats, one row for each"
            )
        rows = emb.coalesce().values().unsqueeze(1) if emb.is_sparse else emb
        broken = int((~rows.isfinite()).any(dim=1).sum())
        if broken:
            raise NotFinite(
                f"{what} embeddings: {broken} of {emb.size(0)} rows hold NaN or infinite "
                "numbers; expected finite ones (did the training diverge? a lower learning rate "
                "may help)"
            )
    kinds = [f"{emb.size(1)} columns of {emb.dtype}" for emb in (user_emb, item_emb)]
    if kinds[0] != kinds[1]:
        raise InputError(f"embeddings: users have {kinds[0]}, items {kinds[1]}; expected the same")
