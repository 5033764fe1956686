r"""A frozen sparse matrix for message passing, built once and multiplied often.

PyTorch's backward pass of a CSR product transposes the matrix at each call, which costs ten
times the product, and :func:`torch.compile` does not accept sparse tensors.
:class:`Adjacency` therefore holds the index tensors of the matrix *and* of its transpose.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.utils import index_sort
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg._util.shapes import check_edge_index, check_shapes
from mentor_pyg.errors import InputError


class Adjacency(NamedTuple):
    r"""A weighted graph as CSR matrix with one row per *target* node, and its transpose.

    ``adj @ x`` sums over the incoming edges of the targets; ``adj.t() @ y`` goes the other
    way. As a named tuple of tensors, it moves with
    :meth:`HeteroData.to() <torch_geometric.data.HeteroData.to>` and can be passed to compiled
    functions. The ``*_t`` fields hold the transpose.

    Shapes:
        ``rowptr`` [num_targets + 1], ``col`` and ``weight`` [num_edges],
        ``rowptr_t`` [num_sources + 1], ``col_t`` and ``weight_t`` [num_edges]
    """

    rowptr: Tensor
    col: Tensor
    weight: Tensor
    rowptr_t: Tensor
    col_t: Tensor
    weight_t: Tensor

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        edge_weight: Tensor,
        size: tuple[int, int],
    ) -> "Adjacency":
        """Builds the matrix from source-to-target edges.

        Args:
            edge_index: [2, num_edges], with sources in row 0 and targets in row 1. Weights of
                duplicate edges are summed.
            edge_weight: [num_edges]. Integers and half precision are converted to float32,
                since the CPU has no sparse kernels for them.
            size: Number of source nodes and of target nodes.

        Raises:
            InputError: If the shapes do not fit, or nodes are out of range.
        """
        where = "Adjacency.from_edge_index"
        check_shapes(where, edge_index=(edge_index, (2, "E")), edge_weight=(edge_weight, ("E",)))
        src, dst = check_edge_index(where, edge_index, size)
        weight = edge_weight.to(_wide(edge_weight.dtype))
        forward = _to_csr(dst, src, weight, size[1], size[0])
        return cls(*forward, *_to_csr(src, dst, weight, size[0], size[1]))

    def t(self) -> "Adjacency":
        """The transpose, which shares all tensors."""
        return Adjacency(*self[3:], *self[:3])

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.matmul(x)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of targets and of sources."""
        return self.num_targets, self.num_sources

    @property
    def num_sources(self) -> int:
        return self.rowptr_t.numel() - 1

    @property
    def num_targets(self) -> int:
        return self.rowptr.numel() - 1

    def entries(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Positions in ``targets`` [n] and sources of all entries in these rows."""
        return csr_entries(self.rowptr, self.col, targets)

    def with_weight(self, weight: Tensor) -> "Adjacency":
        """The same edges with other weights [num_edges], in the order of ``col``."""
        check_shapes("Adjacency.with_weight", weight=(weight, (self.col.numel(),)))
        weight_t = in_transposed_order(self.col, self.col_t, weight)
        return self._replace(weight=weight, weight_t=weight_t)

    def matmul(self, x: Tensor) -> Tensor:
        """Weighted sum over incoming edges: [num_sources, F] to [num_targets, F].

        It uses the dtype of the weights even under autocast, since the CPU's sparse kernels do
        not support half precision. Gradients flow into ``x`` and, if required, the weights.

        Raises:
            InputError: If x does not have one row per source.
        """
        dtype = _wide(self.weight.dtype)
        weights = self.weight.to(dtype), self.weight_t.to(dtype)
        return spmm(
            *(self.rowptr, self.col, weights[0]),
            *(self.rowptr_t, self.col_t, weights[1]),
            x.to(dtype),
        )


def check_adjacency(where: str, adj: object) -> None:
    """Raises an InputError unless a graph is an :class:`Adjacency`."""
    if not isinstance(adj, Adjacency):
        raise InputError(f"{where}: the graph has type {type(adj)}; expected an Adjacency")


def csr_entries(rowptr: Tensor, col: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Positions in ``rows`` [n] and columns of all entries in these rows of a CSR matrix."""
    check_shapes("csr_entries", rows=(rows, ("n",)))
    start = rowptr[rows]
    count = rowptr[rows + 1] - start
    position = torch.arange(rows.numel(), device=rows.device).repeat_interleave(count)
    within = torch.arange(position.numel(), device=rows.device)
    within -= (count.cumsum(0) - count)[position]
    return position, col[start[position] + within]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _to_csr(
    row: Tensor, col: Tensor, weight: Tensor, num_rows: int, num_cols: int
) -> tuple[Tensor, Tensor, Tensor]:
    _, perm = index_sort(row * num_cols + col, max_value=num_rows * num_cols)
    return index2ptr(row[perm], num_rows), col[perm].contiguous(), weight[perm]


# These operators take plain tensors and create sparse tensors only internally, since
# torch.compile does not accept them. None gathers rows [E, F], which would dominate the time.
# They check shapes themselves, also in backward, since the kernels do not check bounds.


@torch.library.custom_op("mentor_pyg::spmm", mutates_args=())
def spmm(
    rowptr: Tensor,
    col: Tensor,
    weight: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    weight_t: Tensor,
    x: Tensor,
) -> Tensor:
    """Product of a sparse and a dense matrix. Its backward pass uses the transpose."""
    num_sources, num_edges = rowptr_t.numel() - 1, col.numel()
    check_shapes(
        "Adjacency.matmul",
        x=(x, (num_sources, "F")),
        weight=(weight, (num_edges,)),
        col_t=(col_t, (num_edges,)),
        weight_t=(weight_t, (num_edges,)),
    )
    size = rowptr.numel() - 1, num_sources
    matrix = torch.sparse_csr_tensor(rowptr, col, weight, size, check_invariants=False)
    # `matrix @ x` would first fill and copy the result, which takes longer than the product.
    out = x.new_empty(size[0], x.size(1))
    with torch.autocast(x.device.type, enabled=False):
        return torch.addmm(out, matrix, x, beta=0, out=out)


@torch.library.custom_op("mentor_pyg::edge_dot", mutates_args=())
def edge_dot(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, col_t: Tensor, query: Tensor, key: Tensor
) -> Tensor:
    """Inner products of the target's and the source's row for each edge [E]."""
    size = rowptr.numel() - 1, rowptr_t.numel() - 1
    check_shapes("edge_dot", query=(query, (size[0], "F")), key=(key, (size[1], "F")))
    zeros = query.new_zeros(col.numel())
    graph = torch.sparse_csr_tensor(rowptr, col, zeros, size, check_invariants=False)
    with torch.autocast(query.device.type, enabled=False):
        return torch.sparse.sampled_addmm(graph, query, key.t()).values()


_orders = WeakTensorKeyDictionary()


@torch.library.custom_op("mentor_pyg::in_transposed_order", mutates_args=())
def in_transposed_order(col: Tensor, col_t: Tensor, weight: Tensor) -> Tensor:
    """Reorders weights [E] of a CSR matrix to the order of its transpose.

    The order is cached for ``col``, since sorting takes longer than all products of a step.
    """
    if col not in _orders:
        _orders[col] = col.argsort(stable=True)
    return weight[_orders[col]]


@spmm.register_fake
def _(rowptr, col, weight, rowptr_t, col_t, weight_t, x):  # type: ignore[no-untyped-def]
    return x.new_empty(rowptr.numel() - 1, x.size(1))


@edge_dot.register_fake
def _(rowptr, col, rowptr_t, col_t, query, key):  # type: ignore[no-untyped-def]
    return query.new_empty(col.numel())


@in_transposed_order.register_fake
def _(col, col_t, weight):  # type: ignore[no-untyped-def]
    return torch.empty_like(weight)


def _save_for_spmm(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *graph, x = inputs
    ctx.save_for_backward(*graph, x if ctx.needs_input_grad[2] else None)


def _spmm_backward(ctx, grad):  # type: ignore[no-untyped-def]
    *graph, x = ctx.saved_tensors
    rowptr, col, _, rowptr_t, col_t, _ = graph
    grad, grad_weight, grad_x = grad.contiguous(), None, None
    if x is not None:
        grad_weight = edge_dot(rowptr, col, rowptr_t, col_t, grad, x)
    if ctx.needs_input_grad[6]:
        grad_x = spmm(*graph[3:], *graph[:3], grad)
    return None, None, grad_weight, None, None, None, grad_x


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _dot_backward(ctx, grad):  # type: ignore[no-untyped-def]
    rowptr, col, rowptr_t, col_t, query, key = ctx.saved_tensors
    forward = rowptr, col, grad
    transpose = rowptr_t, col_t, in_transposed_order(col, col_t, grad)
    return *(4 * [None]), spmm(*forward, *transpose, key), spmm(*transpose, *forward, query)


def _save_columns(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs[:2])


def _order_backward(ctx, grad):  # type: ignore[no-untyped-def]
    col, col_t = ctx.saved_tensors
    return None, None, in_transposed_order(col_t, col, grad)


spmm.register_autograd(_spmm_backward, setup_context=_save_for_spmm)
edge_dot.register_autograd(_dot_backward, setup_context=_save_inputs)
in_transposed_order.register_autograd(_order_backward, setup_context=_save_columns)


torch.serialization.add_safe_globals([Adjacency])  # it holds only tensors
