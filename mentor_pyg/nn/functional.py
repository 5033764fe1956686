"""Functions whose gradients, written by hand, take fewer passes over memory than those
that autograd composes; on a CPU that is what their time goes to."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import OptTensor

SMALLEST_NORM = 1e-12


def at_least_float(x: Tensor) -> Tensor:
    """x in float32 if it is in half precision, in which sums lose what is small beside
    them; else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def select(x: Tensor, rows: OptTensor) -> Tensor:
    """``x[rows]``, or all of ``x`` if no rows are given.

    The gradient of an index_select takes a third of the time of that of an index.
    """
    return x if rows is None else x.index_select(0, rows)


def normalize(x: Tensor) -> Tensor:
    """:func:`torch.nn.functional.normalize` of rows [N, F] to length one, with a gradient
    in a third of the time. Rows of zeros stay zero and have no gradient: that of 1e12
    elsewhere drowns all others."""
    return _Normalize.apply(x)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * _inverse_norm(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        inverse = _inverse_norm(x)
        unit = x * inverse
        along = (grad * unit).sum(dim=1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse)


def _inverse_norm(x: Tensor) -> Tensor:
    """One over the norms of rows, zero for rows of zeros."""
    norm = x.norm(dim=1, keepdim=True)
    return norm.clamp(min=SMALLEST_NORM).reciprocal().masked_fill(norm < SMALLEST_NORM, 0.0)


def sum_and_square(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of all entries and of their squares, with a gradient in a quarter of the time."""
    return _SumAndSquare.apply(x)


class _SumAndSquare(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten()
        return flat.sum(), torch.dot(flat, flat)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad_sum: Tensor, grad_square: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x.mul(2 * grad_square).add_(grad_sum)


def refine(x: Tensor, unit: Tensor) -> Tensor:
    r"""Rows of x [N, F], each times its cosine to a row of length one of ``unit`` [N, F].

    .. math::
        \mathbf{x}_n^{\prime} = \frac{\langle \mathbf{x}_n, \mathbf{u}_n \rangle}
        {\lVert \mathbf{x}_n \rVert} \, \mathbf{x}_n

    It takes a quarter of the time of the composed one, gradients included. Rows of zeros
    stay zero.
    """
    return _Refine.apply(x, unit)


class _Refine(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, unit: Tensor) -> Tensor:
        return x * _cosine(x, unit, _inverse_norm(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, unit = ctx.saved_tensors
        inverse = _inverse_norm(x)
        cosine = _cosine(x, unit, inverse)
        along = (grad * x).sum(dim=1, keepdim=True) * inverse
        grad_x = (cosine * grad).addcmul_(along, unit)
        return grad_x.addcmul_(along * cosine * inverse, x, value=-1), along * x


def _cosine(x: Tensor, unit: Tensor, inverse_norm: Tensor) -> Tensor:
    return (x * unit).sum(dim=1, keepdim=True) * inverse_norm


def pad_rows(x: Tensor, num_rows: int) -> Tensor:
    """x [n, F] with rows of zeros after its own, [num_rows, F]; for items that came after
    training and have no free vector."""
    num_new = num_rows - x.size(0)
    return x if num_new == 0 else F.pad(x, (0, 0, 0, num_new))


def neighbor_products(x: Tensor, neighbor: Tensor) -> Tensor:
    r"""Inner products of every row of x [N, F] with k others of its own, [N, k].

    .. math::
        p_{nj} = \langle \mathbf{x}_n, \mathbf{x}_{b_{nj}} \rangle

    It takes a quarter of the time of the composed one, gradients included, and never holds
    all rows of the others [N, k, F].

    Args:
        x: Rows [N, F].
        neighbor: Which the others b are, [N, k].
    """
    return _NeighborProducts.apply(x, neighbor)


class _NeighborProducts(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, neighbor: Tensor) -> Tensor:
        columns = [(x * x.index_select(0, other)).sum(dim=1) for other in neighbor.unbind(1)]
        return torch.stack(columns, dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, neighbor = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = F.embedding_bag(neighbor, x, mode="sum", per_sample_weights=grad)
        for other, weight in zip(neighbor.unbind(1), grad.unbind(1)):
            grad_x.index_add_(0, other, weight.unsqueeze(1) * x)
        return grad_x, None
