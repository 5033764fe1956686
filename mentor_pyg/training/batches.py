"""What samplers give to the loop, one step of the optimisers at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.typing import Batch

BatchLike: TypeAlias = Batch | tuple[HeteroData, Batch] | HeteroData
"""A batch of the whole graph; a graph of its own, such as a sampled sub-graph, and a batch of
that graph's rows; or what a ``LinkNeighborLoader`` samples with triplets."""


@runtime_checkable
class Stateful(Protocol):
    """What can be resumed where it was."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> object: ...


def check_sampler(sampler: Iterable[BatchLike], epochs: int) -> None:
    """Makes sure that a sampler lasts for all epochs.

    Raises:
        InputError: If it can't be iterated over, or only once.
    """
    if not isinstance(sampler, Iterable):
        raise InputError(f"sampler: is a {type(sampler).__name__}; expected an iterable of batches")
    if isinstance(sampler, Iterator) and epochs > 1:
        raise InputError(
            f"sampler: a {type(sampler).__name__} ends after one epoch of {epochs}; expected an "
            "iterable that begins anew, such as a list, or an object with __iter__"
        )


def num_batches(sampler: Iterable[BatchLike]) -> int | None:
    """Batches in an epoch; None if that isn't known."""
    return len(sampler) if isinstance(sampler, Sized) else None


def groups(
    sampler: Iterable[BatchLike],
    size: int,
    done: int,
    data: HeteroData,
    device: torch.device,
) -> Iterator[list[tuple[HeteroData, Batch]]]:
    """The rest of an epoch in groups of batches, each with its graph, on a device.

    A sampler is never asked for more than its length, so that its state is that of an epoch
    under way until the last group has been used.

    Args:
        sampler: Of the batches.
        size: Batches in a group; the last one may have fewer.
        done: Batches that have been used.
        data: The graph of batches without one.
        device: Where the model is.
    """
    total, iterator = num_batches(sampler), iter(sampler)
    while total is None or done < total:
        count = size if total is None else min(size, total - done)
        group = [_with_graph(item, data, device) for item in islice(iterator, count)]
        if not group:
            break
        done += len(group)
        yield group
    next(iterator, None)  # lets it end its epoch


def _with_graph(
    item: BatchLike, data: HeteroData, device: torch.device
) -> tuple[HeteroData, Batch]:
    if isinstance(item, Batch):
        batch = item
    elif _is_pair(item):
        data, batch = item[0].to(device), item[1]
    elif isinstance(item, HeteroData):
        data, batch = item.to(device), Batch.of_loader(item)
    else:
        raise InputError(
            f"sampler: gave a {type(item).__name__}; "
            "expected a Batch, or a pair of HeteroData and a Batch"
        )
    return data, Batch(*(ids.to(device) for ids in batch))


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], HeteroData)
        and isinstance(item[1], Batch)
    )
