import math

import pytest
import torch

from mentor_pyg.nn import ContentHypergraph, LowRankHypergraph, user_item_adjacency


def leaky(x, slope):
    return x if x > 0 else slope * x


@torch.no_grad()
def test_equals_the_sums_over_nodes_and_hyperedges():
    torch.manual_seed(0)
    hypergraph = LowRankHypergraph(3, 4, num_levels=2, negative_slope=0.2).eval()
    x, start = torch.randn(5, 3), torch.randn(5, 3)
    member = [
        [sum(e[d] * hypergraph.weight[d, k] for d in range(3)) for k in range(4)] for e in start
    ]
    edge = [
        [leaky(sum(member[n][k] * x[n, d] for n in range(5)), 0.2) for d in range(3)]
        for k in range(4)
    ]
    for level in hypergraph.levels:
        edge = [
            [
                leaky(sum(level[k, j] * edge[j][d] for j in range(4)), 0.2) + edge[k][d]
                for d in range(3)
            ]
            for k in range(4)
        ]
    expected = [
        [leaky(sum(member[n][k] * edge[k][d] for k in range(4)), 0.2) for d in range(3)]
        for n in range(5)
    ]
    ours = hypergraph(x, hypergraph.members(start))
    torch.testing.assert_close(ours, torch.tensor(expected))


def test_memberships_are_dropped_in_training_alone():
    torch.manual_seed(0)
    hypergraph = LowRankHypergraph(3, 4, dropout=0.5)
    x, member = torch.randn(5, 3), torch.randn(5, 4)
    assert not torch.equal(hypergraph(x, member), hypergraph(x, member))
    hypergraph.eval()
    assert torch.equal(hypergraph(x, member), hypergraph(x, member))


def content_hypergraph(**options):
    torch.manual_seed(0)
    x = {"a": torch.randn(4, 3), "b": torch.randn(4, 2)}
    mask = {"a": None, "b": torch.tensor([True, False, True, True])}
    adj = user_item_adjacency(torch.tensor([[0, 0, 1], [0, 2, 1]]), 2, 4)
    hypergraph = ContentHypergraph({"a": 3, "b": 2}, 5, **options)
    return hypergraph, (x, mask, adj, torch.randn(4, 6))


def test_items_without_content_belong_to_no_hyperedge():
    hypergraph, (x, mask, adj, item) = content_hypergraph()
    for result in (hypergraph(x, mask, adj, item), hypergraph.eval()(x, mask, adj, item)):
        assert not result["b"][1][1].any()
        assert result["a"][1].any(dim=1).all()
    alone = torch.zeros(4, 6)
    alone[1] = 1.0  # only the item without content sends
    assert not any(z.any() for z in hypergraph(x, mask, adj, alone)["b"])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_noise_and_dropout_are_of_the_training_alone(dropout):
    hypergraph, inputs = content_hypergraph(dropout=dropout)
    first, second = (hypergraph(*inputs)["a"][1] for _ in range(2))
    assert not torch.equal(first, second)
    hypergraph.eval()
    first, second = (hypergraph(*inputs)["a"][1] for _ in range(2))
    assert torch.equal(first, second)


def test_noise_is_logistic():
    """Gumbel noise would choose the first hyperedge with probability 0.73, its softmax."""
    torch.manual_seed(0)
    hypergraph = ContentHypergraph({"a": 1}, 2, temperature=1e-3, dropout=0.0)
    first = hypergraph._members(torch.tensor([[1.0, 0.0]]).repeat(20_000, 1))[:, 0]
    # P(N1 - N2 > -d) of logistic variables is (1 - (1 + d) exp(-d)) / (1 - exp(-d))^2.
    expected = (1 - 2 * math.exp(-1)) / (1 - math.exp(-1)) ** 2
    assert first.mean().item() == pytest.approx(expected, abs=0.01)
