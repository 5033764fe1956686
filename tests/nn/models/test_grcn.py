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
    if model.user_confidence is not None:  # so that some pairs are pruned
        torch.nn.init.normal_(model.user_confidence)
        torch.nn.init.normal_(model.item_confidence)
    return model


def naive(model, data):
    """With dense matrices [U, I] of what users hear, and [I, U] of what items do."""
    num_new = data[ITEM].num_nodes - 40
    links = torch.zeros(60, 40 + num_new, dtype=torch.bool)
    for u, i in data[INTERACTS].edge_index.t().tolist():
        links[u, i] = True

    def attend(x, y, links):
        score = (x @ y.t()).masked_fill(~links, -torch.inf)
        return score.softmax(dim=1).nan_to_num()

    user_parts, item_parts, to_users, to_items = [], [], [], []
    for m, name in enumerate(["acoustic", "visual"]):
        item = F.leaky_relu(model.projections.linears[m](data[ITEM][f"x_{name}"]))
        if name == "visual":
            item = item * data[ITEM].mask_visual[:, None]
        item, user = F.normalize(item), F.normalize(model.user[m])
        for _ in range(model.num_routings):
            user = F.normalize(user + attend(user, item, links) @ item)
        by_user, by_item = attend(user, item, links), attend(item, user, links.t())
        user_parts.append(user + by_user @ item)
        item_parts.append(item + by_item @ user)
        if model.user_confidence is not None:
            by_user = by_user * F.pad(model.item_confidence[:, m], (0, num_new))
            by_item = by_item * model.user_confidence[:, m]
        to_users.append(by_user.masked_fill(~links, -torch.inf))
        to_items.append(by_item.masked_fill(~links.t(), -torch.inf))
    weights = [torch.stack(each).amax(0).clamp(min=0) for each in (to_users, to_items)]
    hidden = [F.normalize(model.embedding.user)]
    hidden.append(F.normalize(F.pad(model.embedding.item, (0, 0, 0, num_new))))
    out = hidden
    for _ in range(model.num_layers):
        hidden = [weights[0] @ hidden[1], weights[1] @ hidden[0]]
        out = [x + y for x, y in zip(out, hidden)]
    return torch.cat([out[0], *user_parts], dim=1), torch.cat([out[1], *item_parts], dim=1)


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
        model.user_confidence.fill_(1.0)
        model.item_confidence.fill_(-1.0)
        user, item = encode(model, data)
    torch.testing.assert_close(user[:, :8], F.normalize(model.embedding.user))
    assert not torch.allclose(item[:, :8], F.normalize(model.embedding.item), atol=1e-2)


def test_all_are_trusted_alike_at_first(data):
    model = GRCN.from_data(data)
    for confidence, rows in ((model.user_confidence, 60), (model.item_confidence, 40)):
        assert torch.equal(confidence, torch.ones(rows, 2))
    greatest = GRCN.from_data(data, combine="max")
    assert not any("confidence" in name for name, _ in greatest.named_parameters())


def test_new_items_are_embedded_by_their_content(data):
    model = build(data)
    more = append_copies(data, torch.arange(5))
    user, item = encode(model, more)
    torch.testing.assert_close(user, encode(model, data)[0])
    torch.testing.assert_close(item, naive(model, more)[1])
    assert not item[40:, :8].any()
    assert item[40:, 8:].any(dim=1).all()
