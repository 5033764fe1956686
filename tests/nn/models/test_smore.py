import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean

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
    similarity = []
    for m in NAMES:
        matrix = torch.zeros(num_items, num_items)
        store = data[similar(m)]
        matrix[store.edge_index[1], store.edge_index[0]] = store.edge_weight
        similarity.append(matrix)
    links = dense_graph(data[INTERACTS].edge_index, 60, num_items)
    return links, [*similarity, torch.maximum(*similarity)]


def naive(model, data):
    """What comes of behaviour and of content, of users and items each, with dense matrices."""
    adj, similarity = graphs(data)
    num_items = data[ITEM].num_nodes
    free = F.pad(model.embedding.item, (0, 0, 0, num_items - 40))
    behavior = dense_mean(model.embedding.user, free, 3 * [adj])
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
        parts.append((adj @ item, item))
    chosen = []
    for x, (*alone, fused) in zip(behavior, zip(*parts)):
        out = model.preferences[2][0](x).sigmoid() * fused
        for query, preference, part in zip(model.queries, model.preferences, alone):
            attention = query[2](query[0](fused).tanh()).softmax(dim=1)
            out = out + preference[0](x).sigmoid() * attention * part
        chosen.append(out / 3)
    return behavior, chosen


def embeddings(model, data):
    return [x + y for x, y in zip(*naive(model, data))]


@pytest.mark.parametrize("num_item_layers", [1, 2])
def test_encode_equals_dense_matrices(data, num_item_layers):
    model = build(data, num_item_layers=num_item_layers)
    for ours, theirs in zip(encode(model, data), embeddings(model, data)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


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
    user, item = embeddings(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    distinct = [sorted(set(ids.tolist())) for ids in batch[:2]]
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.2 * sum(contrast(a[n], b[n]) for a, b, n in zip(side, behavior, distinct)),
        "reg": 0.3 * sum(r.pow(2).sum() for r in rows) / 64,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-4, atol=1e-6)


def test_without_weights_nothing_else_is_computed(data, batch):
    model = build(data, contrast_weight=0.0, reg_weight=0.0)
    assert list(model.losses(data, batch)) == ["bpr"]


def test_dropout_is_of_the_training_alone(data):
    model, without = build(data, dropout=0.5), build(data)
    assert torch.equal(encode(model, data)[0], encode(without, data)[0])
    assert not torch.equal(model(data)[0], without(data)[0])
    with pytest.raises(ValueError, match=r"dropout: is 1.0; expected at least 0 and less"):
        build(data, dropout=1.0)


def test_new_items_start_from_their_neighbours(data):
    model = build(data)
    user, item = encode(model, data)
    more = append_copies(data, torch.arange(5))
    same_user, all_items = encode(model, more)
    torch.testing.assert_close(same_user, user)
    torch.testing.assert_close(all_items, embeddings(model, more)[1], rtol=1e-4, atol=1e-6)
    assert all_items[40:].any(dim=1).any()
    torch.testing.assert_close(encode(model, data)[1], item)  # of its own graph again


def test_needs_item_graphs(data):
    model = build(data)
    del data[similar("visual")]
    with pytest.raises(InputError, match="no item graph 'similar_visual'"):
        encode(model, data)
