import pytest
import torch

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import VBPR
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.typing import ITEM

OPTIONS = {"hidden_channels": 6, "content_channels": 5}


@pytest.fixture
def data(raw):
    return raw


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    model = VBPR.from_data(data, reg_weight=0.3, **OPTIONS)
    torch.nn.init.normal_(model.item_bias)
    return model


def parts(model, data, item):
    """Image of the content and bias of one item."""
    visual = data[ITEM].x_visual[item] * data[ITEM].mask_visual[item]
    x = torch.cat([data[ITEM].x_acoustic[item], visual])
    weight, bias = model.projection.weight[:-1], model.projection.weight[-1]
    return weight @ x, bias @ x + model.item_bias[item, 0]


def score(model, data, user, item):
    """The formula for one pair."""
    image, bias = parts(model, data, item)
    free = model.embedding.user[user] @ model.embedding.item[item]
    return bias + free + model.user_content[user] @ image


def test_inner_products_are_the_scores(model, data):
    user, item = encode(model, data)
    pairs = [(u, i) for u in range(len(user)) for i in range(len(item))]
    expected = torch.stack([score(model, data, u, i) for u, i in pairs])
    torch.testing.assert_close((user @ item.t()).flatten(), expected, rtol=1e-4, atol=1e-5)


def test_losses_equal_the_formulas_triple_by_triple(model, data):
    batch = next(iter(BPRSampler(data, 32, torch.Generator().manual_seed(0))))
    bpr = reg = 0.0
    for u, i, j in zip(*(x.tolist() for x in batch)):
        bpr -= (score(model, data, u, i) - score(model, data, u, j)).sigmoid().log() / 32
        rows = [model.embedding.user[u], model.user_content[u]]
        for item in (i, j):
            image, bias = parts(model, data, item)
            rows += [model.embedding.item[item], image, bias[None]]
        reg += 0.3 * sum(x @ x for x in rows) / 64
    torch.testing.assert_close(model.losses(data, batch), {"bpr": bpr, "reg": reg})
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_new_items_are_scored_by_their_content(model, data):
    user, item = encode(model, data)
    for key in ("x_visual", "x_acoustic", "mask_visual"):
        data[ITEM][key] = torch.cat([data[ITEM][key], data[ITEM][key][:2]])
    data[ITEM].num_nodes = 42
    same_user, more = encode(model, data)
    assert torch.equal(same_user, user)
    torch.testing.assert_close(more[:40], item)
    free = [model.embedding.item[:2], torch.zeros(2, 5), model.item_bias[:2]]
    torch.testing.assert_close(more[40:], item[:2] - torch.cat(free, dim=1))
