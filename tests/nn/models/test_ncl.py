import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_layers

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import NCL, LightGCN
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def mean_log_softmax(anchors, others, targets, tau):
    """-log of the target's share, row by row."""
    terms = []
    for anchor, target in zip(anchors, targets):
        cosines = torch.stack([F.cosine_similarity(anchor, x, dim=0) for x in others])
        terms.append(-(cosines / tau).log_softmax(0)[target])
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("num_layers", "hops"), [(3, 2), (1, 4)])
def test_losses_equal_the_formulas(data, batch, num_layers, hops):
    model = NCL.from_data(
        data,
        hidden_channels=8,
        num_layers=num_layers,
        structure_hops=hops,
        structure_weight=0.7,
        item_weight=0.4,
        prototype_weight=0.6,
        num_prototypes=5,
        temperature=0.3,
        reg_weight=0.2,
    )
    model.start_epoch(data)
    graph = dense_graph(data[INTERACTS].edge_index)
    layers = dense_layers(*model.embedding(), max(num_layers, hops) * [graph])
    user, item = (sum(side) / (num_layers + 1) for side in zip(*layers[: num_layers + 1]))
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    free = model.embedding.user, model.embedding.item
    rows = [sorted(set(x.tolist())) for x in (batch.user, batch.pos_item)]
    structure, semantics = [], []
    for far, x, i, prototypes in zip(layers[hops], free, rows, model.prototypes):
        structure.append(mean_log_softmax(far[i], x[i], range(len(i)), 0.3))
        clusters = prototypes.cluster[i].tolist()
        semantics.append(mean_log_softmax(x[i], prototypes.centers, clusters, 0.3))
    triple = [free[0][batch.user], free[1][batch.pos_item], free[1][batch.neg_item]]
    expected = {
        "bpr": -margin.sigmoid().log().mean(),
        "structure": 0.7 * (structure[0] + 0.4 * structure[1]),
        "prototype": 0.6 * sum(semantics),
        "reg": 0.2 / 2 * sum(x.pow(2).sum(1).mean() for x in triple),
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_encode_is_that_of_light_gcn(data):
    model, plain = NCL.from_data(data), LightGCN.from_data(data, num_layers=3)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if "embedding" in k})
    for ours, theirs in zip(encode(model, data), encode(plain, data)):
        assert torch.equal(ours, theirs)


def test_clusters_are_of_the_free_vectors_and_travel_with_the_state(data, batch):
    model, other = (NCL.from_data(data, num_prototypes=4) for _ in range(2))
    model.start_epoch(data)
    for prototypes, x in zip(model.prototypes, (model.embedding.user, model.embedding.item)):
        assert len(prototypes.cluster) == len(x)
        assert len(prototypes.cluster.unique()) > 1
    other.load_state_dict(model.state_dict())
    ours, theirs = model.losses(data, batch), other.losses(data, batch)
    assert torch.equal(ours["prototype"], theirs["prototype"])


def test_terms_of_weight_zero_are_absent(data, batch):
    model = NCL.from_data(data, structure_weight=0.0, prototype_weight=0.0, reg_weight=0.0)
    model.start_epoch(data)
    assert list(model.losses(data, batch)) == ["bpr"]
    assert not any("prototypes" in key for key in model.state_dict())


@pytest.mark.parametrize("hops", [0, 3])
def test_structure_needs_an_even_number_of_hops(data, hops):
    with pytest.raises(ValueError, match="even"):
        NCL.from_data(data, structure_hops=hops)
