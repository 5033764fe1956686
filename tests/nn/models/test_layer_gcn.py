import pytest
import torch
import torch.nn.functional as F
from naive import naive_hop

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import LayerGCN
from mentor_pyg.training.checkpoint import epoch_state, set_epoch_state
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, USER


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def naive(model, edge_index):
    """Node by node, with lists of neighbours."""
    ego = hidden = model.embedding()
    layers = []
    for _ in range(model.num_layers):
        hidden = [
            torch.stack([F.cosine_similarity(row, x, dim=0) * row for row, x in zip(rows, side)])
            for rows, side in zip(naive_hop(*hidden, edge_index), ego)
        ]
        layers.append(hidden)
    return [sum(side) for side in zip(*layers)]


@pytest.mark.parametrize("num_layers", [1, 3])
def test_encode_equals_the_sums_over_neighbours(data, num_layers):
    model = LayerGCN.from_data(data, hidden_channels=8, num_layers=num_layers)
    for ours, theirs in zip(encode(model, data), naive(model, data[INTERACTS].edge_index)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_equal_the_formulas_on_the_pruned_graph(data, batch):
    model = LayerGCN.from_data(data, hidden_channels=8, dropout=0.4, reg_weight=0.3)
    model.start_epoch(data)
    left = data[INTERACTS].edge_index[:, model.graph.kept]
    assert left.size(1) == round(0.6 * data[INTERACTS].edge_index.size(1))
    user, item = naive(model, left)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    free_user, free_item = model.embedding.user, model.embedding.item
    rows = [free_user[batch.user], free_item[batch.pos_item], free_item[batch.neg_item]]
    expected = {
        "bpr": -margin.sigmoid().log().sum(),
        "reg": 0.3 / 2 * sum(x.pow(2).sum() for x in rows),
    }
    torch.testing.assert_close(model.losses(data, batch), expected)


def test_the_full_graph_is_used_outside_of_training(data):
    model = LayerGCN.from_data(data, dropout=0.4)
    before = encode(model, data)[0]
    model.start_epoch(data)
    assert not torch.allclose(model(data)[0], before)
    assert torch.equal(encode(model, data)[0], before)


def test_pruned_pairs_travel_with_the_state_of_the_epoch(data, batch):
    model, other = (LayerGCN.from_data(data, dropout=0.4) for _ in range(2))
    model.start_epoch(data)
    other.start_epoch(data)
    other.load_state_dict(model.state_dict())
    set_epoch_state(other, epoch_state(model), torch.device("cpu"))
    assert torch.equal(other.losses(data, batch)["bpr"], model.losses(data, batch)["bpr"])


def test_without_dropout_there_is_nothing_to_prune(data, batch):
    model = LayerGCN.from_data(data, dropout=0.0, reg_weight=0.0)
    before = model.losses(data, batch)
    model.start_epoch(data)
    assert torch.equal(model.losses(data, batch)["bpr"], before["bpr"])
    assert list(before) == ["bpr"]


def test_users_without_pairs_get_zero(tiny):
    tiny[USER].num_nodes += 1
    data = LightGCNNorm()(tiny)
    user, _ = encode(LayerGCN.from_data(data), data)
    assert torch.equal(user[-1], torch.zeros(64))


def test_needs_a_layer(data):
    with pytest.raises(ValueError, match="num_layers"):
        LayerGCN.from_data(data, num_layers=0)
