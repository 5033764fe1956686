import pickle
from copy import deepcopy

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import EdgeDropout, MaskedGraph, PrunedGraph, user_item_adjacency
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.training.checkpoint import epoch_state

USERS, ITEMS = 12, 9


@pytest.fixture
def edge_index():
    torch.manual_seed(0)
    return (torch.rand(USERS, ITEMS) < 0.5).nonzero().t().contiguous()


@pytest.fixture
def graph():
    return PrunedGraph(USERS, ITEMS, p=0.4)


def dense(adj):
    assert adj.shape == (USERS, ITEMS)
    matrix = adj @ torch.eye(ITEMS)
    assert torch.equal(adj.t() @ torch.eye(USERS), matrix.t())
    return matrix


def of_pairs(edge_index):
    """The normalised matrix [U, I] by its definition."""
    matrix = torch.zeros(USERS, ITEMS)
    for user, item in edge_index.t().tolist():
        matrix[user, item] = 1
    scales = [matrix.sum(dim).clamp(min=1).rsqrt() for dim in (1, 0)]
    return scales[0][:, None] * matrix * scales[1]


def test_before_the_first_draw_nothing_is_pruned(graph, edge_index):
    assert torch.equal(dense(graph(edge_index)), dense(user_item_adjacency(edge_index, 12, 9)))


def test_a_draw_prunes_the_share_and_normalises_anew(graph, edge_index):
    graph.draw(edge_index)
    assert graph.kept.sum() == round(0.6 * edge_index.size(1))
    torch.testing.assert_close(dense(graph(edge_index)), of_pairs(edge_index[:, graph.kept]))
    first = graph.kept.clone()
    graph.draw(edge_index)
    assert not torch.equal(first, graph.kept)
    torch.testing.assert_close(dense(graph(edge_index)), of_pairs(edge_index[:, graph.kept]))


def test_the_matrix_is_built_once_a_draw(graph, edge_index):
    graph.draw(edge_index)
    assert graph(edge_index) is graph(edge_index)


def test_other_pairs_build_another_matrix(graph, edge_index):
    graph.draw(edge_index)
    others = edge_index.clone()
    others[1] = ITEMS - 1 - others[1]
    torch.testing.assert_close(dense(graph(others)), of_pairs(others[:, graph.kept]))


def test_a_draw_is_no_part_of_the_weights_but_of_the_epoch(graph, edge_index):
    graph.draw(edge_index)
    assert not graph.state_dict()
    assert torch.equal(epoch_state(graph)["kept"], graph.kept)


def test_more_pairs_than_were_drawn_from_are_refused(graph, edge_index):
    graph(edge_index[:, 1:])
    graph.draw(edge_index)
    with pytest.raises(ValueError, match=r"must have the .* pairs that were drawn from"):
        graph(edge_index[:, 1:])


@pytest.mark.parametrize("copied", [deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))])
def test_a_copy_has_the_draw_and_goes_its_own_way(graph, edge_index, copied):
    graph.draw(edge_index)
    adj, copy = graph(edge_index), copied(graph)
    assert torch.equal(dense(copy(edge_index)), dense(adj))
    copy.draw(edge_index)
    assert graph(edge_index) is adj


def test_reset_brings_all_pairs_back(graph, edge_index):
    graph.draw(edge_index)
    graph.reset_parameters()
    torch.testing.assert_close(dense(graph(edge_index)), of_pairs(edge_index))


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_share_must_leave_something(p):
    with pytest.raises(ValueError, match="less than 1"):
        PrunedGraph(3, 3, p)


def test_a_masked_graph_has_the_pairs_that_were_kept(edge_index):
    graph = MaskedGraph(USERS, ITEMS)
    kept = torch.arange(edge_index.size(1)) % 3 > 0
    graph.keep(edge_index, kept)
    torch.testing.assert_close(dense(graph(edge_index)), of_pairs(edge_index[:, kept]))


def rectangle():
    """A matrix from 5 to 4 nodes."""
    torch.manual_seed(0)
    edge_index = (torch.rand(5, 4) < 0.7).nonzero().t()
    return Adjacency.from_edge_index(edge_index, torch.rand(edge_index.size(1)), (5, 4))


@pytest.mark.parametrize("of_users", [True, False])
def test_dropout_zeroes_entries_and_scales_the_rest_with_the_transpose(edge_index, of_users):
    adj = user_item_adjacency(edge_index, USERS, ITEMS) if of_users else rectangle()
    dropout = EdgeDropout(0.3)
    x = torch.eye(adj.num_sources)
    full, seen = adj.matmul(x), []
    for _ in range(2):
        dropped = dropout(adj)
        matrix = dropped.matmul(x)
        kept = matrix != 0
        torch.testing.assert_close(matrix[kept], full[kept] / 0.7)
        assert 0 < kept.sum() < (full != 0).sum()
        torch.testing.assert_close(dropped.t() @ torch.eye(adj.num_targets), matrix.t())
        seen.append(kept)
    assert not torch.equal(*seen)


def test_dropout_sorts_a_matrix_once(edge_index, monkeypatch):
    adj, argsort, sorted_ = user_item_adjacency(edge_index, USERS, ITEMS), torch.Tensor.argsort, []

    def counted(x, **options):
        sorted_.append(x)
        return argsort(x, **options)

    monkeypatch.setattr(torch.Tensor, "argsort", counted)
    for dropout in (EdgeDropout(0.3), EdgeDropout(0.3)):  # each of the same matrix
        dropout(adj)
        dropout(adj)
    assert len(sorted_) == 1


def test_dropout_compiles_in_one_graph():
    adj = rectangle()
    compiled = torch.compile(EdgeDropout(0.3), fullgraph=True, backend="aot_eager")
    dropped = compiled(adj)
    matrix = dropped.matmul(torch.eye(adj.num_sources))
    assert not torch.equal(matrix, adj.matmul(torch.eye(adj.num_sources)))
    torch.testing.assert_close(dropped.t() @ torch.eye(adj.num_targets), matrix.t())


def test_dropout_has_the_probability():
    edge_index = torch.ones(60, 60).nonzero().t()
    adj = user_item_adjacency(edge_index, 60, 60)
    share = (EdgeDropout(0.3)(adj).weight != 0).float().mean().item()
    assert abs(share - 0.7) < 5 * (0.3 * 0.7 / 3600) ** 0.5


def test_dropout_does_nothing_outside_of_training_or_without_p():
    adj = rectangle()
    assert EdgeDropout(0.3).eval()(adj) is adj
    assert EdgeDropout(0.0)(adj) is adj
    with pytest.raises(ValueError, match="less than 1"):
        EdgeDropout(1.0)


def test_pairs_and_masks_of_another_graph_are_refused(edge_index):
    graph, kept = MaskedGraph(USERS, ITEMS), torch.ones(edge_index.size(1))
    with pytest.raises(InputError, match=r"'kept' has shape \[1\]"):
        graph.keep(edge_index, kept[:1].bool())
    with pytest.raises(InputError, match=r"'kept' has dtype torch.float32; expected bool"):
        graph.keep(edge_index, kept)
    with pytest.raises(InputError, match=r"'edge_index' has shape"):
        graph.keep(edge_index.t(), kept.bool())


def test_dropout_passes_gradients_to_learned_weights():
    adj = rectangle()
    weight = adj.weight.clone().requires_grad_()
    dropped = EdgeDropout(0.3)(adj._replace(weight=weight))
    dropped.matmul(torch.ones(5, 1)).sum().backward()
    torch.testing.assert_close(weight.grad, (dropped.weight != 0) / 0.7)
