"""Construction and pruning of user-item graphs."""

import torch
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_edge_index
from mentor_pyg.nn.conv import light_gcn_norm
from mentor_pyg.nn.functional import at_least_float
from mentor_pyg.options import Count, Probability, checked
from mentor_pyg.sparse.adjacency import Adjacency


def user_item_adjacency(
    edge_index: Tensor, num_users: int, num_items: int, edge_weight: OptTensor = None
) -> Adjacency:
    r"""The normalised user-item graph from items to users; its transpose leads from users to
    items.

    Its entries are :math:`w_{ui} / \sqrt{d_u d_i}`, where degrees are sums of weights. One
    LightGCN hop is ``user, item = adj @ item, adj.t() @ user``.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
        num_items: Number of items I.
        edge_weight: Weights [E] of the pairs before normalisation; ones if not given.

    Returns:
        The matrix [U, I].

    Raises:
        InputError: If the shapes do not fit, or a user or item is out of range.
    """
    edge_index = check_edge_index("user_item_adjacency", edge_index, (num_users, num_items))
    if edge_weight is not None:
        edge_weight = at_least_float(edge_weight)
    weight = light_gcn_norm(edge_index, edge_weight, num_users, num_items)
    return Adjacency.from_edge_index(edge_index.flip(0), weight, (num_items, num_users))


@checked
def sample_edges(edge_index: Tensor, num_users: Count, num_items: Count, p: Probability) -> Tensor:
    r"""Samples the pairs that degree-sensitive pruning keeps, bool [E].

    A share 1 - p of the pairs is sampled without replacement with probabilities
    proportional to :math:`1 / \sqrt{d_u d_i}`, so pairs of popular nodes are pruned most
    often, as in the `"LayerGCN" <https://arxiv.org/abs/2207.11088>`_ and `"FREEDOM"
    <https://arxiv.org/abs/2211.06924>`_ papers.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
        num_items: Number of items I.
        p: Share of pairs to prune.

    Raises:
        InputError: If p is out of range, or the shapes do not fit.
    """
    weight = light_gcn_norm(edge_index, None, num_users, num_items)
    num_kept = min(max(1, round((1 - p) * weight.numel())), weight.numel())
    # Weighted sampling takes the largest u^(1/w) (Efraimidis and Spirakis, 2006), here as logs.
    key = torch.rand_like(weight).log() / weight
    kept = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    kept[key.topk(num_kept).indices] = True
    return kept
