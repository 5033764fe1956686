import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_layers

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import DualGNN
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import LightGCNNorm, UserCooccurrence
from mentor_pyg.typing import COOCCURS, INTERACTS, ITEM

K = 3


@pytest.fixture
def data(raw):
    return LightGCNNorm()(UserCooccurrence(K)(raw))


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    return DualGNN.from_data(data, hidden_channels=8, num_layers=3, reg_weight=0.3)


def modality_part(model, data, name):
    """LightGCN of users and items by one modality, with dense matrices."""
    encoder = model.encoders[name]
    first, second = encoder.mlp.lins
    item = second(F.leaky_relu(first(data[ITEM][f"x_{name}"])))
    if f"mask_{name}" in data[ITEM]:
        item = item * data[ITEM][f"mask_{name}"][:, None]
    user, item = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) for x in (encoder.user, item))
    graph = dense_graph(data[INTERACTS].edge_index, 60, len(item))
    return [sum(side) for side in zip(*dense_layers(user, item, 3 * [graph]))]


def naive(model, data):
    """Users and items one by one."""
    (user_a, item_a), (user_v, item_v) = (
        modality_part(model, data, m) for m in ("acoustic", "visual")
    )
    alpha = model.fusion.weight
    own = [alpha[u, 0] * user_a[u] + alpha[u, 1] * user_v[u] for u in range(60)]
    bought = [set() for _ in range(60)]
    for u, i in data[INTERACTS].edge_index.t().tolist():
        bought[u].add(i)
    users = []
    for u in range(60):
        shared = [(-len(bought[u] & bought[v]), v) for v in range(60) if v != u]
        near = [(-c, v) for c, v in sorted(shared)[:K] if c < 0]
        weights = torch.tensor([float(c) for c, _ in near]).softmax(0)
        users.append(own[u] + sum(w * own[v] for w, (_, v) in zip(weights, near)))
    return torch.stack(users), item_a + item_v


def test_encode_equals_the_formulas_one_by_one(model, data):
    for ours, theirs in zip(encode(model, data), naive(model, data)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_losses_equal_the_formulas(model, data, batch):
    user, item = naive(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [model.encoders[m].user[batch.user] for m in ("acoustic", "visual")]
    squares = sum(r.pow(2).sum() / (32 * 8) for r in rows)
    squares = squares + model.fusion.weight.pow(2).sum() / (60 * 2)
    expected = {"bpr": -margin.sigmoid().log().mean(), "reg": 0.3 * squares}
    torch.testing.assert_close(model.losses(data, batch), expected)
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_weights_of_a_user_start_as_a_softmax(model):
    torch.testing.assert_close(model.fusion.weight.sum(1), torch.ones(60, 1))
    assert model.fusion.weight.std() > 0


def test_new_items_are_embedded_by_their_content(model, data):
    user, item = encode(model, data)
    more = append_copies(data, torch.arange(5))
    same_user, all_items = encode(model, more)
    assert torch.equal(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    torch.testing.assert_close(all_items, naive(model, more)[1], rtol=1e-4, atol=1e-5)


def test_needs_a_user_graph(model, data):
    del data[COOCCURS]
    with pytest.raises(InputError, match="no user graph 'cooccurs'"):
        encode(model, data)
