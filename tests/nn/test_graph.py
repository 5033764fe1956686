import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import sample_edges, user_item_adjacency

USERS, ITEMS = 30, 20


@pytest.fixture
def edge_index():
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.3
    dense[3] = False  # a user without pairs
    return dense.nonzero().t().contiguous()


def dense_graph(edge_index, weight=None):
    """The normalised matrix [U, I] by its definition."""
    dense = torch.zeros(USERS, ITEMS)
    dense[edge_index[0], edge_index[1]] = torch.ones(1) if weight is None else weight
    scales = [(1 / degree.sqrt()).where(degree > 0, 0) for degree in (dense.sum(1), dense.sum(0))]
    return scales[0][:, None] * dense * scales[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_adjacency_and_its_transpose_equal_the_dense_formula(edge_index, weighted):
    """A hop in both directions, and its gradient."""
    weight = torch.rand(edge_index.size(1)) if weighted else None
    dense = dense_graph(edge_index, weight)
    adj = user_item_adjacency(edge_index, USERS, ITEMS, weight)
    assert adj.shape == (USERS, ITEMS)
    for matrix, expected in ((adj, dense), (adj.t(), dense.t())):
        x = torch.randn(expected.size(1), 4, requires_grad=True)
        out = matrix @ x
        torch.testing.assert_close(out, expected @ x)
        upstream = torch.randn_like(out)
        (grad,) = torch.autograd.grad(out, x, upstream)
        torch.testing.assert_close(grad, expected.t() @ upstream)


def test_two_hops_are_those_of_the_matrix_of_all_nodes(edge_index):
    """The graph of U + I nodes in one symmetric matrix, as papers write it."""
    dense = dense_graph(edge_index)
    whole = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    whole[:USERS, USERS:], whole[USERS:, :USERS] = dense, dense.t()
    user, item = torch.randn(USERS, 4), torch.randn(ITEMS, 4)
    expected = whole @ whole @ torch.cat([user, item])
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    for _ in range(2):
        user, item = adj @ item, adj.t() @ user
    torch.testing.assert_close(torch.cat([user, item]), expected)


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
