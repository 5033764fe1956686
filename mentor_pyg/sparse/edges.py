"""Operations on graphs with learned weights: softmax and sums over neighbours."""

import torch
from torch import Tensor
from torch_geometric.utils import softmax

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.sparse.adjacency import Adjacency, check_adjacency, edge_dot


def edge_softmax(query: Tensor, key: Tensor, adj: Adjacency) -> Tensor:
    r"""Attention of each node over its neighbours [E].

    .. math::
        \alpha_{nj} = \frac{\exp \langle \mathbf{q}_n, \mathbf{k}_j \rangle}
        {\sum_{j^{\prime} \in \mathcal{N}_n} \exp \langle \mathbf{q}_n,
        \mathbf{k}_{j^{\prime}} \rangle}

    Args:
        query: Rows of the targets [num_targets, F].
        key: Rows of the sources [num_sources, F].
        adj: The graph, whose own weights are ignored; the result is in the order of its
            ``col``.

    Raises:
        InputError: If the shapes do not fit the graph.
    """
    check_adjacency("edge_softmax", adj)
    check_shapes(
        "edge_softmax",
        query=(query, (adj.num_targets, "F")),
        key=(key, (adj.num_sources, "F")),
    )
    count = adj.rowptr.diff()
    index = torch.arange(adj.num_targets, device=adj.col.device)
    target = index.repeat_interleave(count, output_size=adj.col.numel())
    structure = adj.rowptr, adj.col, adj.rowptr_t, adj.col_t
    score = edge_dot(*structure, query.to(adj.weight.dtype), key.to(adj.weight.dtype))
    return softmax(score, target, num_nodes=adj.num_targets)


def weighted_sum(x: Tensor, adj: Adjacency, weight: Tensor) -> Tensor:
    r"""Sum over neighbours with learned weights, :math:`\sum_j w_{nj} \mathbf{x}_j`, in memory
    linear in the number of nodes.

    Args:
        x: Rows of the sources [num_sources, F].
        adj: The graph, whose own weights are ignored.
        weight: Weights [E] in the order of its ``col``.

    Raises:
        InputError: If the shapes do not fit the graph.
    """
    check_adjacency("weighted_sum", adj)
    check_shapes("weighted_sum", x=(x, (adj.num_sources, "F")), weight=(weight, (adj.col.numel(),)))
    return adj.with_weight(weight.to(adj.weight.dtype)).matmul(x)


def neighbor_sum(x: Tensor, adj: Adjacency) -> Tensor:
    r"""Sum over neighbours without weights, :math:`\sum_j \mathbf{x}_j` [num_targets, F].

    Args:
        x: Rows of the sources [num_sources, F].
        adj: The graph, whose weights are ignored.
    """
    check_adjacency("neighbor_sum", adj)
    one, one_t = torch.ones_like(adj.weight), torch.ones_like(adj.weight_t)
    return adj._replace(weight=one, weight_t=one_t).matmul(x)
