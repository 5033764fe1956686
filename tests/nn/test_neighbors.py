import copy

import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn.graph import user_item_adjacency
from mentor_pyg.nn.neighbors import NeighborGraph, gather

USERS, ITEMS = 30, 20


@pytest.fixture
def observed():
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(USERS, ITEMS, generator=generator) < 0.3
    dense[3] = False
    dense[4] = True  # a user who has all items
    return dense


@pytest.fixture
def vectors():
    user, item = torch.randn(2, USERS, 6, generator=torch.Generator().manual_seed(1))
    user[5] = 0  # a user of whom nothing is known
    return user, item[:ITEMS]


def build(observed, vectors, k):
    graph = NeighborGraph(USERS, ITEMS, k)
    hidden = user_item_adjacency(observed.nonzero().t(), USERS, ITEMS)
    graph.rebuild(*vectors, hidden if observed.any() else None)
    return graph


def dense_links(observed, vectors, k):
    """Bool [U, I] from all cosines at once."""
    user, item = (F.normalize(x) for x in vectors)
    cosine = (user @ item.t()).masked_fill(observed, -torch.inf)
    links = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    links.scatter_(1, cosine.topk(min(k, ITEMS)).indices, True)
    return links & (cosine > 0)


@pytest.mark.parametrize("k", [1, 4, 50])
def test_equals_a_dense_top_k(observed, vectors, k):
    graph = build(observed, vectors, k)
    links = dense_links(observed, vectors, k)
    assert graph.neighbor.shape == (USERS, min(k, ITEMS))
    for user in range(USERS):
        found = [item for item in graph.neighbor[user].tolist() if item >= 0]
        assert sorted(found) == links[user].nonzero().flatten().tolist()
    assert not links[[4, 5]].any()


def test_without_hidden_pairs_all_can_be_neighbours(observed, vectors):
    nothing = torch.zeros_like(observed)
    neighbor = build(nothing, vectors, ITEMS).neighbor
    links = dense_links(nothing, vectors, ITEMS)
    assert torch.equal((neighbor >= 0).sum(1), links.sum(1))
    assert links[4].any()


@pytest.mark.parametrize("k", [1, 4, 50])
def test_hop_and_its_gradient_equal_the_dense_formula(observed, vectors, k):
    links = dense_links(observed, vectors, k).float()
    by_user = links / links.sum(1, keepdim=True).clamp(min=1).sqrt()
    by_item = links / links.sum(0, keepdim=True).clamp(min=1).sqrt()
    adj = build(observed, vectors, k)()
    assert adj.shape == (USERS, ITEMS)
    for graph, matrix in ((adj, by_user), (adj.t(), by_item.t())):
        x = torch.randn(matrix.size(1), 5, requires_grad=True)
        out = gather(x, graph)
        torch.testing.assert_close(out, matrix @ x)
        upstream = torch.randn_like(out)
        (grad,) = torch.autograd.grad(out, x, upstream)
        torch.testing.assert_close(grad, matrix.t() @ upstream)


def test_weights_have_no_say_in_a_hop(observed):
    """That hears all neighbours alike; those without any hear nothing."""
    pairs = observed.nonzero().t()
    adj = user_item_adjacency(pairs, USERS, ITEMS, torch.rand(pairs.size(1)))
    x, links = torch.randn(ITEMS, 3), observed.float()
    expected = links @ x / links.sum(1, keepdim=True).clamp(min=1).sqrt()
    torch.testing.assert_close(gather(x, adj), expected)
    assert not gather(x, adj)[3].any()


def test_there_are_no_neighbours_at_first(observed, vectors):
    graph = NeighborGraph(USERS, ITEMS, 3)
    user, item = torch.randn(USERS, 5), torch.randn(ITEMS, 5)

    def heard(adj):
        return [gather(x, part).abs().sum().item() for x, part in ((item, adj), (user, adj.t()))]

    assert heard(graph()) == [0, 0]
    graph = build(observed, vectors, 3)
    assert all(x > 0 for x in heard(graph()))
    graph.reset_parameters()
    assert heard(graph()) == [0, 0]


def test_state_holds_the_neighbours_alone_and_brings_the_matrix_back(observed, vectors):
    graph = build(observed, vectors, 3)
    assert list(graph.state_dict()) == ["neighbor"]
    other = copy.deepcopy(NeighborGraph(USERS, ITEMS, 3))
    other.load_state_dict(graph.state_dict())
    for ours, theirs in zip(graph(), other()):
        assert torch.equal(ours, theirs)
    parent = torch.nn.ModuleList([NeighborGraph(USERS, ITEMS, 3)])
    parent.load_state_dict(torch.nn.ModuleList([graph]).state_dict())
    assert torch.equal(parent[0]().col, graph().col)


def test_k_must_be_positive():
    with pytest.raises(ValueError, match="k: is 0; expected at least 1"):
        NeighborGraph(USERS, ITEMS, 0)


def test_the_matrix_is_sorted_as_others_are(observed, vectors):
    """Weights of edges travel to the transpose by it."""
    adj = build(observed, vectors, 4)()
    weight = torch.rand_like(adj.weight)
    x, upstream = torch.randn(ITEMS, 3, requires_grad=True), torch.randn(USERS, 3)
    dense = adj.with_weight(weight) @ torch.eye(ITEMS)
    (grad,) = torch.autograd.grad(adj.with_weight(weight) @ x, x, upstream)
    torch.testing.assert_close(grad, dense.t() @ upstream)


def test_vectors_of_others_are_refused(observed, vectors):
    graph, (user, item) = NeighborGraph(USERS, ITEMS, 3), vectors
    with pytest.raises(InputError, match=r"'user' has shape \[1, 6\]; expected \[30, F\]"):
        graph.rebuild(user[:1], item)
    with pytest.raises(InputError, match=r"'item' has shape \[19, 6\]; expected \[20, 6\]"):
        graph.rebuild(user, item[1:])
    turned = user_item_adjacency(observed.nonzero().t(), USERS, ITEMS).t()
    with pytest.raises(InputError, match="'hidden' is of 20 users and 30 items; expected 30"):
        graph.rebuild(user, item, turned)
