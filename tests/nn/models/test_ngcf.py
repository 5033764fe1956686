import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import NGCF
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def dense_formula(model, data):
    graph = dense_graph(data[INTERACTS].edge_index)
    user, item = model.embedding()
    layers = [(user, item)]
    for conv in model.convs:
        heard = graph @ item, graph.t() @ user
        user, item = (
            F.leaky_relu(
                (x + near) @ conv.lin_sum.weight.t() + (near * x) @ conv.lin_product.weight.t(), 0.2
            )
            for x, near in zip((user, item), heard)
        )
        pair = user, item
        layers.append([F.normalize(x) for x in pair] if model.normalize else pair)
    return [torch.cat(side, dim=1) for side in zip(*layers)]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_encode_equals_the_dense_formula(data, num_layers, normalize):
    options = {"num_layers": num_layers, "normalize": normalize}
    model = NGCF.from_data(data, hidden_channels=8, **options)
    for ours, theirs in zip(encode(model, data), dense_formula(model, data)):
        assert ours.size(1) == 8 * (num_layers + 1)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_losses_equal_the_formulas(data, batch):
    model = NGCF.from_data(data, hidden_channels=8, dropout=0.0, reg_weight=0.3)
    user, item = dense_formula(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    free_user, free_item = model.embedding.user, model.embedding.item
    rows = [free_user[batch.user], free_item[batch.pos_item], free_item[batch.neg_item]]
    norm = sum(x.pow(2).sum() for x in rows) / 32
    for conv in model.convs:
        norm = norm + conv.lin_sum.weight.pow(2).sum() + conv.lin_product.weight.pow(2).sum()
    expected = {"bpr": -margin.sigmoid().log().mean(), "reg": 0.3 / 2 * norm}
    torch.testing.assert_close(model.losses(data, batch), expected)
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_messages_are_dropped_in_training_alone(data, batch):
    model = NGCF.from_data(data, num_layers=1, dropout=0.5, normalize=False)
    layer = model(data)[0][:, 64:]
    assert (layer == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (encode(model, data)[0] == 0).sum() == 0


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_must_leave_something(data, dropout):
    with pytest.raises(ValueError, match="dropout"):
        NGCF.from_data(data, dropout=dropout)
