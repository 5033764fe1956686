import math

import pytest
import torch
from naive import dense_graph, dense_mean

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import FREEDOM
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.training.checkpoint import epoch_state, set_epoch_state
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, SIMILAR

K = 4


def with_graphs(data, merge=None):
    knn = ItemKNN(K, weights="binary", self_loops=True, merge=merge, cache=False)
    return LightGCNNorm()(knn(data))


@pytest.fixture
def data(raw):
    return with_graphs(raw)


def build(data, **options):
    torch.manual_seed(0)
    return FREEDOM.from_data(data, hidden_channels=8, **options)


def item_matrix(data, modality):
    """D^(-1/2) S D^(-1/2) of the paper with the binary S of each item's k nearest, itself
    included, and D the sums of its rows."""
    x = data[ITEM][f"x_{modality}"].clone()
    mask = data[ITEM].get(f"mask_{modality}", torch.ones(len(x), dtype=torch.bool))
    x[~mask] = 0
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosine = unit @ unit.t()
    cosine[:, ~mask] = -2
    s = torch.zeros_like(cosine).scatter(1, cosine.topk(K).indices, 1.0)
    s[~mask] = 0
    root = s.sum(1).clamp(min=1e-12).rsqrt() * mask
    return root[:, None] * s * root


def naive(model, data, edge_index, item_graph):
    """With dense matrices."""
    hops = model.propagation.num_layers * [dense_graph(edge_index)]
    user, item = dense_mean(*model.embedding(), hops)
    hops = torch.linalg.matrix_power(item_graph, model.num_item_layers)
    return user, item + hops @ model.embedding.item


@pytest.mark.parametrize("num_item_layers", [0, 1, 2])
@pytest.mark.parametrize("merge", [None, {"visual": 0.1, "acoustic": 0.9}])
def test_encode_equals_dense_matrices(raw, merge, num_item_layers):
    data = with_graphs(raw, merge)
    model = build(data, num_layers=3, num_item_layers=num_item_layers)
    weights = merge or {"visual": 0.5, "acoustic": 0.5}
    graph = sum(w * item_matrix(data, m) for m, w in weights.items())
    expected = naive(model, data, data[INTERACTS].edge_index, graph)
    for ours, theirs in zip(encode(model, data), expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_equal_the_formulas_triple_by_triple(data, batch):
    model = build(data, dropout=0.4, content_weight=0.3)
    model.start_epoch(data)
    left = data[INTERACTS].edge_index[:, model.graph.kept]
    assert left.size(1) == round(0.6 * data[INTERACTS].edge_index.size(1))
    graph = (item_matrix(data, "visual") + item_matrix(data, "acoustic")) / 2
    user, item = naive(model, data, left, graph)
    weight = dict(zip(model.modalities, (layer.weight for layer in model.projections.linears)))
    x, mask = data[ITEM], data[ITEM].mask_visual
    bpr = rest = 0.0
    for u, i, j in zip(*(ids.tolist() for ids in batch)):
        bpr -= (user[u] @ (item[i] - item[j])).sigmoid().log() / 32
        margin = user[u] @ weight["acoustic"] @ (x.x_acoustic[i] - x.x_acoustic[j])
        rest -= 0.3 * margin.sigmoid().log() / 32
        if mask[i] and mask[j]:
            margin = user[u] @ weight["visual"] @ (x.x_visual[i] - x.x_visual[j])
            rest -= 0.3 * margin.sigmoid().log() / 32
        else:
            rest += 0.3 * math.log(2) / 32
    torch.testing.assert_close(model.losses(data, batch), {"bpr": bpr, "content": rest})


def test_without_weights_nothing_else_is_computed(data, batch):
    model = build(data, dropout=0.0, content_weight=0.0)
    model.start_epoch(data)
    assert list(model.losses(data, batch)) == ["bpr"]
    assert set(model.state_dict()) == {"embedding.user", "embedding.item"}


def test_the_full_graph_is_used_outside_of_training(data):
    model = build(data)
    before = encode(model, data)[0]
    model.start_epoch(data)
    assert not torch.allclose(model(data)[0], before)
    assert torch.equal(encode(model, data)[0], before)


def test_pruned_pairs_travel_with_the_state_of_the_epoch(data, batch):
    model, other = (build(data) for _ in range(2))
    model.start_epoch(data)
    other.start_epoch(data)
    other.load_state_dict(model.state_dict())
    set_epoch_state(other, epoch_state(model), torch.device("cpu"))
    assert torch.equal(other.losses(data, batch)["bpr"], model.losses(data, batch)["bpr"])


def test_new_items_start_from_their_neighbours(data):
    model = build(data)
    user, item = encode(model, data)
    rows = torch.arange(5)
    more = append_copies(data, rows)
    same_user, all_items = encode(model, more)
    assert torch.equal(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    graph = (item_matrix(data, "visual") + item_matrix(data, "acoustic")) / 2
    graph = graph[rows] - torch.diag(graph.diagonal())[rows]  # its own neighbour has no vector
    torch.testing.assert_close(all_items[40:], graph @ model.embedding.item)


def test_needs_an_item_graph(data):
    model = build(data)
    del data["item", "similar_acoustic", "item"]
    assert SIMILAR not in data.edge_types
    with pytest.raises(InputError, match="no item graph 'similar_acoustic'"):
        encode(model, data)
