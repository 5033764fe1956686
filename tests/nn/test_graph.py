import pytest
import torch

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import graph, sample_edges, user_item_adjacency
from mentor_pyg.nn.graph import bipartite_parts

USERS, ITEMS = 30, 20


@pytest.fixture
def edge_index():
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.3
    dense[3] = False  # a user without pairs
    return dense.nonzero().t().contiguous()


@pytest.mark.parametrize("weighted", [False, True])
def test_adjacency_equals_the_dense_formula(edge_index, weighted):
    weight = torch.rand(edge_index.size(1)) if weighted else None
    values = torch.ones(edge_index.size(1)) if weight is None else weight
    dense = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    dense[edge_index[0], USERS + edge_index[1]] = values
    dense = dense + dense.t()
    scale = dense.sum(1).clamp(min=1e-12).rsqrt()
    scale[dense.sum(1) == 0] = 0
    x = torch.randn(USERS + ITEMS, 5)
    adj = user_item_adjacency(edge_index, USERS, ITEMS, weight)
    torch.testing.assert_close(adj.matmul(x), scale[:, None] * dense @ (scale[:, None] * x))


def test_bipartite_parts_are_the_blocks_of_the_matrix(edge_index):
    adj = user_item_adjacency(edge_index, USERS, ITEMS, torch.rand(edge_index.size(1)))
    matrix = adj.matmul(torch.eye(USERS + ITEMS))
    blocks = matrix[:USERS, USERS:], matrix[USERS:, :USERS]
    for part, block in zip(bipartite_parts(adj, USERS), blocks, strict=True):
        x = torch.randn(block.size(1), 4, requires_grad=True)
        out = part.matmul(x)
        torch.testing.assert_close(out, block @ x)
        upstream = torch.randn_like(out)
        (grad,) = torch.autograd.grad(out, x, upstream)
        torch.testing.assert_close(grad, block.t() @ upstream)


def test_parts_of_a_matrix_that_is_not_symmetric():
    """Of the same pairs in both directions, under weights of their own."""
    user, item = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0, 1, 2])
    edge_index = torch.stack([torch.cat([user, 3 + item]), torch.cat([3 + item, user])])
    adj = Adjacency.from_edge_index(edge_index, torch.rand(8), (6, 6))
    matrix = adj.matmul(torch.eye(6))
    for part, block in zip(bipartite_parts(adj, 3), (matrix[:3, 3:], matrix[3:, :3]), strict=True):
        x, upstream = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
        out = part.matmul(x)
        torch.testing.assert_close(out, block @ x)
        torch.testing.assert_close(torch.autograd.grad(out, x, upstream)[0], block.t() @ upstream)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([[0, 1], [1, 0]], "2 of them from their own kind"),  # between two users
        ([[0], [0]], "1 of them from their own kind"),
        ([[4, 5], [5, 4]], "2 of them from their own kind"),  # between two items
        ([[0], [3]], "3 edges lead to users and 4 to items"),
    ],
)
def test_graphs_of_other_edges_have_no_parts(extra, message):
    pairs = torch.tensor([[0, 1, 2], [4, 3, 5]])
    edge_index = torch.cat([pairs, pairs.flip(0), torch.tensor(extra)], dim=1)
    adj = Adjacency.from_edge_index(edge_index, torch.rand(edge_index.size(1)), (6, 6))
    with pytest.raises(InputError, match=f"^bipartite_parts: .*{message}.*; expected each pair"):
        bipartite_parts(adj, 3)


def test_parts_of_another_number_of_users(edge_index):
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    bipartite_parts(adj, USERS)
    for num_users in (USERS - 1, USERS + 1, -1, 99):
        with pytest.raises(InputError, match=r"bipartite_parts: .*; expected"):
            bipartite_parts(adj, num_users)
    tall = Adjacency.from_edge_index(edge_index, torch.rand(edge_index.size(1)), (USERS, ITEMS))
    with pytest.raises(InputError, match="'rowptr_t' has shape"):
        bipartite_parts(tall, USERS)


def test_a_graph_is_looked_at_once(edge_index, monkeypatch):
    looked = []
    monkeypatch.setattr(graph, "_check_parts", lambda *given: looked.append(given))
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    first, second = bipartite_parts(adj, USERS), bipartite_parts(adj, USERS)
    assert len(looked) == 1
    for ours, theirs in zip(first[0], second[0]):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("change", [-1, 1])
def test_pairs_of_others_are_refused(edge_index, change):
    edge_index = edge_index.clone()
    edge_index[1, 4] = ITEMS if change == 1 else -1
    with pytest.raises(InputError, match="user_item_adjacency: row 1 of 'edge_index' has"):
        user_item_adjacency(edge_index, USERS, ITEMS)


def test_weights_in_half_precision_are_normalised_in_float32(edge_index):
    weight = torch.rand(edge_index.size(1)).half()
    adj = user_item_adjacency(edge_index, USERS, ITEMS, weight)
    expected = user_item_adjacency(edge_index, USERS, ITEMS, weight.float())
    assert all(torch.equal(a, b) for a, b in zip(adj, expected))


def test_pruning_of_nothing_and_out_of_range(edge_index):
    assert sample_edges(edge_index[:, :0], USERS, ITEMS, 0.5).numel() == 0
    with pytest.raises(ValueError, match="less than 1"):
        sample_edges(edge_index, USERS, ITEMS, 1.5)


def test_pruning_keeps_the_share_and_favours_rare_nodes(edge_index):
    torch.manual_seed(0)
    draws = torch.stack([sample_edges(edge_index, USERS, ITEMS, 0.8) for _ in range(3000)])
    assert (draws.sum(1) == round(0.2 * edge_index.size(1))).all()
    degree = (
        edge_index[0].bincount()[edge_index[0]] * edge_index[1].bincount()[edge_index[1]]
    ).float()
    weight = degree.rsqrt()
    # The first draws of torch.multinomial without replacement follow the same law:
    num = round(0.2 * edge_index.size(1))
    other = torch.zeros(edge_index.size(1))
    for _ in range(3000):
        other[torch.multinomial(weight, num)] += 1
    torch.testing.assert_close(draws.float().mean(0), other / 3000, atol=0.04, rtol=0)
    assert draws.float().mean(0)[degree.argmin()] > draws.float().mean(0)[degree.argmax()]
