"""Functions with hand-written gradients, which pass over memory less often than autograd's
composed ones. Memory traffic dominates their time on a CPU."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError

SMALLEST_NORM = 1e-12
"""Rows shorter than this get no gradient when they are normalised."""

CACHED_ENTRIES = 2**16
"""Entries (256 KiB in float32) that fit into the cache of one core."""


def at_least_float(x: Tensor) -> Tensor:
    """Promotes half precision to float32, since sums in half precision lose small terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def select(x: Tensor, rows: OptTensor) -> Tensor:
    """``x[rows]``, or ``x`` if no rows are given. The gradient of ``index_select`` takes a
    third of the time of indexing."""
    return x if rows is None else x.index_select(0, rows)


def normalize(x: Tensor) -> Tensor:
    """L2-normalises rows [N, F] of any scale, with a gradient in a third of the time of
    :func:`torch.nn.functional.normalize`.

    Rows of zeros stay zero. Rows shorter than :obj:`SMALLEST_NORM` get no gradient, since
    theirs (up to 1e12) would drown all others.
    """
    return _Normalize.apply(at_least_float(x))[0].to(x.dtype)


class _Normalize(torch.autograd.Function):
    """Also returns the inverse norms, which the gradient needs."""

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        inverse = _inverse_norm(x)
        return x * inverse, inverse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_inverse: Tensor) -> Tensor:
        unit, inverse = ctx.saved_tensors
        inverse = inverse.masked_fill(inverse > 1 / SMALLEST_NORM, 0.0)
        along = (grad * unit).sum(dim=1, keepdim=True) + grad_inverse * inverse
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse)


def _inverse_norm(x: Tensor) -> Tensor:
    scale = row_scale(x)
    norm = (x * scale).norm(dim=1, keepdim=True)
    inverse = scale / norm
    return inverse.masked_fill(inverse.isinf(), 0.0)


def row_scale(x: Tensor) -> Tensor:
    """Powers of two [N, 1] that scale the largest entry of each row [N, F] to about one.

    Squares of scaled rows neither overflow nor underflow, and scaling causes no rounding.
    """
    return power_of_two(torch.maximum(x.amax(dim=1, keepdim=True), -x.amin(dim=1, keepdim=True)))


def power_of_two(x: Tensor) -> Tensor:
    """Powers of two that scale each positive entry of x to about one."""
    limit = -int(math.log2(torch.finfo(x.dtype).tiny))
    exponent = x.detach().frexp().exponent.clamp(-limit, limit)
    return torch.ldexp(torch.ones_like(x), -exponent)


@torch.library.custom_op("mentor_pyg::mean_and_squares", mutates_args=())
def mean_and_squares(x: Tensor) -> tuple[Tensor, Tensor]:
    r"""The mean of all entries and the sum of squared deviations
    :math:`\sum_n (x_n - \bar{x})^2`, in at least float32.

    It stays accurate for means far from zero. On a CPU, where :func:`torch.var_mean` takes
    several times as long, parts that fit into its cache are merged (Chan et al., "Updating
    Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979).
    """
    flat = x.flatten()
    parts = flat.split(CACHED_ENTRIES if x.device.type == "cpu" else max(1, flat.numel()))
    dtype = torch.promote_types(x.dtype, torch.float32)
    buffer = flat.new_empty(parts[0].numel(), dtype=dtype)
    each = []
    for part in parts:
        mean = part.mean(dtype=dtype)
        difference = torch.sub(part.to(dtype), mean, out=buffer[: part.numel()])
        each.append((mean, torch.dot(difference, difference)))
    if len(parts) == 1:
        return each[0]
    means, squares = (torch.stack(values) for values in zip(*each))
    count = torch.tensor([part.numel() for part in parts], dtype=dtype)
    mean = torch.dot(count, means) / flat.numel()
    return mean, squares.sum() + torch.dot(count, (means - mean).square())


@mean_and_squares.register_fake
def _(x):  # type: ignore[no-untyped-def]
    dtype = torch.promote_types(x.dtype, torch.float32)
    return x.new_empty((), dtype=dtype), x.new_empty((), dtype=dtype)


def _save_mean(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(inputs[0], output[0])


def _squares_backward(ctx, grad_mean, grad_squares):  # type: ignore[no-untyped-def]
    x, mean = ctx.saved_tensors
    factor = 2 * grad_squares
    constant = grad_mean / x.numel() - factor * mean
    return at_least_float(x).mul(factor).add_(constant).to(x.dtype)


mean_and_squares.register_autograd(_squares_backward, setup_context=_save_mean)


def refine(x: Tensor, unit: Tensor) -> Tensor:
    r"""Scales each row of x [N, F] by its cosine with a unit row of ``unit`` [N, F].

    .. math::
        \mathbf{x}_n^{\prime} = \frac{\langle \mathbf{x}_n, \mathbf{u}_n \rangle}
        {\lVert \mathbf{x}_n \rVert} \, \mathbf{x}_n

    It takes a quarter of the time of the composed function, including gradients. Rows of
    zeros stay zero.

    Raises:
        InputError: If the shapes differ.
    """
    check_shapes("refine", x=(x, ("N", "F")), unit=(unit, ("N", "F")))
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


def zero_missing(x: Tensor, mask: OptTensor) -> Tensor:
    """Sets rows of x [N, F] to zero, even if they hold NaN, where ``mask`` bool [N] is False.
    Without a mask it returns x."""
    return x if mask is None else x.masked_fill(~mask.unsqueeze(1), 0)


def pad_rows(x: Tensor, num_rows: int) -> Tensor:
    """Pads x [n, F] with rows of zeros to [num_rows, F], for items added after training."""
    num_new = num_rows - x.size(0)
    if num_new < 0:
        raise InputError(f"pad_rows: x has {x.size(0)} rows; expected at most {num_rows}")
    return x if num_new == 0 else F.pad(x, (0, 0, 0, num_new))


def table_rows(x: Tensor, num_rows: int, index: OptTensor = None) -> Tensor:
    """Looks up the nodes of a graph in an embedding table x [n, F]; result [num_rows, F].

    Nodes added after training have no embedding and get zeros.

    Args:
        x: The table.
        num_rows: Number of nodes.
        index: Row of each node in the table [num_rows]; the first rows if not given.

    Raises:
        InputError: If there are fewer nodes than rows and no index.
    """
    if index is None:
        return pad_rows(x, num_rows)
    known = index < x.size(0)
    return x.index_select(0, index.clamp(max=x.size(0) - 1)) * known.unsqueeze(1)


def neighbor_products(x: Tensor, neighbor: Tensor) -> Tensor:
    r"""Inner products [N, k] of each row of x [N, F] with k neighbours.

    .. math::
        p_{nj} = \langle \mathbf{x}_n, \mathbf{x}_{b_{nj}} \rangle

    It takes a quarter of the time of the composed function, including gradients, and never
    materialises the neighbours' rows [N, k, F].

    Args:
        x: Rows [N, F].
        neighbor: Indices b of the neighbours [N, k].

    Raises:
        InputError: If the shapes do not fit.
    """
    check_shapes("neighbor_products", x=(x, ("N", "F")), neighbor=(neighbor, ("N", "k")))
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


def check_temperature(where: str, tau: float) -> None:
    """Raises an InputError if a temperature is not positive and finite; for compiled code, in
    which :func:`~mentor_pyg.options.checked` would break the graph."""
    if not 0 < tau < math.inf:
        raise InputError(f"{where}.tau: is {tau}; expected more than 0 and finite")
