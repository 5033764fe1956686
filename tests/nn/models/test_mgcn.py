import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean, naive_contrast

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MGCN
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, similar

NAMES = ["acoustic", "visual"]


@pytest.fixture
def data(raw):
    raw[ITEM].mask_acoustic = torch.arange(40) % 5 > 0  # some items lack both
    graph = ItemKNN(4, self_loops=True, normalize="symmetric", cache=False)
    return LightGCNNorm()(graph(raw))


def build(data, **options):
    torch.manual_seed(0)
    return MGCN.from_data(data, hidden_channels=8, num_layers=3, **options)


def item_graph(data, modality):
    """Cosines of the 4 nearest items, itself among them, item by item, and D^-1/2 S D^-1/2."""
    x, mask = data[ITEM][f"x_{modality}"], data[ITEM][f"mask_{modality}"]
    matrix = torch.zeros(40, 40)
    for a in range(40):
        cosine = F.cosine_similarity(x[a], x).masked_fill(~mask, -2)
        for b in cosine.topk(4).indices.tolist() if mask[a] else ():
            matrix[a, b] = cosine[b].clamp(min=0)
    root = matrix.sum(dim=1).clamp(min=1e-12).rsqrt()
    return root[:, None] * matrix * root


def naive(model, data):
    """Users and items by behaviour, and by content, row by row, with dense matrices."""
    adj = dense_graph(data[INTERACTS].edge_index)
    free_user, free_item = model.embedding.user, model.embedding.item
    behavior = dense_mean(free_user, free_item, 3 * [adj])
    users, items = [], []
    for m, linear, gate in zip(NAMES, model.projections.linears, model.gates):
        x = data[ITEM][f"x_{m}"]
        purified = torch.stack([free_item[i] * gate[0](linear(x[i])).sigmoid() for i in range(40)])
        purified[~data[ITEM][f"mask_{m}"]] = 0
        graph = torch.linalg.matrix_power(item_graph(data, m), model.num_item_layers)
        items.append(graph @ purified)
        users.append(adj @ items[-1])
    masks = torch.stack([data[ITEM][f"mask_{m}"] for m in NAMES], dim=1).tolist()
    everywhere = [[True, True]] * 60
    side = [
        torch.stack(
            [
                fuse(model, [part[n] for part in parts], behave[n], has[n])
                for n in range(len(behave))
            ]
        )
        for parts, behave, has in zip((users, items), behavior, (everywhere, masks))
    ]
    return behavior, side


def fuse(model, parts, behavior, has):
    """The content of one node, of the modalities that it has."""
    own = [n for n in range(2) if has[n]]
    if not own:
        return torch.zeros(8)
    hidden, query = model.attention[0], model.attention[2].weight[0]
    scores = torch.stack([query @ hidden(parts[n]).tanh() for n in own])
    shared = sum(w * parts[n] for w, n in zip(scores.softmax(0), own))
    rest = [model.preferences[n][0](behavior).sigmoid() * (parts[n] - shared) for n in own]
    return shared + sum(rest) / 2


@pytest.mark.parametrize("num_item_layers", [1, 2])
def test_encode_equals_the_formulas(data, num_item_layers):
    model = build(data, num_item_layers=num_item_layers)
    for ours, behavior, side in zip(encode(model, data), *naive(model, data)):
        torch.testing.assert_close(ours, behavior + side, rtol=1e-5, atol=1e-6)


def test_losses_equal_the_formulas(data, batch):
    model = build(data, contrast_weight=0.2, temperature=0.5, reg_weight=0.3)
    behavior, side = naive(model, data)
    user, item = (x + y for x, y in zip(behavior, side))
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    distinct = [sorted(set(ids.tolist())) for ids in batch[:2]]
    contrast = sum(naive_contrast(*args, 0.5) for args in zip(side, behavior, distinct))
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "contrast": 0.2 * contrast,
        "reg": 0.3 * sum(r.pow(2).sum() for r in rows) / 64,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-6)


def test_without_weights_nothing_else_is_computed(data, batch):
    model = build(data, contrast_weight=0.0, reg_weight=0.0)
    assert list(model.losses(data, batch)) == ["bpr"]


def test_of_one_modality_only_the_shared_part_is_left(data):
    del data[ITEM].x_visual, data[ITEM].mask_visual
    model = build(data)
    adj = dense_graph(data[INTERACTS].edge_index)
    behavior = dense_mean(*model.embedding(), 3 * [adj])
    gate = model.gates[0](model.projections.linears[0](data[ITEM].x_acoustic))
    gated = (gate * model.embedding.item) * data[ITEM].mask_acoustic[:, None]
    item = item_graph(data, "acoustic") @ gated
    for ours, near, side in zip(encode(model, data), behavior, (adj @ item, item)):
        torch.testing.assert_close(ours, near + side, rtol=1e-5, atol=1e-6)


def test_new_items_start_from_their_neighbours(data):
    model = build(data)
    user, item = encode(model, data)
    rows = data[ITEM].mask_visual.nonzero().flatten()[:5]
    same_user, all_items = encode(model, append_copies(data, rows))
    torch.testing.assert_close(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    assert all_items[40:].any(dim=1).all()


def test_needs_item_graphs(data):
    model = build(data)
    del data[similar("visual")]
    with pytest.raises(InputError, match="no item graph 'similar_visual'"):
        encode(model, data)
