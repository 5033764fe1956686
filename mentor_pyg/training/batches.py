"""Batches that samplers yield, grouped by optimiser step."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.typing import Batch

BatchLike: TypeAlias = Batch | tuple[HeteroData, Batch] | HeteroData
"""A batch for the whole graph; a graph, e.g. a sampled subgraph, with a batch of its rows; or a
subgraph from a ``LinkNeighborLoader`` with triplets."""


@runtime_checkable
class Stateful(Protocol):
    """An object whose state can be saved and restored."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> object: ...


def check_sampler(sampler: Iterable[BatchLike], epochs: int) -> None:
    """Raises an InputError unless a sampler can be iterated in each epoch."""
    if not isinstance(sampler, Iterable):
        raise InputError(f"sampler: is a {type(sampler).__name__}; expected an iterable of batches")
    if isinstance(sampler, Iterator) and epochs > 1:
        raise InputError(
            f"sampler: a {type(sampler).__name__} ends after one epoch of {epochs}; expected an "
            "iterable that can be iterated again, such as a list, or an object with __iter__"
        )


def num_batches(sampler: Iterable[BatchLike]) -> int | None:
    """Number of batches per epoch; None if unknown."""
    return len(sampler) if isinstance(sampler, Sized) else None


def groups(
    sampler: Iterable[BatchLike],
    size: int,
    done: int,
    data: HeteroData,
    device: torch.device,
) -> Iterator[list[tuple[HeteroData, Batch]]]:
    """Yields the rest of an epoch as groups of batches, each with its graph, on a device.

    No more than the sampler's length is requested, so that its state stays that of a running
    epoch until the last group has been used.

    Args:
        sampler: Source of batches.
        size: Number of batches per group; the last group may be smaller.
        done: Number of batches already used.
        data: Graph for batches without one.
        device: Device of the model.
    """
    total, iterator = num_batches(sampler), iter(sampler)
    while total is None or done < total:
        count = size if total is None else min(size, total - done)
        group = [_with_graph(item, data, device) for item in islice(iterator, count)]
        if not group:
            break
        done += len(group)
        yield group
    next(iterator, None)  # lets the sampler finish its epoch


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
