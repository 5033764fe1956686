import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import GRCN
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def build(data, **options):
    torch.manual_seed(0)
    model = GRCN.from_data(data, hidden_channels=8, content_channels=5, **options)
    if model.confidence is not None:
        torch.nn.init.normal_(model.confidence)  # so that some pairs are pruned
    return model


def naive(model, data):
    """With dense matrices."""
    num_nodes = 60 + data[ITEM].num_nodes
    links = torch.zeros(num_nodes, num_nodes, dtype=torch.bool)
    for u, i in data[INTERACTS].edge_index.t().tolist():
        links[u, 60 + i] = links[60 + i, u] = True

    def attend(x):
        score = (x @ x.t()).masked_fill(~links, -torch.inf)
        return score.softmax(dim=1).nan_to_num()

    parts, weights = [], []
    for m, name in enumerate(["acoustic", "visual"]):
        item = F.leaky_relu(model.projections.linears[m](data[ITEM][f"x_{name}"]))
        if name == "visual":
            item = item * data[ITEM].mask_visual[:, None]
        item, user = F.normalize(item), F.normalize(model.user[m])
        for _ in range(model.num_routings):
            x = torch.cat([user, item])
            user = F.normalize(user + (attend(x) @ x)[:60])
        x = torch.cat([user, item])
        share = attend(x)
        parts.append(x + share @ x)
        if model.confidence is not None:
            confidence = F.pad(model.confidence[:, m], (0, num_nodes - 100))
            share = share * confidence[None, :]
        weights.append(share.masked_fill(~links, -torch.inf))
    weight = torch.stack(weights).amax(0).clamp(min=0)
    free = torch.cat([model.embedding.user, model.embedding.item])
    free = F.normalize(F.pad(free, (0, 0, 0, num_nodes - 100)))
    hops = [torch.linalg.matrix_power(weight, n) @ free for n in range(model.num_layers + 1)]
    z = torch.cat([sum(hops), *parts], dim=1)
    return z[:60], z[60:]


@pytest.mark.parametrize(
    "options", [{}, {"combine": "max", "num_layers": 3}, {"num_routings": 0, "num_layers": 0}]
)
def test_encode_equals_dense_matrices(data, options):
    model = build(data, **options)
    for ours, theirs in zip(encode(model, data), naive(model, data)):
        torch.testing.assert_close(ours, theirs)


def test_losses_and_gradients_equal_the_formulas(data, batch):
    model = build(data, reg_weight=0.3)
    user, item = naive(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    free = [model.embedding.user[batch.user], model.user[:, batch.user]]
    free += [model.embedding.item[batch.pos_item], model.embedding.item[batch.neg_item]]
    reg = 0.3 * sum(rows.pow(2).sum() for rows in free) / 64
    expected = {"bpr": -margin.sigmoid().log().mean(), "reg": reg}
    losses = model.losses(data, batch)
    torch.testing.assert_close(losses, expected)
    parameters = list(model.parameters())
    ours = torch.autograd.grad(sum(losses.values()), parameters)
    theirs = torch.autograd.grad(sum(expected.values()), parameters)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_without_a_weight_there_is_no_regulariser(data, batch):
    assert list(build(data, reg_weight=0.0).losses(data, batch)) == ["bpr"]


def test_whom_nobody_trusts_is_not_heard(data):
    model = build(data)
    with torch.no_grad():
        model.confidence.fill_(1.0)[60:] = -1.0  # the items
        user, _ = encode(model, data)
    torch.testing.assert_close(user[:, :8], F.normalize(model.embedding.user))


def test_new_items_are_embedded_by_their_content(data):
    model = build(data)
    more = append_copies(data, torch.arange(5))
    user, item = encode(model, more)
    torch.testing.assert_close(user, encode(model, data)[0])
    torch.testing.assert_close(item, naive(model, more)[1])
    assert not item[40:, :8].any()
    assert item[40:, 8:].any(dim=1).all()
