"""Groups of held-out pairs: by user activity, by item popularity, and cold items."""

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
    """A subset of an evaluator's held-out pairs.

    Attributes:
        label: Name in tables.
        pairs: Mask over the evaluator's ``label_index``.
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
    """Splits held-out pairs into groups; empty groups are omitted.

    ==============  ===================================================================
    ``user``        by the user's number of training pairs
    ``popularity``  by the item's number of training pairs, without cold items; the
                    bounds are quantiles over items
    ``cold``        pairs whose item has no training pair
    ==============  ===================================================================

    Lists still rank all items. A group's users are those with pairs in it, and only these
    pairs count as relevant.

    Args:
        grouping: Name of the grouping.
        data: The graph.
        evaluator: Evaluator of this graph.
        user_bounds: Maximum number of training pairs for each user group but the last.
        num_quantiles: Number of groups of items.

    Raises:
        InputError: If the grouping is unknown, or a bound is out of range.
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
    """Groups with counts up to each bound and above the last; counts of 0 are excluded."""
    number = torch.bucketize(count, torch.tensor(bounds, device=count.device))
    first = [1, *(bound + 1 for bound in bounds)]
    labels = [f"{a} to {b}" if a < b else f"{a}" for a, b in zip(first, bounds)]
    labels.append(f"{first[-1]} or more")
    groups = (Group(label, (number == i) & (count > 0)) for i, label in enumerate(labels))
    return [group for group in groups if group.pairs.any()]


def _quantiles(count: Tensor, parts: int) -> list[int]:
    """Bounds that divide counts into parts that are as equal as ties allow."""
    ordered = count.sort().values
    last = [-(-part * ordered.numel() // parts) - 1 for part in range(1, parts)]
    return ordered[last].unique().tolist()
