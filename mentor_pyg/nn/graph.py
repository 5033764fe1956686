"""Graphs of users and items that change while a model is trained."""

import torch
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.nn.conv import light_gcn_norm


def user_item_adjacency(
    edge_index: Tensor, num_users: int, num_items: int, edge_weight: OptTensor = None
) -> Adjacency:
    r"""The normalised user-item graph as one symmetric matrix of U + I nodes, users first.

    Its entries are :math:`w_{ui} / \sqrt{d_u d_i}` in both directions, with degrees that
    are sums of weights.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
        num_items: Number of items I.
        edge_weight: Weights [E] of the pairs before the normalisation, ones if not given.
    """
    weight = light_gcn_norm(edge_index, edge_weight, num_users, num_items)
    one_way = torch.stack([edge_index[0], num_users + edge_index[1]])
    num_nodes = num_users + num_items
    return Adjacency.from_edge_index(
        torch.cat([one_way, one_way.flip(0)], dim=1),
        torch.cat([weight, weight]),
        (num_nodes, num_nodes),
        symmetric=True,
    )


def bipartite_parts(adj: Adjacency, num_users: int) -> tuple[Adjacency, Adjacency]:
    """The parts of a user-item graph that bring items' messages to users, and back.

    Args:
        adj: A matrix such as :func:`user_item_adjacency` makes, users first.
        num_users: Number of users U.
    """
    num_edges = adj.col.numel() // 2
    user = (adj.rowptr[: num_users + 1], adj.col[:num_edges] - num_users, adj.weight[:num_edges])
    item = (adj.rowptr[num_users:] - num_edges, adj.col[num_edges:], adj.weight[num_edges:])
    return Adjacency(*user, *item), Adjacency(*item, *user)


def sample_edges(edge_index: Tensor, num_users: int, num_items: int, p: float) -> Tensor:
    r"""Which pairs a degree-sensitive pruning keeps, bool [E].

    A share 1 - p of the pairs is drawn without replacement with probabilities
    proportional to :math:`1 / \sqrt{d_u d_i}`, so that pairs of popular nodes are pruned
    most, as in the `"LayerGCN" <https://arxiv.org/abs/2207.11088>`_ and `"FREEDOM"
    <https://arxiv.org/abs/2211.06924>`_ papers.
    """
    weight = light_gcn_norm(edge_index, None, num_users, num_items)
    num_kept = max(1, round((1 - p) * weight.numel()))
    # The largest of u^(1/w) are such a draw (Efraimidis and Spirakis, 2006); in logarithms:
    key = torch.rand_like(weight).log() / weight
    kept = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    kept[key.topk(num_kept).indices] = True
    return kept
