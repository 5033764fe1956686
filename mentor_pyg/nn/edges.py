"""Graphs whose weights are learned: softmax over a node's neighbours, and sums under it."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import softmax

from mentor_pyg.adjacency import Adjacency


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
    score = (query.index_select(0, target) * key.index_select(0, adj.col)).sum(dim=1)
    return softmax(score, target, num_nodes=adj.num_targets)


def weighted_sum(x: Tensor, adj: Adjacency, weight: Tensor) -> Tensor:
    r"""What nodes hear under learned weights, :math:`\sum_j w_{nj} \mathbf{x}_j`, in memory
    linear in nodes; gradients reach both.

    Args:
        x: Rows of the sources [num_sources, F].
        adj: The graph, whose own weights have no say.
        weight: Weights [E] in the order of its ``col``.
    """
    return F.embedding_bag(
        adj.col,
        x,
        adj.rowptr,
        mode="sum",
        per_sample_weights=weight.to(x.dtype),
        include_last_offset=True,
    )
