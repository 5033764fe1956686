"""Items of new users."""

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
