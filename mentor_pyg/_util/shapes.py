"""Checks of tensors where they enter.

Shapes and dtypes are known without waiting for a device, so that these checks can stand in
a training step. Those of values belong where a graph is built.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from mentor_pyg.errors import InputError


def check_shapes(where: str, /, **tensors: tuple[Tensor, Sequence[int | str]]) -> None:
    """Refuses tensors of other shapes than expected.

    Args:
        where: What the tensors were given to.
        **tensors: By name, a tensor and its shape. A letter stands for any size, which
            has to be the same wherever the letter comes again.

    Raises:
        InputError: If a shape differs.
    """
    sizes: dict[int | str, int] = {}
    for name, (tensor, letters) in tensors.items():
        found, known = tensor.shape, dict(sizes)
        for letter, size in zip(letters, found):
            sizes.setdefault(letter, letter if isinstance(letter, int) else size)
        if len(found) != len(letters) or any(sizes[a] != b for a, b in zip(letters, found)):
            shape = ", ".join(str(known.get(letter, letter)) for letter in letters)
            raise InputError(f"{where}: '{name}' has shape {list(found)}; expected [{shape}]")


def check_mask(where: str, size: int, /, **masks: Tensor | None) -> None:
    """Refuses masks, by name, of another size or dtype than bool.

    Raises:
        InputError: If one is.
    """
    for name, mask in masks.items():
        if mask is None:
            continue
        check_shapes(where, **{name: (mask, (size,))})
        if mask.dtype != torch.bool:
            raise InputError(f"{where}: '{name}' has dtype {mask.dtype}; expected bool")


def check_edge_index(where: str, edge_index: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Edges [2, E] as a plain tensor of int64, whatever integers and class they are given in.

    Args:
        where: What it was given to.
        edge_index: The edges.
        size: If given, how many nodes there are that edges can start and end at. To look
            at all edges waits for the device.

    Raises:
        InputError: If it has another shape, no integers, or nodes that don't exist.
    """
    check_shapes(where, edge_index=(edge_index, (2, "E")))
    if edge_index.is_floating_point() or edge_index.is_complex():
        raise InputError(f"{where}: 'edge_index' has dtype {edge_index.dtype}; expected int64")
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    edge_index = edge_index.long()
    if size is None or edge_index.numel() == 0:
        return edge_index
    for row, (low, high), count in zip((0, 1), zip(*_extremes(edge_index)), size):
        if low < 0 or high >= count:
            raise InputError(
                f"{where}: row {row} of 'edge_index' has entries from {low} to {high}; "
                f"expected from 0 to {count - 1}"
            )
    return edge_index


def _extremes(edge_index: Tensor) -> tuple[list[int], list[int]]:
    """The least and the greatest entry of each row."""
    low, high = edge_index.aminmax(dim=1)
    return low.tolist(), high.tolist()
