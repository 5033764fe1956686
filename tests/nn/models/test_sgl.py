import pytest
import torch
from naive import dense_graph, dense_mean, naive_contrast

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import SGL, LightGCN
from mentor_pyg.training.checkpoint import epoch_state, set_epoch_state
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS

AUGMENTATIONS = ["edge", "node", "walk"]


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_losses_equal_the_formulas(data, batch, augmentation):
    options = {"dropout": 0.4, "contrast_weight": 0.7, "temperature": 0.3, "reg_weight": 0.2}
    model = SGL.from_data(data, hidden_channels=8, augmentation=augmentation, **options)
    model.start_epoch(data)
    edge_index = data[INTERACTS].edge_index
    user, item = dense_mean(*model.embedding(), 3 * [dense_graph(edge_index)])
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    views = []
    for graphs in model.views:
        matrices = [dense_graph(edge_index[:, graph.kept]) for graph in graphs]
        matrices = matrices if len(matrices) > 1 else 3 * matrices
        views.append(dense_mean(*model.embedding(), matrices))
    rows = [sorted(set(x.tolist())) for x in (batch.user, batch.pos_item)]
    contrast = [naive_contrast(a, b, r, 0.3) for a, b, r in zip(*views, rows)]
    free = model.embedding
    triple = [free.user[batch.user], free.item[batch.pos_item], free.item[batch.neg_item]]
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.7 * sum(contrast),
        "reg": 0.2 / 2 * sum(x.pow(2).sum(1).mean() for x in triple),
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_encode_is_that_of_light_gcn(data):
    model, plain = SGL.from_data(data), LightGCN.from_data(data, num_layers=3)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if "embedding" in k})
    model.start_epoch(data)
    for ours, theirs in zip(encode(model, data), encode(plain, data)):
        assert torch.equal(ours, theirs)
    assert torch.equal(model(data)[0], encode(model, data)[0])


@pytest.mark.parametrize("augmentation", ["edge", "walk"])
def test_edges_are_dropped_with_the_probability(data, augmentation):
    model = SGL.from_data(data, augmentation=augmentation, dropout=0.3, num_layers=2)
    model.start_epoch(data)
    masks = [graph.kept for view in model.views for graph in view]
    assert len(masks) == (4 if augmentation == "walk" else 2)
    deviation = (0.3 * 0.7 / masks[0].numel()) ** 0.5
    for mask in masks:
        assert abs(mask.float().mean() - 0.7) < 5 * deviation
    assert len({tuple(mask.tolist()) for mask in masks}) == len(masks)


def test_a_node_takes_all_of_its_pairs_along(data):
    model = SGL.from_data(data, augmentation="node", dropout=0.3)
    model.start_epoch(data)
    user, item = data[INTERACTS].edge_index
    for (graph,) in model.views:
        users, items = (nodes[graph.kept].unique() for nodes in (user, item))
        assert 0 < len(users) < 60
        assert torch.equal(graph.kept, torch.isin(user, users) & torch.isin(item, items))


def test_views_travel_with_the_state_of_the_epoch(data, batch):
    model, other = (SGL.from_data(data, dropout=0.4) for _ in range(2))
    model.start_epoch(data)
    other.start_epoch(data)
    assert not torch.equal(model.views[0][0].kept, other.views[0][0].kept)
    other.load_state_dict(model.state_dict())
    set_epoch_state(other, epoch_state(model), torch.device("cpu"))
    assert torch.equal(other.losses(data, batch)["contrast"], model.losses(data, batch)["contrast"])


def test_terms_of_weight_zero_are_absent(data, batch):
    model = SGL.from_data(data, contrast_weight=0.0, reg_weight=0.0)
    model.start_epoch(data)
    assert list(model.losses(data, batch)) == ["bpr"]
    assert not model.views


@pytest.mark.parametrize(
    ("options", "message"),
    [({"augmentation": "noise"}, "one of 'edge'"), ({"dropout": 1.0}, "less")],
)
def test_bad_options(data, options, message):
    with pytest.raises(ValueError, match=message):
        SGL.from_data(data, **options)
