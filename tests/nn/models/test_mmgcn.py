import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MMGCN
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def build(data, **options):
    torch.manual_seed(0)
    model = MMGCN.from_data(data, hidden_channels=8, content_channels=5, **options)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return model


def naive(model, data):
    """With dense matrices of means."""
    num_items = data[ITEM].num_nodes
    links = torch.zeros(60, num_items)
    for u, i in data[INTERACTS].edge_index.t().tolist():
        links[u, i] = 1
    means = [x / x.sum(1, keepdim=True).clamp(min=1) for x in (links, links.t())]
    ids = model.embedding.user, F.pad(model.embedding.item, (0, 0, 0, num_items - 40))

    def convolve(conv, x, source, mean, id):
        said = F.leaky_relu(mean @ source @ conv.lin_neighbor.weight.t())
        own = F.leaky_relu(conv.lin_self(x)) + id
        if conv.combine == "concat":
            return F.leaky_relu(conv.lin_out(torch.cat([said, own], dim=1)))
        return F.leaky_relu(conv.lin_out(said) + own)

    parts = []
    for m, name in enumerate(["acoustic", "visual"]):
        item = model.projections.linears[m](data[ITEM][f"x_{name}"])
        if name == "visual":
            item = item * data[ITEM].mask_visual[:, None]
        x = F.normalize(model.user[m]), F.normalize(item)
        for conv in model.convs[m]:
            x = [convolve(conv, *given) for given in zip(x, x[::-1], means, ids)]
        parts.append(x)
    return [sum(side) / 2 for side in zip(*parts)]


@pytest.mark.parametrize("options", [{"num_layers": 3}, {"num_layers": 1, "combine": "sum"}])
def test_encode_equals_the_dense_formula(data, options):
    model = build(data, **options)
    for ours, theirs in zip(encode(model, data), naive(model, data)):
        torch.testing.assert_close(ours, theirs)


def test_losses_equal_the_formulas(data, batch):
    model = build(data, reg_weight=0.3)
    user, item = naive(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    free = [model.embedding.user[batch.user], model.user[:, batch.user]]
    free += [model.embedding.item[batch.pos_item], model.embedding.item[batch.neg_item]]
    reg = 0.3 * sum(rows.pow(2).sum() for rows in free) / 64
    expected = {"bpr": -margin.sigmoid().log().mean(), "reg": reg}
    torch.testing.assert_close(model.losses(data, batch), expected)
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_new_items_start_from_their_content(data):
    model = build(data)
    more = append_copies(data, torch.arange(5))
    user, item = encode(model, more)
    torch.testing.assert_close(user, encode(model, data)[0])
    torch.testing.assert_close(item, naive(model, more)[1])


def test_needs_a_layer(data):
    with pytest.raises(ValueError, match="num_layers: is 0; expected at least 1"):
        build(data, num_layers=0)
