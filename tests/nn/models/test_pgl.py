import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import PGL
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.training.checkpoint import epoch_state, set_epoch_state
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, SIMILAR, similar

NAMES = ["acoustic", "visual"]


def with_graphs(data, merge=None):
    knn = ItemKNN(4, weights="binary", self_loops=True, merge=merge, cache=False)
    return LightGCNNorm()(knn(data))


@pytest.fixture
def data(raw):
    return with_graphs(raw)


def build(data, **options):
    torch.manual_seed(0)
    return PGL.from_data(data, hidden_channels=8, num_layers=3, **options)


def item_graph(data):
    kinds = [SIMILAR] if SIMILAR in data.edge_types else [similar(m) for m in NAMES]
    graph = torch.zeros(data[ITEM].num_nodes, data[ITEM].num_nodes)
    for kind in kinds:
        for (b, a), w in zip(data[kind].edge_index.t().tolist(), data[kind].edge_weight):
            graph[a, b] += w / len(kinds)
    return graph


def naive(model, data, edge_index):
    """With dense matrices."""
    parts = []
    for linear, m in zip(model.projections.linears, NAMES):
        item = linear(data[ITEM][f"x_{m}"])
        if m == "visual":
            item = item * data[ITEM].mask_visual[:, None]
        parts.append(item / item.norm(dim=1, keepdim=True).clamp(min=1e-12))
    item = torch.cat(parts, dim=1)
    user = torch.cat([model.user[0], model.user[1]], dim=1)
    out = dense_mean(user, item, 3 * [dense_graph(edge_index, 60, len(item))])
    hops = torch.linalg.matrix_power(item_graph(data), model.num_item_layers)
    return out[0], out[1] + hops @ item


@pytest.mark.parametrize("num_item_layers", [0, 2])
@pytest.mark.parametrize("merge", [None, {"visual": 0.1, "acoustic": 0.9}])
def test_encode_equals_dense_matrices(raw, merge, num_item_layers):
    data = with_graphs(raw, merge)
    model = build(data, num_item_layers=num_item_layers)
    expected = naive(model, data, data[INTERACTS].edge_index)
    for ours, theirs in zip(encode(model, data), expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def contrast(a):
    """InfoNCE of equal views row by row at a temperature of 0.5."""
    total = 0.0
    for n in range(len(a)):
        logits = torch.stack([F.cosine_similarity(a[n], other, dim=0) / 0.5 for other in a])
        total = total - logits.log_softmax(0)[n] / len(a)
    return total


def test_losses_equal_the_formulas(data, batch):
    model = build(data, pruning=0.4, dropout=0.0, contrast_weight=0.3, temperature=0.5)
    model.start_epoch(data)
    left = data[INTERACTS].edge_index[:, model.graph.kept]
    assert left.size(1) == round(0.6 * data[INTERACTS].edge_index.size(1))
    user, item = naive(model, data, left)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    users, items = (sorted(set(ids.tolist())) for ids in batch[:2])
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.3 * (contrast(user[users]) + contrast(item[items])) / 2,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-4, atol=1e-6)
    model.contrast_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_views_differ_by_dropout(data, batch):
    without, model = (build(data, dropout=p) for p in (0.0, 0.5))
    for other, same in ((without, True), (model, False)):
        first, second = (other.losses(data, batch)["contrast"] for _ in range(2))
        assert torch.equal(first, second) == same
    with pytest.raises(ValueError, match=r"dropout: is 1.0; expected at least 0 and less"):
        build(data, dropout=1.0)


def test_the_full_graph_is_used_outside_of_training(data):
    model = build(data)
    before = encode(model, data)[0]
    model.start_epoch(data)
    assert not torch.allclose(model(data)[0], before)
    assert torch.equal(encode(model, data)[0], before)


def test_the_subgraph_travels_with_the_state_of_the_epoch(data, batch):
    model, other = (build(data, dropout=0.0) for _ in range(2))
    model.start_epoch(data)
    other.start_epoch(data)
    other.load_state_dict(model.state_dict())
    set_epoch_state(other, epoch_state(model), torch.device("cpu"))
    assert torch.equal(other.losses(data, batch)["bpr"], model.losses(data, batch)["bpr"])


def test_new_items_are_embedded_by_their_content(data):
    model = build(data)
    user, item = encode(model, data)
    more = append_copies(data, torch.arange(5))
    same_user, all_items = encode(model, more)
    assert torch.equal(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    expected = naive(model, more, data[INTERACTS].edge_index)[1]
    torch.testing.assert_close(all_items, expected, rtol=1e-4, atol=1e-6)


def test_needs_an_item_graph(data):
    model = build(data)
    del data[similar("acoustic")]
    with pytest.raises(InputError, match="no item graph 'similar_acoustic'"):
        encode(model, data)
