import copy

import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn.graph import bipartite_parts, user_item_adjacency
from mentor_pyg.nn.neighbors import NeighborGraph

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
    adjacency = user_item_adjacency(observed.nonzero().t(), USERS, ITEMS)
    hidden = bipartite_parts(adjacency, USERS)[0] if observed.any() else None
    graph.rebuild(*vectors, hidden)
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
    matrix = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    matrix[:USERS, USERS:], matrix[USERS:, :USERS] = by_user, by_item.t()
    x = torch.randn(USERS + ITEMS, 5, requires_grad=True)
    out = build(observed, vectors, k)().matmul(x)
    torch.testing.assert_close(out, matrix @ x)
    upstream = torch.randn_like(out)
    (grad,) = torch.autograd.grad(out, x, upstream)
    torch.testing.assert_close(grad, matrix.t() @ upstream)


def test_there_are_no_neighbours_at_first(observed, vectors):
    graph = NeighborGraph(USERS, ITEMS, 3)
    x = torch.randn(USERS + ITEMS, 5)
    assert graph().matmul(x).abs().sum() == 0
    graph = build(observed, vectors, 3)
    assert graph().matmul(x).abs().sum() > 0
    graph.reset_parameters()
    assert graph().matmul(x).abs().sum() == 0


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
    x, eye = torch.randn(USERS + ITEMS, 3, requires_grad=True), torch.eye(USERS + ITEMS)
    dense = adj.with_weight(weight).matmul(eye)
    upstream = torch.randn(USERS + ITEMS, 3)
    (grad,) = torch.autograd.grad(adj.with_weight(weight).matmul(x), x, upstream)
    torch.testing.assert_close(grad, dense.t() @ upstream)


def test_vectors_of_others_are_refused(observed, vectors):
    graph, (user, item) = NeighborGraph(USERS, ITEMS, 3), vectors
    with pytest.raises(InputError, match=r"'user' has shape \[1, 6\]; expected \[30, F\]"):
        graph.rebuild(user[:1], item)
    with pytest.raises(InputError, match=r"'item' has shape \[19, 6\]; expected \[20, 6\]"):
        graph.rebuild(user, item[1:])
    whole = user_item_adjacency(observed.nonzero().t(), USERS, ITEMS)
    with pytest.raises(InputError, match="'hidden' is of 50 users and 50 items; expected 30"):
        graph.rebuild(user, item, whole)
