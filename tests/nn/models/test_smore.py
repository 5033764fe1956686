import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import SMORE
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, similar

NAMES = ["acoustic", "visual"]


@pytest.fixture
def data(raw):
    return LightGCNNorm()(ItemKNN(4, self_loops=True, cache=False)(raw))


def build(data, **options):
    torch.manual_seed(0)
    return SMORE.from_data(data, hidden_channels=8, num_layers=3, **options)


def graphs(data):
    """Dense matrices: the user-item graph, those of the modalities and their maximum."""
    num_items = data[ITEM].num_nodes
    links = torch.zeros(60 + num_items, 60 + num_items)
    for u, i in data[INTERACTS].edge_index.t().tolist():
        links[u, 60 + i] = links[60 + i, u] = 1
    scale = links.sum(1).clamp(min=1).rsqrt()
    similarity = []
    for m in NAMES:
        matrix = torch.zeros(num_items, num_items)
        store = data[similar(m)]
        matrix[store.edge_index[1], store.edge_index[0]] = store.edge_weight
        similarity.append(matrix)
    return scale[:, None] * links * scale, [*similarity, torch.maximum(*similarity)]


def naive(model, data):
    """The parts that come of behaviour and of content, with dense matrices."""
    adj, similarity = graphs(data)
    num_items = data[ITEM].num_nodes
    free = F.pad(model.embedding.item, (0, 0, 0, num_items - 40))
    start = torch.cat([model.embedding.user, free])
    behavior = sum(torch.linalg.matrix_power(adj, hop) @ start for hop in range(4)) / 4
    mask = data[ITEM].mask_visual
    projected = [
        linear(data[ITEM][f"x_{m}"]) for linear, m in zip(model.projections.linears, NAMES)
    ]
    projected[1] = projected[1] * mask[:, None]
    spectra = [torch.fft.fft(h)[:, :5] / 8**0.5 for h in projected]
    spectra.append(torch.where(mask[:, None], spectra[0] * spectra[1], spectra[0]))
    filters = torch.complex(*model.spectrum.weight.unbind(2))
    parts = []
    for z, c, gate, matrix in zip(spectra, filters, model.gates, similarity):
        item = free * gate[0](torch.fft.irfft(c * z, n=8) * 8**0.5).sigmoid()
        item = torch.linalg.matrix_power(matrix, model.num_item_layers) @ item
        parts.append(torch.cat([adj[:60, 60:] @ item, item]))
    out = model.preferences[2][0](behavior).sigmoid() * parts[2]
    for query, preference, part in zip(model.queries, model.preferences, parts):
        attention = query[2](query[0](parts[2]).tanh()).softmax(dim=1)
        out = out + preference[0](behavior).sigmoid() * attention * part
    return behavior, out / 3


@pytest.mark.parametrize("num_item_layers", [1, 2])
def test_encode_equals_dense_matrices(data, num_item_layers):
    model = build(data, num_item_layers=num_item_layers)
    ours = torch.cat(encode(model, data))
    torch.testing.assert_close(ours, sum(naive(model, data)), rtol=1e-4, atol=1e-6)


def contrast(a, b):
    """InfoNCE row by row at a temperature of 0.5."""
    total = 0.0
    for n in range(len(a)):
        logits = torch.stack([F.cosine_similarity(a[n], other, dim=0) / 0.5 for other in b])
        total = total - logits.log_softmax(0)[n] / len(a)
    return total


def test_losses_equal_the_formulas(data, batch):
    model = build(data, contrast_weight=0.2, temperature=0.5, reg_weight=0.3)
    behavior, side = naive(model, data)
    user, item = (behavior + side)[:60], (behavior + side)[60:]
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    users = sorted(set(batch.user.tolist()))
    items = sorted({60 + i for i in batch.pos_item.tolist()})
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.2 * sum(contrast(side[n], behavior[n]) for n in (users, items)),
        "reg": 0.3 * sum(r.pow(2).sum() for r in rows) / 64,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-4, atol=1e-6)


def test_without_weights_nothing_else_is_computed(data, batch):
    model = build(data, contrast_weight=0.0, reg_weight=0.0)
    assert list(model.losses(data, batch)) == ["bpr"]


def test_dropout_is_of_the_training_alone(data):
    model, without = build(data, dropout=0.5), build(data)
    assert torch.equal(encode(model, data)[0], encode(without, data)[0])
    assert not torch.equal(model.encode(data)[0], without.encode(data)[0])
    with pytest.raises(ValueError, match=r"dropout: is 1.0; expected at least 0 and less"):
        build(data, dropout=1.0)


def test_new_items_start_from_their_neighbours(data):
    model = build(data)
    user, item = encode(model, data)
    more = append_copies(data, torch.arange(5))
    same_user, all_items = encode(model, more)
    torch.testing.assert_close(same_user, user)
    expected = sum(naive(model, more))
    torch.testing.assert_close(all_items, expected[60:], rtol=1e-4, atol=1e-6)
    assert all_items[40:].any(dim=1).any()
    torch.testing.assert_close(encode(model, data)[1], item)  # of its own graph again


def test_needs_item_graphs(data):
    model = build(data)
    del data[similar("visual")]
    with pytest.raises(InputError, match="no item graph 'similar_visual'"):
        encode(model, data)
