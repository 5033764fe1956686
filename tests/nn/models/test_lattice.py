import pytest
import torch
from naive import dense_graph, dense_mean

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import LATTICE
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM

K = 4


@pytest.fixture
def data(raw):
    knn = ItemKNN(K, self_loops=True, normalize="none", cache=False)
    return LightGCNNorm()(knn(raw))


def build(data, **options):
    torch.manual_seed(0)
    options = {"hidden_channels": 8, "content_channels": 5, "num_neighbors": K} | options
    model = LATTICE.from_data(data, **options)
    with torch.no_grad():
        model.logit.copy_(torch.tensor([0.3, -0.5]))
    return model


def symmetric(x, mask):
    """D^(-1/2) S D^(-1/2) of the paper: cosines of the k nearest, negative ones as zero."""
    unit = x / x.norm(dim=1, keepdim=True)
    cosine = torch.where(mask[:, None] & mask, unit @ unit.t(), -2.0)
    s = torch.zeros_like(cosine).scatter(1, cosine.topk(K).indices, 1.0) * cosine.clamp(min=0)
    root = s.sum(1).clamp(min=1e-12).rsqrt()
    return root[:, None] * s * root


def item_graph(model, data):
    graphs = []
    for m, linear in zip(model.projections.modalities, model.projections.linears):
        x = data[ITEM][f"x_{m}"]
        mask = data[ITEM].get(f"mask_{m}", torch.ones(len(x), dtype=torch.bool))
        frozen, latent = symmetric(x, mask), symmetric(x @ linear.weight.t() + linear.bias, mask)
        graphs.append(model.skip_weight * frozen + (1 - model.skip_weight) * latent)
    weight = model.logit.exp() / model.logit.exp().sum()
    return weight[0] * graphs[0] + weight[1] * graphs[1]


def naive(model, data):
    """With dense matrices."""
    hops = model.propagation.num_layers * [dense_graph(data[INTERACTS].edge_index)]
    user, item = dense_mean(*model.embedding(), hops)
    graph = torch.linalg.matrix_power(item_graph(model, data), model.num_item_layers)
    h = graph @ model.embedding.item
    return user, item + h / h.norm(dim=1, keepdim=True).clamp(min=1e-12)


@pytest.mark.parametrize("options", [{}, {"skip_weight": 0.3, "num_item_layers": 2}])
def test_encode_and_its_gradients_equal_dense_matrices(data, options):
    model = build(data, **options)
    model.start_epoch(data)
    weights = None
    grads = []
    for user, item in (model(data), naive(model, data)):
        weights = torch.randn(len(user), len(item)) if weights is None else weights
        model.zero_grad()
        (weights * (user @ item.t())).sum().backward()
        grads.append([user, item] + [p.grad for p in model.parameters()])
    for ours, theirs in zip(*grads):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_losses_equal_the_formulas_triple_by_triple(data, batch):
    model = build(data, reg_weight=0.3)
    model.start_epoch(data)
    user, item = naive(model, data)
    bpr = reg = 0.0
    for u, i, j in zip(*(ids.tolist() for ids in batch)):
        bpr -= (user[u] @ (item[i] - item[j])).sigmoid().log() / 32
        rows = model.embedding.user[u], model.embedding.item[i], model.embedding.item[j]
        reg += 0.3 * sum(x @ x for x in rows) / 64
    torch.testing.assert_close(model.losses(data, batch), {"bpr": bpr, "reg": reg})
    model.reg_weight = 0.0
    assert list(model.losses(data, batch)) == ["bpr"]


def test_weights_follow_the_features_and_neighbours_wait_for_the_epoch(data):
    model = build(data, skip_weight=0.1)
    model.start_epoch(data)
    neighbors = [graph.neighbor.clone() for graph in model.graphs]
    before = encode(model, data)[1]
    for linear in model.projections.linears:
        torch.nn.init.normal_(linear.weight)
    assert not torch.allclose(encode(model, data)[1], before)
    assert all(torch.equal(g.neighbor, n) for g, n in zip(model.graphs, neighbors))
    model.start_epoch(data)
    assert not all(torch.equal(g.neighbor, n) for g, n in zip(model.graphs, neighbors))
    torch.testing.assert_close(encode(model, data)[1], naive(model, data)[1])


def test_neighbours_travel_with_the_state(data, batch):
    model, other = (build(data) for _ in range(2))
    model.start_epoch(data)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.losses(data, batch)["bpr"], model.losses(data, batch)["bpr"])


def test_new_items_start_from_their_neighbours_by_raw_features(data):
    model = build(data)
    model.start_epoch(data)
    user, item = encode(model, data)
    more = append_copies(data, torch.arange(5))
    same_user, all_items = encode(model, more)
    assert torch.equal(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    weight = model.logit.softmax(0)
    expected = torch.zeros(5, 8)
    for new in range(5):
        for w, m in zip(weight, model.projections.modalities):
            x, mask = data[ITEM][f"x_{m}"], data[ITEM].get(f"mask_{m}")
            mask = torch.ones(40, dtype=torch.bool) if mask is None else mask
            near = symmetric(x, mask)[new].clone()
            near[new] = 0  # which has no free vector
            expected[new] += w * near @ model.embedding.item
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(all_items[40:], expected)


def test_needs_item_graphs_and_a_share_for_the_latent_ones(data):
    model = build(data)
    del data["item", "similar_acoustic", "item"]
    with pytest.raises(InputError, match="no item graph 'similar_acoustic'"):
        encode(model, data)
    with pytest.raises(ValueError, match=r"skip_weight: is 1.0; expected"):
        build(data, skip_weight=1.0)
