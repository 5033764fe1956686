import pytest
import torch
import torch.nn.functional as F
from naive import naive_hop

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import BM3
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def build(data, **options):
    torch.manual_seed(0)
    model = BM3.from_data(data, hidden_channels=8, **options)
    for bias in [model.predictor.bias, *(layer.bias for layer in model.projections.linears)]:
        torch.nn.init.normal_(bias, std=0.1)
    return model


def online(model, data):
    """h, node by node."""
    layers = [model.embedding()]
    for _ in range(model.propagation.num_layers):
        layers.append(naive_hop(*layers[-1], data[INTERACTS].edge_index))
    user, item = (sum(side) / len(layers) for side in zip(*layers))
    return user, item + model.embedding.item


def predict(model, h):
    return h @ model.predictor.weight.t() + model.predictor.bias


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_scores_are_products_of_what_is_predicted(data, num_layers):
    model = build(data, num_layers=num_layers)
    for ours, h in zip(encode(model, data), online(model, data)):
        torch.testing.assert_close(ours, predict(model, h), rtol=1e-4, atol=1e-6)


def test_losses_and_gradients_equal_the_formulas_pair_by_pair(data, batch):
    model = build(data, num_layers=2, dropout=0.0, content_weight=0.7, reg_weight=0.3)
    user, item = online(model, data)
    expected = dict.fromkeys(["reconstruct", "align", "mask"], 0.0)
    expected["reg"] = 0.3 * (user.pow(2).sum().sqrt() + item.pow(2).sum().sqrt()) / 40

    def cost(a, b):
        return (1 - F.cosine_similarity(predict(model, a), b.detach(), dim=0)) / 32

    for u, i in zip(batch.user.tolist(), batch.pos_item.tolist()):
        expected["reconstruct"] += cost(user[u], item[i]) + cost(item[i], user[u])
        for m, linear in zip(["acoustic", "visual"], model.projections.linears):
            if m == "visual" and not data[ITEM].mask_visual[i]:
                expected["align"] += 0.7 / 32
                expected["mask"] += 0.7 / 32
                continue
            z = linear.weight @ data[ITEM][f"x_{m}"][i] + linear.bias
            expected["align"] += 0.7 * cost(z, item[i])
            expected["mask"] += 0.7 * cost(z, z)
    losses = model.losses(data, batch)
    torch.testing.assert_close(losses, expected)
    parameters = list(model.parameters())
    grads = [torch.autograd.grad(sum(x.values()), parameters) for x in (losses, expected)]
    for ours, theirs in zip(*grads):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_negative_items_are_not_looked_at(data, batch):
    model = build(data, dropout=0.0)
    other = batch._replace(neg_item=batch.neg_item.roll(1))
    torch.testing.assert_close(model.losses(data, batch), model.losses(data, other), rtol=0, atol=0)


def test_targets_are_dropped_out_in_training_alone(data, batch):
    model = build(data, dropout=0.9)
    first, second = (model.losses(data, batch)["reconstruct"] for _ in range(2))
    assert first != second
    model.eval()
    first, second = (model.losses(data, batch)["reconstruct"] for _ in range(2))
    assert first == second


def test_without_weights_nothing_else_is_computed(data, batch):
    model = BM3.from_data(data, content_weight=0.0, reg_weight=0.0)
    assert list(model.losses(data, batch)) == ["reconstruct"]
    assert not any(name.startswith("projections") for name in model.state_dict())


def test_the_ratio_must_leave_something(data):
    with pytest.raises(ValueError, match=r"dropout: is 1.0; expected at least 0 and less"):
        BM3.from_data(data, dropout=1.0)
