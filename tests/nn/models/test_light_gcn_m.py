import pytest
import torch
from naive import dense_graph, dense_mean

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import LightGCN, LightGCNM
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def start(model, data):
    """What users and items start from, item by item."""
    items = []
    for item in range(data[ITEM].num_nodes):
        visual = data[ITEM].x_visual[item] * data[ITEM].mask_visual[item]
        x = torch.cat([data[ITEM].x_acoustic[item], visual])
        free = model.embedding.item[item] if item < 40 else 0
        items.append(free + model.projection.weight @ x)
    return model.embedding.user, torch.stack(items)


def dense_formula(model, data, num_layers):
    hops = num_layers * [dense_graph(data[INTERACTS].edge_index)]
    return dense_mean(*start(model, data), hops)


@pytest.mark.parametrize("num_layers", [0, 2])
def test_encode_equals_the_dense_formula(data, num_layers):
    model = LightGCNM.from_data(data, hidden_channels=8, num_layers=num_layers)
    for ours, theirs in zip(encode(model, data), dense_formula(model, data, num_layers)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_losses_equal_the_formulas(data):
    model = LightGCNM.from_data(data, hidden_channels=8, num_layers=2, reg_weight=0.3)
    batch = next(iter(BPRSampler(data, 32, torch.Generator().manual_seed(0))))
    user, item = dense_formula(model, data, 2)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    users, items = start(model, data)
    rows = torch.cat([users[batch.user], items[batch.pos_item], items[batch.neg_item]])
    expected = {"bpr": -margin.sigmoid().log().mean(), "reg": 0.3 * rows.pow(2).sum() / 64}
    torch.testing.assert_close(model.losses(data, batch), expected)
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_without_content_it_is_light_gcn(data):
    model = LightGCNM.from_data(data, num_layers=3)
    plain = LightGCN.from_data(data, num_layers=3)
    plain.embedding.load_state_dict(model.embedding.state_dict())
    torch.nn.init.zeros_(model.projection.weight)
    for ours, theirs in zip(encode(model, data), encode(plain, data)):
        torch.testing.assert_close(ours, theirs)


def test_new_items_start_from_their_content(data):
    model = LightGCNM.from_data(data, hidden_channels=8, num_layers=2)
    item = encode(model, data)[1]
    for key in ("x_visual", "x_acoustic", "mask_visual"):
        data[ITEM][key] = torch.cat([data[ITEM][key], data[ITEM][key][:2]])
    data[ITEM].num_nodes = 42
    more = encode(model, LightGCNNorm()(data))[1]
    torch.testing.assert_close(more[:40], item)
    torch.testing.assert_close(more[40:], start(model, data)[1][40:] / 3)
