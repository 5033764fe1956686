import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_layers, dense_mean, naive_contrast, neighbor_lists

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import LGMRec
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM

NAMES = ["acoustic", "visual"]


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def build(data, **options):
    torch.manual_seed(0)
    return LGMRec.from_data(
        data, hidden_channels=8, num_layers=3, num_hyperedges=3, temperature=0.5, **options
    )


def features(data, modality):
    x = data[ITEM][f"x_{modality}"].clone()
    if modality == "visual":
        x[~data[ITEM].mask_visual] = 0
    return x


def naive_global(model, data, start):
    """Global embeddings by modality, without noise and dropout, node by node."""
    of_users, _ = neighbor_lists(data[INTERACTS].edge_index)
    views = []
    for m, attribute in zip(NAMES, model.hypergraph.attributes.linears):
        logit = features(data, m) @ attribute.weight.t()
        has = data[ITEM].mask_visual if m == "visual" else torch.ones(40, dtype=torch.bool)
        items = [(x / 0.5).softmax(0) if has[i] else 0 * x for i, x in enumerate(logit)]
        zero = torch.zeros(3)
        users = [(sum((logit[i] for i in own), zero) / 0.5).softmax(0) for own in of_users]
        sent = start
        for _ in range(model.hypergraph.num_layers):
            edges = [sum(h[k] * e for h, e in zip(items, sent)) for k in range(3)]
            sent = [sum(h[k] * edges[k] for k in range(3)) for h in items]
        user = [sum(h[k] * edges[k] for k in range(3)) for h in users]
        views.append((torch.stack(user), torch.stack(sent)))
    return views


def naive(model, data):
    """Embeddings of users and items, and the global ones of each modality."""
    adj = dense_graph(data[INTERACTS].edge_index)
    out = dense_mean(model.embedding.user, model.embedding.item, 3 * [adj])
    views = naive_global(model, data, out[1])
    for m, linear in zip(NAMES, model.projections.linears):
        item = features(data, m) @ linear.weight.t()
        user = (adj > 0).float() @ item / (adj > 0).sum(dim=1, keepdim=True).clamp(min=1)
        near = dense_layers(user, item, model.num_content_layers * [adj])[-1]
        out = [x + F.normalize(y) for x, y in zip(out, near)]
    total = [sum(parts) for parts in zip(*views)]
    return [x + model.global_weight * F.normalize(y) for x, y in zip(out, total)], views


@pytest.mark.parametrize("num_hyper_layers", [1, 2])
@pytest.mark.parametrize("num_content_layers", [0, 2])
def test_encode_equals_the_formulas(data, num_content_layers, num_hyper_layers):
    options = {"num_content_layers": num_content_layers, "num_hyper_layers": num_hyper_layers}
    model = build(data, **options)
    for ours, theirs in zip(encode(model, data), naive(model, data)[0]):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_losses_equal_the_formulas(data, batch):
    model = build(data, contrast_weight=0.2, reg_weight=0.3).eval()
    (user, item), views = naive(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    distinct = [sorted(set(ids.tolist())) for ids in batch[:2]]
    contrast = sum(naive_contrast(*args, 0.5) for args in zip(*views, distinct))
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.2 * contrast,
        "reg": 0.3 * sum(r.pow(2).sum() for r in rows) / 64,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_one_modality_has_no_contrast(data, batch):
    del data[ITEM].x_visual, data[ITEM].mask_visual
    assert list(build(data).losses(data, batch)) == ["bpr", "reg"]


def test_new_items_get_the_embeddings_of_their_hyperedges(data):
    """And send nothing to them, not even after two hops."""
    model = build(data, num_hyper_layers=2)
    user, item = encode(model, data)
    rows = data[ITEM].mask_visual.nonzero().flatten()[:5]
    same_user, all_items = encode(model, append_copies(data, rows))
    torch.testing.assert_close(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    _, views = model.eval()._embed(data)
    expected = 0.3 * F.normalize(sum(view[1][rows] for view in views.values()))
    torch.testing.assert_close(all_items[40:], expected)
