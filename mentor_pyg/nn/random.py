"""Random numbers for noise and dropout, where 16 random bits suffice.

PyTorch's CPU generator is sequential and often costs more than the use of its numbers. Here
each 64-bit draw serves four elements.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mentor_pyg.errors import InputError

STEPS = 2**16


def uniform(shape: Sequence[int], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    r"""Draws from :math:`\mathcal{U}(0, 1)` on a grid of 1 / 65,536, in half the time of
    :func:`torch.rand`.

    Args:
        shape: Shape of the result.
        like: Tensor with the device and dtype of the result, which is at least float32, since
            the grid is too fine for half precision.
        generator: Source of randomness; the global one if not given.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    if torch.compiler.is_compiling() and generator is None:
        # Compiled code has its own, fast generators.
        return torch.rand(shape, dtype=dtype, device=like.device)
    count = math.prod(shape)
    low, high = -(2**63), 2**63 - 1
    draws = torch.randint(low, high, (-(-count // 4),), generator=generator, device=like.device)
    return draws.view(torch.uint16)[:count].view(tuple(shape)).to(dtype).mul_(1 / STEPS)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """:func:`torch.nn.functional.dropout` in a quarter of its time, for tensors that need no
    gradient. p is rounded to 1 / 65,536.

    Raises:
        InputError: If p is not between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise InputError(f"dropout.p: is {p}; expected at least 0 and at most 1")
    if not training or p == 0:
        return x
    if p == 1:
        return torch.zeros_like(x)
    return x * (uniform(x.shape, x) >= p) / (1 - p)


def subset(x: Tensor, limit: int | None = None) -> Tensor:
    """Samples at most ``limit`` entries of ``x`` [N]; returns all if there is no limit."""
    if limit is None:
        return x
    # Compiled code cannot branch on their number, which may depend on the batch.
    if not torch.compiler.is_compiling() and x.numel() <= limit:
        return x
    return x[torch.randperm(x.numel(), device=x.device)[:limit]]
