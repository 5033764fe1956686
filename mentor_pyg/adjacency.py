r"""A frozen sparse matrix for message passing, made once and multiplied often.

PyTorch multiplies a CSR matrix quickly, but its backward pass converts the matrix to
its transpose at every call, which costs ten times the product itself, and
:func:`torch.compile` accepts no sparse tensor. :class:`Adjacency` therefore carries the
plain index tensors of the matrix *and* of its transpose.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import index_sort
from torch_geometric.utils.sparse import index2ptr


class Adjacency(NamedTuple):
    r"""A weighted graph as CSR matrix with one row per *target* node.

    Being a named tuple of tensors, it moves along with
    :meth:`HeteroData.to() <torch_geometric.data.HeteroData.to>` and can be passed to a
    compiled function. The three ``*_t`` fields hold the transposed matrix; for a
    symmetric matrix they are the same tensors.

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
        symmetric: bool = False,
    ) -> "Adjacency":
        """Builds the matrix from source-to-target edges.

        Args:
            edge_index: [2, num_edges], row 0 the sources, row 1 the targets.
            edge_weight: [num_edges].
            size: Number of source and of target nodes.
            symmetric: Whether the matrix equals its transpose, which then isn't stored
                a second time. The caller vouches for it.
        """
        src, dst = edge_index[0], edge_index[1]
        forward = _to_csr(dst, src, edge_weight, size[1], size[0])
        if symmetric:
            return cls(*forward, *forward)
        return cls(*forward, *_to_csr(src, dst, edge_weight, size[0], size[1]))

    @property
    def num_sources(self) -> int:
        return self.rowptr_t.numel() - 1

    @property
    def num_targets(self) -> int:
        return self.rowptr.numel() - 1

    def entries(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Where rows have entries: positions in ``targets`` [n], and sources."""
        return csr_entries(self.rowptr, self.col, targets)

    def matmul(self, x: Tensor) -> Tensor:
        """Weighted sum over the incoming edges: [num_sources, F] to [num_targets, F].

        Always computed in the dtype of the weights, also under autocast, since the
        sparse kernels of the CPU know no half precision.
        """
        return spmm(*self, x.to(self.weight.dtype))


def csr_entries(rowptr: Tensor, col: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where rows of a CSR matrix have entries: positions in ``rows`` [n], and columns."""
    start = rowptr[rows]
    count = rowptr[rows + 1] - start
    position = torch.arange(rows.numel(), device=rows.device).repeat_interleave(count)
    within = torch.arange(position.numel(), device=rows.device)
    within -= (count.cumsum(0) - count)[position]
    return position, col[start[position] + within]


def _to_csr(
    row: Tensor, col: Tensor, weight: Tensor, num_rows: int, num_cols: int
) -> tuple[Tensor, Tensor, Tensor]:
    _, perm = index_sort(row * num_cols + col, max_value=num_rows * num_cols)
    return index2ptr(row[perm], num_rows), col[perm].contiguous(), weight[perm]


def csr_matmul(rowptr: Tensor, col: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Sparse times dense, without gradients."""
    size = (rowptr.numel() - 1, x.size(0))
    matrix = torch.sparse_csr_tensor(rowptr, col, weight, size, check_invariants=False)
    # `matrix @ x` clears and copies the result, which takes longer than the product:
    out = x.new_empty(size[0], x.size(1))
    with torch.autocast(x.device.type, enabled=False):
        return torch.addmm(out, matrix, x, beta=0, out=out)


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
    """Sparse times dense; its gradient with respect to ``x`` uses the transpose."""
    return csr_matmul(rowptr, col, weight, x)


@spmm.register_fake
def _(rowptr, col, weight, rowptr_t, col_t, weight_t, x):  # type: ignore[no-untyped-def]
    return x.new_empty(rowptr.numel() - 1, x.size(1))


def _save_transpose(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs[:6])


def _multiply_transpose(ctx, grad):  # type: ignore[no-untyped-def]
    forward, transpose = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
    return *(6 * [None]), spmm(*transpose, *forward, grad.contiguous())


spmm.register_autograd(_multiply_transpose, setup_context=_save_transpose)


torch.serialization.add_safe_globals([Adjacency])  # it holds nothing but tensors
