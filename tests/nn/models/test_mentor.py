import math

import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_layers

from mentor_pyg import TrainConfig, fit
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn import info_nce
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, SIMILAR, similar

OFF = {"align_weight": 0.0, "mask_weight": 0.0, "contrast_weight": 0.0, "reg_weight": 0.0}


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(ItemKNN(k=5, cache=False)(tiny))


@pytest.fixture
def batch(data):
    generator = torch.Generator().manual_seed(0)
    return next(iter(BPRSampler(data, 64, generator)))


def dense_representations(model, data):
    """Eq. 1-7 with dense matrices: users and items, of each modality and fused."""
    graph = dense_graph(data[INTERACTS].edge_index)
    enhanced = {}
    for name, encoder in model.encoder.encoders.items():
        x = encoder.mlp(data[ITEM][f"x_{name}"])
        layers = dense_layers(F.normalize(encoder.user), F.normalize(x), 2 * [graph])
        user, item = (sum(side) for side in zip(*layers))
        item_graph = data[similar(name)].adjacency @ torch.eye(40)
        enhanced[name] = user, item + item_graph @ item
    weights = model.encoder.fusion.logit.softmax(0)
    fused = [
        torch.cat([w * z for w, z in zip(weights, side)], dim=1) for side in zip(*enhanced.values())
    ]
    return enhanced, fused


def test_representations_equal_the_dense_formula(data):
    model = MENTOR.from_data(data)
    with torch.no_grad():
        model.encoder.fusion.logit.copy_(torch.tensor([0.3, -0.2]))
    _, fused = dense_representations(model, data)
    for ours, theirs in zip(encode(model, data), fused, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_fusion_weights_start_at_one_half(data):
    model = MENTOR.from_data(data)
    enhanced, fused = dense_representations(model, data)
    for found, parts in zip(fused, zip(*enhanced.values()), strict=True):
        torch.testing.assert_close(found, 0.5 * torch.cat(parts, dim=1))


def test_losses_equal_the_formulas(data, batch):
    options = {"mask_dropout": 0.0, "noise_eps": 0.0, "reg_weight": 0.01, "temperature": 0.3}
    model = MENTOR.from_data(
        data, align_weight=0.2, mask_weight=0.7, contrast_weight=0.1, **options
    )
    losses = model.losses(data, batch)
    enhanced, fused = dense_representations(model, data)
    user, item = fused

    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    torch.testing.assert_close(losses["bpr"], -margin.sigmoid().log().mean())

    online = [model.masking.predictor(z) for z in (user, item)]
    mask = sum(1 - F.cosine_similarity(o, z).mean() for o, z in zip(online, (user, item)))
    torch.testing.assert_close(losses["mask"], 0.7 * mask)

    # Without noise both views are the clean encodings, before the item graph:
    rows = [batch.user.unique(), batch.pos_item.unique()]
    contrast = sum(
        info_nce(z[index], z[index], 0.3)
        for e in model._propagate(data).values()
        for z, index in zip(e.out, rows, strict=True)
    )
    torch.testing.assert_close(losses["contrast"], 0.1 * contrast)

    def distance(*pairs):
        a, b = (torch.cat([x.flatten() for x in pair]) for pair in pairs)
        return (a.mean() - b.mean()).abs() + (a.var() - b.var()).abs()

    z_id = model.id_encoder(model.id_item, data[INTERACTS].adjacency)
    visual, textual = enhanced["visual"], enhanced["textual"]
    levels = (
        distance(z_id, fused)
        + distance(z_id, visual)
        + distance(z_id, textual)
        + distance(fused, visual)
        + distance(fused, textual)
        + distance(visual, textual)
    )
    torch.testing.assert_close(losses["align"], 0.2 * levels, rtol=1e-3, atol=1e-6)
    squares = sum(p.pow(2).sum() for p in model.parameters())
    torch.testing.assert_close(losses["reg"], 0.01 * squares)


@pytest.mark.parametrize("term", ["align", "mask", "contrast", "reg"])
def test_each_task_can_be_switched_off(data, batch, term):
    assert term in MENTOR.from_data(data).losses(data, batch)
    assert term not in MENTOR.from_data(data, **{f"{term}_weight": 0.0}).losses(data, batch)


def test_alignment_levels_add_up(data, batch):
    """The variants of the paper's Fig. 2."""
    torch.manual_seed(0)
    model = MENTOR.from_data(data, align_weight=1.0)
    values = []
    for levels in ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)):
        model.alignment.levels = levels
        values.append(model.losses(data, batch)["align"].item())
    assert values == sorted(values)
    assert len(set(values)) == 4
    assert "align" not in MENTOR.from_data(data, align_levels=()).losses(data, batch)


