import pytest
import torch

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import EdgeDropout
from mentor_pyg.sparse.adjacency import edge_dot, in_transposed_order
from mentor_pyg.sparse.edges import edge_softmax, neighbor_sum, weighted_sum

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


def test_softmax_has_the_gradients_of_the_dense_one():
    links, adj = graph()
    query = torch.randn(TARGETS, 3, requires_grad=True)
    key = torch.randn(SOURCES, 3, requires_grad=True)
    score = (query @ key.t()).masked_fill(~links, -torch.inf)
    upstream = torch.randn(adj.col.numel())
    ours, theirs = edge_softmax(query, key, adj), score.softmax(dim=1)[links]
    grads = (torch.autograd.grad(out, (query, key), upstream) for out in (ours, theirs))
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


def test_operators_are_sound():
    _, adj = graph()
    structure = adj.rowptr, adj.col, adj.rowptr_t, adj.col_t
    query, key = torch.randn(TARGETS, 3), torch.randn(SOURCES, 3)
    inputs = [x.requires_grad_() for x in (query, key)]
    torch.library.opcheck(edge_dot, (*structure, *inputs))
    weight = torch.randn(adj.col.numel(), requires_grad=True)
    torch.library.opcheck(in_transposed_order, (adj.col, adj.col_t, weight))


def test_half_precision_and_no_edges():
    _, adj = graph()
    query, key = torch.randn(TARGETS, 3), torch.randn(SOURCES, 3)
    expected = edge_softmax(query.bfloat16().float(), key.bfloat16().float(), adj)
    torch.testing.assert_close(edge_softmax(query.bfloat16(), key.bfloat16(), adj), expected)
    size = (SOURCES, TARGETS)
    nothing = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), torch.empty(0), size)
    share = edge_softmax(query, key, nothing)
    assert share.numel() == 0
    assert not weighted_sum(key, nothing, share).any()


def test_sum_without_weights():
    links, adj = graph()
    x = torch.randn(SOURCES, 3, requires_grad=True)
    upstream = torch.randn(TARGETS, 3)
    ours, theirs = neighbor_sum(x, adj), links.float() @ x
    torch.testing.assert_close(ours, theirs)
    grads = (torch.autograd.grad(out, x, upstream)[0] for out in (ours, theirs))
    torch.testing.assert_close(*grads)


def test_shapes_of_another_graph_are_refused():
    _, adj = graph()
    query, key = torch.randn(TARGETS, 3), torch.randn(SOURCES, 3)
    weight = torch.randn(adj.col.numel())
    for rows in (1, SOURCES - 1, SOURCES + 1):
        x = torch.randn(rows, 3)
        with pytest.raises(InputError, match=r"weighted_sum: 'x' has shape .*; expected \[5, F\]"):
            weighted_sum(x, adj, weight)
        with pytest.raises(
            InputError, match=r"edge_softmax: 'key' has shape .*; expected \[5, 3\]"
        ):
            edge_softmax(query, x, adj)
    with pytest.raises(InputError, match=r"edge_softmax: 'query' has shape .*; expected \[6, F\]"):
        edge_softmax(query[1:], key, adj)
    with pytest.raises(InputError, match=r"edge_softmax: 'key' has shape \[5, 2\]"):
        edge_softmax(query, key[:, 1:], adj)
    for other in (weight[1:], weight[:1], weight.unsqueeze(1)):
        with pytest.raises(InputError, match=r"weighted_sum: 'weight' has shape"):
            weighted_sum(key, adj, other)


def test_graphs_of_another_form_are_refused():
    links, adj = graph()
    x, weight = torch.randn(SOURCES, 3), torch.randn(adj.col.numel())
    for function in (
        lambda other: weighted_sum(x, other, weight),
        lambda other: edge_softmax(x, x, other),
        lambda other: neighbor_sum(x, other),
        EdgeDropout(0.5),
    ):
        for other in (links.nonzero().t(), links.float().to_sparse_csr()):
            with pytest.raises(InputError, match=r"the graph has type .*Tensor.*; expected an Adj"):
                function(other)
