"""Graphs of users and items that change while a model is trained."""

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_edge_index, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.conv import light_gcn_norm
from mentor_pyg.nn.functional import at_least_float
from mentor_pyg.options import Count, Probability, checked
from mentor_pyg.sparse.adjacency import Adjacency, check_adjacency


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

    Raises:
        InputError: If the shapes don't fit, or a pair is of a user or item that isn't there.
    """
    edge_index = check_edge_index("user_item_adjacency", edge_index, (num_users, num_items))
    if edge_weight is not None:
        edge_weight = at_least_float(edge_weight)
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
        adj: A matrix such as :func:`user_item_adjacency` makes, users first. Each pair has
            to be there in both directions.
        num_users: Number of users U.

    Raises:
        InputError: If the graph has edges among users or among items, or not as many from
            users to items as back.
    """
    check_adjacency("bipartite_parts", adj)
    check_shapes(
        "bipartite_parts",
        rowptr=(adj.rowptr, ("N + 1",)),
        rowptr_t=(adj.rowptr_t, ("N + 1",)),
    )
    num_edges = adj.col.numel() // 2

    def parts(rowptr: Tensor, col: Tensor, weight: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        items = items_of_users(rowptr, col, num_users)
        user = rowptr[: num_users + 1], items, weight[:num_edges]
        return user, (rowptr[num_users:] - num_edges, col[num_edges:], weight[num_edges:])

    user, item = parts(*adj[:3])
    user_t, item_t = (user, item) if _is_symmetric(adj) else parts(*adj[3:])
    return Adjacency(*user, *item_t), Adjacency(*item, *user_t)


def _is_symmetric(adj: Adjacency) -> bool:
    """Whether the matrix is its own transpose, not just equal to it."""
    return all(a is b for a, b in zip(adj[:3], adj[3:]))


_checked = WeakTensorKeyDictionary()


@torch.library.custom_op("mentor_pyg::items_of_users", mutates_args=())
def items_of_users(rowptr: Tensor, col: Tensor, num_users: int) -> Tensor:
    """Items [E / 2], counted from zero, in the rows of the users.

    That rows of users have no other columns, and rows of items those of users alone, is
    looked at once for every graph, since that waits for the device.
    """
    if _checked.get(col) != num_users:
        _check_parts(rowptr, col, num_users)
        _checked[col] = num_users
    return col[: col.numel() // 2] - num_users


@items_of_users.register_fake
def _(rowptr, col, num_users):  # type: ignore[no-untyped-def]
    return col.new_empty(col.numel() // 2)


def _check_parts(rowptr: Tensor, col: Tensor, num_users: int) -> None:
    where, num_nodes = "bipartite_parts", rowptr.numel() - 1
    if not 0 <= num_users <= num_nodes:
        raise InputError(
            f"{where}: {num_users} users; expected at most the {num_nodes} nodes of the graph"
        )
    of_users = int(rowptr[num_users])
    within = int((col[:of_users] < num_users).sum() + (col[of_users:] >= num_users).sum())
    if within or 2 * of_users != col.numel():
        raise InputError(
            f"{where}: {of_users} edges lead to users and {col.numel() - of_users} to items, "
            f"{within} of them from their own kind; expected each pair in both directions and "
            "nothing else"
        )


@checked
def sample_edges(edge_index: Tensor, num_users: Count, num_items: Count, p: Probability) -> Tensor:
    r"""Which pairs a degree-sensitive pruning keeps, bool [E].

    A share 1 - p of the pairs is drawn without replacement with probabilities
    proportional to :math:`1 / \sqrt{d_u d_i}`, so that pairs of popular nodes are pruned
    most, as in the `"LayerGCN" <https://arxiv.org/abs/2207.11088>`_ and `"FREEDOM"
    <https://arxiv.org/abs/2211.06924>`_ papers.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
        num_items: Number of items I.
        p: Share that is pruned, at least 0 and less than 1.

    Raises:
        InputError: If p is out of its range, or the shapes don't fit.
    """
    weight = light_gcn_norm(edge_index, None, num_users, num_items)
    num_kept = min(max(1, round((1 - p) * weight.numel())), weight.numel())
    # The largest of u^(1/w) are such a draw (Efraimidis and Spirakis, 2006); in logarithms:
    key = torch.rand_like(weight).log() / weight
    kept = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    kept[key.topk(num_kept).indices] = True
    return kept
