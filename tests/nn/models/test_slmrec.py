import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import SLMRec
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(raw):
    return LightGCNNorm()(raw)


def build(data, **options):
    torch.manual_seed(0)
    model = SLMRec.from_data(data, hidden_channels=8, **options)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def starts(model, data):
    """What items start from, in each representation."""
    results = [model.embedding.item]
    for m, linear in zip(["acoustic", "visual"], model.projections.linears):
        rows = []
        for item, x in enumerate(data[ITEM][f"x_{m}"]):
            present = m == "acoustic" or data[ITEM].mask_visual[item]
            z = linear.weight @ (x / x.norm()) + linear.bias
            rows.append(z if present else torch.zeros(8))
        results.append(torch.stack(rows))
    return results


def representations(model, data):
    """E^m with a dense matrix, one after the other."""
    hops = model.num_layers * [dense_graph(data[INTERACTS].edge_index)]
    return [dense_mean(model.embedding.user, z, hops) for z in starts(model, data)]


def fused(model, data):
    users, items = zip(*representations(model, data))
    return model.fuse_user(torch.cat(users, 1)), model.fuse_item(torch.cat(items, 1))


def info_nce(a, b, tau):
    """Row by row."""
    terms = []
    for i, anchor in enumerate(a):
        logits = torch.stack([F.cosine_similarity(anchor, other, dim=0) / tau for other in b])
        terms.append(logits.logsumexp(0) - logits[i])
    return sum(terms) / len(terms)


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_encode_equals_dense_matrices(data, num_layers):
    model = build(data, num_layers=num_layers)
    for ours, theirs in zip(encode(model, data), fused(model, data)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_equal_the_formulas_row_by_row(data, batch):
    model = build(data, num_layers=2, coarse_weight=0.7, temperature=0.3, task_temperature=0.5)
    user, item = fused(model, data)
    parts = [items for _, items in representations(model, data)]
    rows = batch.pos_item.unique()
    first = model.coarse[0](parts[0][rows])
    second = model.coarse[1](first)
    coarse = info_nce(first, model.fine[0](parts[1][rows]), 0.5)
    coarse = coarse + info_nce(second, model.fine[1](parts[2][rows]), 0.5)
    expected = {
        "contrast": info_nce(user[batch.user], item[batch.pos_item], 0.3),
        "coarse": 0.7 * coarse,
    }
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-4, atol=1e-6)


def test_feature_dropout_compares_two_views_of_users_and_items(data, batch):
    options = {"coarse_weight": 0.0, "dropout_weight": 0.4, "task_temperature": 0.5}
    model = build(data, dropout=0.0, **options)
    losses = model.losses(data, batch)
    assert list(losses) == ["contrast", "dropout"]
    user, item = (z[rows.unique()] for z, rows in zip(fused(model, data), batch))
    expected = 0.4 * (info_nce(user, user, 0.5) + info_nce(item, item, 0.5))
    torch.testing.assert_close(losses["dropout"], expected, rtol=1e-4, atol=1e-6)
    noisy = build(data, dropout=0.5, **options)
    first, second = (noisy.losses(data, batch)["dropout"] for _ in range(2))
    assert first != second
    assert first > expected  # two views differ, so that they are harder to tell from others
    noisy.eval()
    torch.testing.assert_close(noisy.losses(data, batch)["dropout"], expected)


def test_without_tasks_there_are_no_parameters_for_them(data, batch):
    model = build(data, coarse_weight=0.0)
    assert list(model.losses(data, batch)) == ["contrast"]
    assert not any(name.startswith(("coarse", "fine")) for name in model.state_dict())


def test_negative_items_are_not_looked_at(data, batch):
    model = build(data)
    other = batch._replace(neg_item=batch.neg_item.roll(1))
    torch.testing.assert_close(model.losses(data, batch), model.losses(data, other), rtol=0, atol=0)


def test_new_items_are_embedded_by_their_content(data):
    model = build(data)
    user, item = encode(model, data)
    rows = torch.arange(5)
    same_user, all_items = encode(model, append_copies(data, rows))
    assert torch.equal(same_user, user)
    torch.testing.assert_close(all_items[:40], item)
    z = [x[rows] / (model.num_layers + 1) for x in starts(model, data)]
    z[0] = torch.zeros_like(z[0])
    torch.testing.assert_close(all_items[40:], model.fuse_item(torch.cat(z, 1)))


def test_the_optimiser_decays_the_weights(data):
    (objective,) = build(data, weight_decay=0.3).objectives()
    assert objective.options == {"weight_decay": 0.3}
    assert len(objective.parameters) == len(list(build(data).parameters()))


def test_the_ratio_must_leave_something(data):
    with pytest.raises(ValueError, match=r"dropout: is 1.0; expected at least 0 and less"):
        build(data, dropout=1.0)
