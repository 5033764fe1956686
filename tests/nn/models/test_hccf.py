import pytest
import torch
import torch.nn.functional as F
from naive import naive_contrast

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import HCCF
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def act(x):
    return torch.where(x > 0, x, 0.5 * x)


def naive(model, edge_index):
    """Dense graphs, users and items apart; embeddings and the messages of every hop."""
    user, item = model.embedding.user, model.embedding.item
    pairs = torch.zeros(len(user), len(item))
    pairs[edge_index[0], edge_index[1]] = 1
    degrees = pairs.sum(1, keepdim=True).clamp(min=1) * pairs.sum(0).clamp(min=1)
    pairs = pairs / degrees.sqrt()

    def wide(x, start, hypergraph):
        member = start @ hypergraph.weight
        edge = act(member.t() @ x)
        for level in hypergraph.levels:
            edge = act(level @ edge) + edge
        return act(member @ edge)

    layers, hops = [(user, item)], []
    for _ in range(model.num_layers):
        u, i = layers[-1]
        near = act(pairs @ i), act(pairs.t() @ u)
        far = wide(u, user, model.user_hypergraph), wide(i, item, model.item_hypergraph)
        hops.append((near, far))
        layers.append((near[0] + far[0] + u, near[1] + far[1] + i))
    return [sum(side) for side in zip(*layers)], hops


@pytest.mark.parametrize("num_layers", [1, 3])
def test_encode_equals_the_dense_formula(data, num_layers):
    model = HCCF.from_data(data, hidden_channels=8, num_layers=num_layers)
    expected, _ = naive(model, data[INTERACTS].edge_index)
    for ours, theirs in zip(encode(model, data), expected):
        torch.testing.assert_close(ours, theirs)


def test_losses_equal_the_formulas(data, batch):
    options = {"dropout": 0.0, "contrast_weight": 0.7, "temperature": 0.3, "reg_weight": 0.2}
    model = HCCF.from_data(data, hidden_channels=8, num_levels=1, **options)
    (user, item), hops = naive(model, data[INTERACTS].edge_index)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [sorted(set(x.tolist())) for x in (batch.user, batch.pos_item)]
    contrast = [
        naive_contrast(near[side], far[side], rows[side], 0.3)
        for near, far in hops
        for side in range(2)
    ]
    expected = {
        "bpr": -F.logsigmoid(margin).mean(),
        "contrast": 0.7 * sum(contrast),
        "reg": 0.2 * sum(p.pow(2).sum() for p in model.parameters()),
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_graphs_are_dropped_in_training_alone(data):
    model = HCCF.from_data(data)
    assert not torch.equal(model(data)[0], model(data)[0])
    assert torch.equal(encode(model, data)[0], encode(model, data)[0])


def test_terms_of_weight_zero_are_absent(data, batch):
    model = HCCF.from_data(data, contrast_weight=0.0, reg_weight=0.0)
    assert list(model.losses(data, batch)) == ["bpr"]


def test_needs_a_layer(data):
    with pytest.raises(ValueError, match="num_layers"):
        HCCF.from_data(data, num_layers=0)
