"""Graphs whose weights are learned: softmax over a node's neighbours, and sums under it."""

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.utils import softmax

from mentor_pyg.adjacency import Adjacency, csr_matmul


def edge_softmax(query: Tensor, key: Tensor, adj: Adjacency) -> Tensor:
    r"""How a node shares its attention out among its neighbours [E], with gradients.

    .. math::
        \alpha_{nj} = \frac{\exp \langle \mathbf{q}_n, \mathbf{k}_j \rangle}
        {\sum_{j^{\prime} \in \mathcal{N}_n} \exp \langle \mathbf{q}_n,
        \mathbf{k}_{j^{\prime}} \rangle}

    Args:
        query: Rows of the targets [num_targets, F].
        key: Rows of the sources [num_sources, F].
        adj: The graph, whose own weights have no say; the result is in the order of its
            ``col``.
    """
    count = adj.rowptr.diff()
    index = torch.arange(adj.num_targets, device=adj.col.device)
    target = index.repeat_interleave(count, output_size=adj.col.numel())
    score = edge_dot(*_structure(adj), query.to(adj.weight.dtype), key.to(adj.weight.dtype))
    return softmax(score, target, num_nodes=adj.num_targets)


def weighted_sum(x: Tensor, adj: Adjacency, weight: Tensor) -> Tensor:
    r"""What nodes hear under learned weights, :math:`\sum_j w_{nj} \mathbf{x}_j`, in memory
    linear in nodes; gradients reach both.

    Args:
        x: Rows of the sources [num_sources, F].
        adj: The graph, whose own weights have no say.
        weight: Weights [E] in the order of its ``col``.
    """
    return edge_sum(*_structure(adj), weight.to(adj.weight.dtype), x.to(adj.weight.dtype))


def _structure(adj: Adjacency) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return adj.rowptr, adj.col, adj.rowptr_t, adj.col_t


# The products of rows at either end of an edge, and sums weighed by edges, are the gradients
# of each other. Neither gathers rows [E, F], which would take most of the time.


@torch.library.custom_op("mentor_pyg::edge_dot", mutates_args=())
def edge_dot(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, col_t: Tensor, query: Tensor, key: Tensor
) -> Tensor:
    """The product of its target's and its source's row for every edge [E]."""
    size = (query.size(0), key.size(0))
    zeros = query.new_zeros(col.numel())
    graph = torch.sparse_csr_tensor(rowptr, col, zeros, size, check_invariants=False)
    with torch.autocast(query.device.type, enabled=False):
        return torch.sparse.sampled_addmm(graph, query, key.t()).values()


@torch.library.custom_op("mentor_pyg::edge_sum", mutates_args=())
def edge_sum(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, col_t: Tensor, weight: Tensor, x: Tensor
) -> Tensor:
    """Rows of the sources, weighed by edges and summed at their targets."""
    return csr_matmul(rowptr, col, weight, x)


@torch.library.custom_op("mentor_pyg::edge_sum_t", mutates_args=())
def edge_sum_t(col: Tensor, rowptr_t: Tensor, col_t: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """The same back along the edges: rows of the targets, summed at the sources."""
    return csr_matmul(rowptr_t, col_t, in_transposed_order(col, weight), x)


@edge_dot.register_fake
def _(rowptr, col, rowptr_t, col_t, query, key):  # type: ignore[no-untyped-def]
    return query.new_empty(col.numel())


@edge_sum.register_fake
def _(rowptr, col, rowptr_t, col_t, weight, x):  # type: ignore[no-untyped-def]
    return x.new_empty(rowptr.numel() - 1, x.size(1))


@edge_sum_t.register_fake
def _(col, rowptr_t, col_t, weight, x):  # type: ignore[no-untyped-def]
    return x.new_empty(rowptr_t.numel() - 1, x.size(1))


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _dot_backward(ctx, grad):  # type: ignore[no-untyped-def]
    *graph, query, key = ctx.saved_tensors
    return *(4 * [None]), edge_sum(*graph, grad, key), edge_sum_t(*graph[1:], grad, query)


def _sum_backward(ctx, grad):  # type: ignore[no-untyped-def]
    *graph, weight, x = ctx.saved_tensors
    grad = grad.contiguous()
    return *(4 * [None]), edge_dot(*graph, grad, x), edge_sum_t(*graph[1:], weight, grad)


edge_dot.register_autograd(_dot_backward, setup_context=_save_inputs)
edge_sum.register_autograd(_sum_backward, setup_context=_save_inputs)


_orders = WeakTensorKeyDictionary()


@torch.library.custom_op("mentor_pyg::in_transposed_order", mutates_args=())
def in_transposed_order(col: Tensor, weight: Tensor) -> Tensor:
    """Weights [E] of a CSR matrix in the order of its transpose, which is kept as long as
    ``col`` is: sorting takes longer than all products of a step."""
    if col not in _orders:
        _orders[col] = col.argsort(stable=True)
    return weight[_orders[col]]


@in_transposed_order.register_fake
def _(col, weight):  # type: ignore[no-untyped-def]
    return torch.empty_like(weight)
