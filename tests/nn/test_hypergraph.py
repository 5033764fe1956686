import torch

from mentor_pyg.nn import LowRankHypergraph


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
