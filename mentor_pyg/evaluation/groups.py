"""Parts of the held-out pairs: by user activity, by item popularity, cold items."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.choices import GROUPINGS, MMSSL_BOUNDS
from mentor_pyg.errors import InputError, shown
from mentor_pyg.evaluation.metrics import Evaluator
from mentor_pyg.options import checked
from mentor_pyg.typing import INTERACTS, ITEM, USER


class Group(NamedTuple):
    """Some of an evaluator's held-out pairs.

    Attributes:
        label: For tables.
        pairs: Which of its ``label_index`` they are, bool.
    """

    label: str
    pairs: Tensor


@checked
def held_out_groups(
    grouping: str,
    data: HeteroData,
    evaluator: Evaluator,
    user_bounds: Sequence[int] = MMSSL_BOUNDS,
    num_quantiles: int = 4,
) -> list[Group]:
    """Groups of held-out pairs; empty ones are left out.

    ==============  ===================================================================
    ``user``        all pairs of the users with so many training pairs
    ``popularity``  pairs whose item has so many training pairs, at least one; the
                    groups divide the items at the quantiles of that number
    ``cold``        pairs whose item has no training pair
    ==============  ===================================================================

    The lists remain those of all items. A group's users are those of its pairs, and
    only its pairs count as relevant there.

    Args:
        grouping: One of them.
        data: The graph.
        evaluator: An evaluator of it.
        user_bounds: Training pairs of a user at most, for every group but the last.
        num_quantiles: Groups of items.

    Raises:
        InputError: If the grouping is unknown or a bound out of range.
    """
    train = data[INTERACTS].edge_index
    row, item = evaluator.label_index
    if grouping == "user":
        if any(b <= a for a, b in zip((0, *user_bounds), user_bounds)):
            raise InputError(f"bounds of user groups {list(user_bounds)}; expected rising from 1")
        count = train[0].bincount(minlength=data[USER].num_nodes)
        return _by_count(count[evaluator.users][row], user_bounds)
    count = train[1].bincount(minlength=data[ITEM].num_nodes)
    if grouping == "popularity":
        if num_quantiles < 2:
            raise InputError(f"{num_quantiles} groups of items; expected 2 or more")
        return _by_count(count[item], _quantiles(count[count > 0], num_quantiles))
    if grouping == "cold":
        cold = count[item] == 0
        return [Group("no training pairs", cold)] if cold.any() else []
    raise InputError(f"groups {shown(grouping)} are unknown; expected {', '.join(GROUPINGS)}")


def _by_count(count: Tensor, bounds: Sequence[int]) -> list[Group]:
    """Groups of entries whose count is up to each bound, and above the last; none of 0."""
    number = torch.bucketize(count, torch.tensor(bounds, device=count.device))
    first = [1, *(bound + 1 for bound in bounds)]
    labels = [f"{a} to {b}" if a < b else f"{a}" for a, b in zip(first, bounds)]
    labels.append(f"{first[-1]} or more")
    groups = (Group(label, (number == i) & (count > 0)) for i, label in enumerate(labels))
    return [group for group in groups if group.pairs.any()]


def _quantiles(count: Tensor, parts: int) -> list[int]:
    """Bounds that divide counts into so many parts as equal as ties let them be."""
    ordered = count.sort().values
    last = [-(-part * ordered.numel() // parts) - 1 for part in range(1, parts)]
    return ordered[last].unique().tolist()
