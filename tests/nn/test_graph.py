import pytest
import torch

from mentor_pyg.nn import sample_edges, user_item_adjacency
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
