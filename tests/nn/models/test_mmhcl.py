import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MMHCL
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, similar

NAMES = ["acoustic", "visual"]


@pytest.fixture
def data(raw):
    edges = raw[INTERACTS].edge_index
    raw[INTERACTS].edge_index = edges[:, edges[0] != 3]  # a user who shares no items
    return LightGCNNorm()(ItemKNN(4, self_loops=True, cache=False)(raw))


def build(data, **options):
    torch.manual_seed(0)
    return MMHCL.from_data(data, hidden_channels=8, num_layers=3, **options)


def user_matrix(data):
    """Shared items of each two users, with rows that sum to one."""
    pairs = (dense_graph(data[INTERACTS].edge_index) > 0).float()
    matrix = torch.zeros(60, 60)
    for u in range(60):
        for v in range(60):
            if u != v:
                matrix[u, v] = (pairs[u] * pairs[v]).sum()
    return matrix / matrix.sum(dim=1, keepdim=True).clamp(min=1)


def item_matrix(data):
    """Hyperedges of each two items, of all modalities, and D^-1/2 C D^-1/2."""
    incidence = torch.zeros(40, 2 * 40)
    for n, m in enumerate(NAMES):
        for center, member in data[similar(m)].edge_index.t().tolist():
            incidence[member, 40 * n + center] = 1
    matrix = incidence @ incidence.t()
    root = matrix.sum(dim=1).clamp(min=1).rsqrt()
    return root[:, None] * matrix * root


def naive(model, data):
    """Users and items, and their part of the hypergraphs, with dense matrices."""
    adj = dense_graph(data[INTERACTS].edge_index)
    near = dense_mean(model.embedding.user, model.embedding.item, 3 * [adj])
    far = [
        torch.linalg.matrix_power(user_matrix(data), model.num_user_layers) @ model.second.user,
        torch.linalg.matrix_power(item_matrix(data), model.num_item_layers) @ model.second.item,
    ]
    return [x + F.normalize(y) for x, y in zip(near, far)], far


@pytest.mark.parametrize("layers", [(1, 1), (3, 2), (0, 0)])
def test_encode_equals_the_formulas(data, layers):
    model = build(data, num_user_layers=layers[0], num_item_layers=layers[1])
    for ours, theirs in zip(encode(model, data), naive(model, data)[0]):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_users_who_share_nothing_have_no_second_embedding(data):
    """Not even one of rounding errors, which would be normalised."""
    assert not build(data)._embed(data)[1][0][3].any()


def naive_contrast(a, b, rows, tau):
    terms = []
    for i in rows:
        other = [F.cosine_similarity(a[i], b[j], dim=0) for j in rows]
        own = [F.cosine_similarity(a[i], a[j], dim=0) for j in rows if j != i]
        positive = F.cosine_similarity(a[i], b[i], dim=0)
        terms.append((torch.stack(other + own) / tau).logsumexp(0) - positive / tau)
    return sum(terms) / len(terms)


def test_losses_equal_the_formulas(data, batch):
    weights = {"user_contrast_weight": 0.2, "item_contrast_weight": 0.4, "reg_weight": 0.3}
    model = build(data, temperature=0.5, **weights)
    (user, item), far = naive(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    users, items = (sorted(set(ids.tolist())) for ids in batch[:2])
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "user_contrast": 0.2 * naive_contrast(user, far[0], users, 0.5),
        "item_contrast": 0.4 * naive_contrast(item, far[1], items, 0.5),
        "reg": 0.3 * sum(r.pow(2).sum() for r in rows) / 64,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_weights_of_the_item_graphs_do_not_matter(data):
    model = build(data)
    other = ItemKNN(4, "binary", self_loops=True, normalize="none", cache=False)(data.clone())
    for ours, theirs in zip(encode(model, data), encode(model, other)):
        assert torch.equal(ours, theirs)


def test_new_items_receive_and_do_not_send(data):
    model = build(data)
    user, item = encode(model, data)
    rows = data[ITEM].mask_visual.nonzero().flatten()[:5]
    same_user, all_items = encode(model, append_copies(data, rows))
    torch.testing.assert_close(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    assert all_items[40:].any(dim=1).all()
