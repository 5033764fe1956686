import torch

from mentor_pyg import Adjacency
from mentor_pyg.nn.edges import edge_softmax, weighted_sum

TARGETS, SOURCES = 6, 5


def graph():
    torch.manual_seed(0)
    links = torch.rand(TARGETS, SOURCES) < 0.5
    links[2] = False  # a target without neighbours
    target, source = links.nonzero().t()
    edge_index = torch.stack([source, target])
    weight = torch.rand(source.numel())  # which has no say
    return links, Adjacency.from_edge_index(edge_index, weight, (SOURCES, TARGETS))


def test_softmax_equals_the_dense_one():
    links, adj = graph()
    query, key = torch.randn(TARGETS, 3), torch.randn(SOURCES, 3)
    score = (query @ key.t()).masked_fill(~links, -torch.inf)
    expected = score.softmax(dim=1)[links]  # in the order of rows, as CSR has it
    torch.testing.assert_close(edge_softmax(query, key, adj), expected)


def test_sum_and_its_gradients_equal_those_of_a_dense_matrix():
    links, adj = graph()
    x = torch.randn(SOURCES, 3, requires_grad=True)
    weight = torch.randn(adj.col.numel(), requires_grad=True)
    dense = torch.zeros(TARGETS, SOURCES).masked_scatter(links, weight)
    upstream = torch.randn(TARGETS, 3)
    ours, theirs = weighted_sum(x, adj, weight), dense @ x
    torch.testing.assert_close(ours, theirs)
    grads = (torch.autograd.grad(out, (x, weight), upstream) for out in (ours, theirs))
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)
