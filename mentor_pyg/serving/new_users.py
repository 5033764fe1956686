"""Embedding of new users by their items."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mentor_pyg.errors import InputError, shown
from mentor_pyg.serving.ids import IdMap, Ids


def history_pairs(items: IdMap, histories: Mapping[Any, Ids]) -> Tensor:
    """Unique pairs [2, E] of user (numbered in order) and item."""
    if not isinstance(histories, Mapping):
        raise InputError(
            f"histories: are {shown(histories)}; expected items by the name of a user, "
            "e.g. {'ann': [3, 5]}"
        )
    rows = [items.rows(history).unique() for history in histories.values()]
    for name, row in zip(histories, rows):
        if row.numel() == 0:
            raise InputError(f"new user {shown(name)}: has no items; expected at least one")
    if not rows:
        return torch.empty(2, 0, dtype=torch.long)
    lengths = torch.tensor([row.numel() for row in rows])
    return torch.stack([torch.arange(len(rows)).repeat_interleave(lengths), torch.cat(rows)])


def fold_in(item_emb: Tensor, pairs: Tensor, num_users: int) -> Tensor:
    r"""Embeds users by the items they like, without further training.

    .. math::
        \mathbf{z}_u = \frac{1}{|\mathcal{N}_u|} \sum_{i \in \mathcal{N}_u} \mathbf{z}_i

    A trained user's embedding is its own vector plus messages from its items. This is the
    latter, with the items' final embeddings instead of those of each layer. Dividing by
    :math:`\sqrt{|\mathcal{N}_i|}` as well, as in LightGCN, would remove the popularity
    information of embeddings, and does not improve the ranking for held-out users
    (``benchmarks/cold_start.py``).

    Args:
        item_emb: Item embeddings [I, C].
        pairs: Users and their items [2, E].
        num_users: Number of users n, each with at least one item.

    Returns:
        Embeddings [n, C].
    """
    user, item = pairs
    total = item_emb.new_zeros(num_users, item_emb.size(1)).index_add_(0, user, item_emb[item])
    return total / user.bincount(minlength=num_users).unsqueeze(1)