def test_no_parameters_for_what_is_switched_off(data):
    names = {n.split(".")[0] for n, _ in MENTOR.from_data(data, **OFF).named_parameters()}
    assert names == {"encoder"}
    guided = MENTOR.from_data(data, **(OFF | {"align_weight": 0.1, "align_levels": (3, 4)}))
    assert guided.id_encoder is None


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "user"},
        {"contrast_scope": "fused"},
        {"contrast_rows": "full"},
        {"view_parameters": "separate"},
        {"regularizer": "preferences"},
        {"num_item_layers": 2},
        {"num_layers": 1},
        {"align_levels": (2, 4)},
        {"id_weight": 0.5},
    ],
    ids=str,
)
def test_every_option_trains_all_its_parameters(data, batch, options):
    model = MENTOR.from_data(data, **options)
    torch.stack(list(model.losses(data, batch).values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_binary_logarithm_scales_bpr(data, batch):
    torch.manual_seed(0)
    model = MENTOR.from_data(data, **OFF)
    natural = model.losses(data, batch)["bpr"]
    binary = MENTOR.from_data(data, **OFF, bpr_log="binary")
    binary.load_state_dict(model.state_dict())
    torch.testing.assert_close(binary.losses(data, batch)["bpr"], natural / math.log(2))


def test_score_scale_scales_the_margin_of_bpr_alone(data, batch):
    model = MENTOR.from_data(data, **OFF, score_scale=3.0)
    user, item = encode(model, data)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    expected = -(3 * margin).sigmoid().log().mean()
    torch.testing.assert_close(model.losses(data, batch)["bpr"], expected)
    assert torch.equal(encode(model, data)[0], user)


def test_masking_gradient_is_an_option(data, batch):
    model = MENTOR.from_data(data)
    assert model.losses(data, batch)["mask"].requires_grad
    frozen = MENTOR.from_data(data, mask_gradient=False)
    assert not frozen.losses(data, batch)["mask"].requires_grad


def test_merged_item_graph(tiny):
    merge = {"visual": 0.3, "textual": 0.7}
    data = LightGCNNorm()(ItemKNN(k=5, merge=merge, cache=False)(tiny))
    assert MENTOR.from_data(data, item_graph="merged")(data)[1].shape == (40, 128)


@pytest.mark.parametrize("item_graph", ["modality", "merged"])
def test_free_vectors_equal_the_dense_formula(tiny, item_graph):
    merge = {"visual": 0.3, "textual": 0.7} if item_graph == "merged" else None
    data = LightGCNNorm()(ItemKNN(k=5, merge=merge, cache=False)(tiny))
    model = MENTOR.from_data(data, item_graph=item_graph, id_weight=4.0)
    layers = dense_layers(*model.free(), 2 * [dense_graph(data[INTERACTS].edge_index)])
    user, item = (sum(side) / 3 for side in zip(*layers))
    if merge:
        item = item + data[SIMILAR].adjacency @ item
    plain = MENTOR.from_data(data, item_graph=item_graph)
    plain.load_state_dict(model.state_dict(), strict=False)
    for joined, fused, free in zip(encode(model, data), encode(plain, data), (user, item)):
        torch.testing.assert_close(joined, torch.cat([fused, 2 * free], dim=1))


def test_free_vectors_can_start_from_the_singular_vectors(tiny):
    data = LightGCNNorm()(ItemKNN(k=5, cache=False)(tiny))
    model = MENTOR.from_data(data, id_weight=1.0, id_init="spectral", hidden_channels=48)
    norm, random = model.free.item.norm(), model.free.user.clone()
    fit(model, data, TrainConfig(epochs=1, lr=1e-30), progress=False)
    adj = data[INTERACTS].adjacency
    dense = adj @ torch.eye(40)
    user, item = model.free()
    known = 40  # all items
    rest = torch.cat([user[:, known:], item[:, known:]])
    product = user[:, :known] @ item[:, :known].t()
    factor = (product * dense).sum() / dense.square().sum()
    torch.testing.assert_close(product, factor * dense, rtol=1e-3, atol=1e-4)
    assert rest.any(dim=0).all()  # stays random
    torch.testing.assert_close(item[:, :known].norm(), norm, rtol=0.05, atol=0)
    assert not torch.equal(user, random)


def test_no_hops_need_no_item_graph(tiny):
    data = LightGCNNorm()(tiny)
    batch = next(iter(BPRSampler(data, 64)))
    options = {"num_item_layers": 0, "noise_eps": 0.0, "mask_dropout": 0.0}
    losses = []
    for item_graph in ("merged", "modality"):
        torch.manual_seed(0)
        losses.append(MENTOR.from_data(data, item_graph=item_graph, **options).losses(data, batch))
    assert losses[0] == losses[1]
    assert data.edge_types == tiny.edge_types


def test_missing_items_start_at_zero_or_free(data, batch):
    data[ITEM].mask_visual = torch.arange(40) % 2 == 0
    data[ITEM].x_visual[1::2] = 99.0  # must not matter
    zero = MENTOR.from_data(data)
    assert not zero._propagate(data)["visual"].initial[1][1::2].any()
    free = MENTOR.from_data(data, missing_items="free", reg_weight=0.0)
    assert free._propagate(data)["visual"].initial[1][1::2].any(dim=1).all()
    torch.stack(list(free.losses(data, batch).values())).sum().backward()
    grad = free.encoder.encoders["visual"].free_item.grad
    assert grad[1::2].any()
    assert not grad[::2].any()
    assert free.encoder.encoders["textual"].free_item is None


def test_missing_items_have_no_say_in_the_alignment(data, batch):
    torch.manual_seed(0)
    model = MENTOR.from_data(data, num_item_layers=0, align_levels=(4,), num_layers=0)
    data[ITEM].mask_visual = torch.arange(40) < 25
    out = {m: e.out for m, e in model._propagate(data).items()}
    kept = torch.cat([out["visual"][0], out["visual"][1][:25]])
    other = torch.cat(out["textual"])
    expected = (kept.var() - other.var()).abs() + (kept.mean() - other.mean()).abs()
    torch.testing.assert_close(
        model.losses(data, batch)["align"], 0.1 * expected, rtol=1e-3, atol=1e-7
    )


def test_cold_items_are_embedded_by_their_content(data):
    """An item without training pairs differs from another one by its features alone."""
    train = data[INTERACTS].edge_index
    cold = [3, 4, 5]
    keep = ~torch.isin(train[1], torch.tensor(cold))
    data[INTERACTS].edge_index = train[:, keep]
    data[ITEM].x_visual[4] = data[ITEM].x_visual[3]
    data[ITEM].x_textual[4] = data[ITEM].x_textual[3]
    data = LightGCNNorm()(ItemKNN(k=5, cache=False)(data))
    _, item = encode(MENTOR.from_data(data, num_item_layers=0), data)
    assert item[cold].any(dim=1).all()
    torch.testing.assert_close(item[3], item[4])
    assert not torch.allclose(item[3], item[5])


def test_bad_options_raise(data):
    with pytest.raises(ValueError, match="align_levels"):
        MENTOR.from_data(data, align_levels=(0, 5))
    with pytest.raises(ValueError, match="at least one modality"):
        MENTOR.from_data(SyntheticDataset.tiny(channels={})[0])
