"""Preset ``released`` against what the authors' released code computed.

``assets/mentor_released_small.npz`` holds inputs, parameters, noise, outputs, losses and
gradients of one forward and backward pass, float32, on a graph of 60 users and 40 items.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import Batch
from mentor_pyg.nn import moments, self_supervision
from mentor_pyg.nn.conv import noisy_light_gcn_conv
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.runs.config import load_config
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, SIMILAR, USER

PATH = Path(__file__).parent / "assets" / "mentor_released_small.npz"
MODALITIES = ("textual", "visual")
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def ref():
    with np.load(PATH, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


@pytest.fixture
def data(ref):
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = int(ref["num_users"]), int(ref["num_items"])
    for modality in MODALITIES:
        data[ITEM][f"x_{modality}"] = ref[f"x_{modality}"]
    data[INTERACTS].edge_index = ref["edge_index"]
    graph = load_config("released", [f"graph.k={int(ref['cfg_knn_k'])}"]).graph
    return LightGCNNorm()(ItemKNN(**graph, cache=False)(data))


@pytest.fixture
def model(ref, data):
    options = load_config("released").options
    assert options["contrast_weight"] == pytest.approx(ref["cfg_mask_g"].item())
    assert options["align_weight"] == pytest.approx(ref["cfg_align"].item())
    assert options["reg_weight"] == pytest.approx(ref["cfg_reg"].item())
    model = MENTOR.from_data(data, **options)
    model.load_state_dict(released_parameters(ref))
    return model


def encoder_names():
    """Where the parameters of each encoder of the released code belong here."""
    names = {m: f"encoder.encoders.{m}" for m in MODALITIES} | {"id": "id_encoder"}
    return names | {f"{m}_view{v + 1}": f"views.{v}.{m}" for m in MODALITIES for v in range(2)}


def encoder_parameters(ref, prefix, name):
    keys = {"user": "user", "w1": "mlp.lins.0.weight", "w2": "mlp.lins.1.weight"}
    keys |= {"b1": "mlp.lins.0.bias", "b2": "mlp.lins.1.bias"}
    found = {ours: ref.get(f"{prefix}_{name}_{theirs}") for theirs, ours in keys.items()}
    return {ours: value for ours, value in found.items() if value is not None}


def fusion_weights(x):
    """The released code has visual first, we sort by name."""
    return x.flip(1)


def columns(x):
    """Both halves of a concatenation, in our order."""
    return x.roll(x.size(1) // 2, dims=1)


def released_parameters(ref):
    state = {
        "id_item": ref["param_id_item"],
        "encoder.fusion.weight": fusion_weights(ref["param_fusion_user"]),
        "masking.predictor.weight": columns(columns(ref["param_mask_w"]).t()).t(),
        "masking.predictor.bias": columns(ref["param_mask_b"][None])[0],
    }
    for theirs, ours in encoder_names().items():
        for key, value in encoder_parameters(ref, "param", theirs).items():
            state[f"{ours}.{key}"] = value
    return state


@pytest.fixture
def given_noise(ref, monkeypatch):
    """Lets the noisy layers draw what the released code drew."""
    num_users = int(ref["num_users"])
    draws = [
        ref[f"noise_{modality}_view{view}_layer{layer}"]
        for view in (1, 2)
        for modality in MODALITIES
        for layer in (1, 2)
    ]
    # Of users, then of items:
    halves = [half for draw in draws for half in draw.split([num_users, len(draw) - num_users])]
    draws[:] = halves
    monkeypatch.setattr(noisy_light_gcn_conv, "uniform", lambda shape, *_: draws.pop(0))
    return draws


def test_item_graph(ref, data):
    # The released code multiplies by the matrix of (row, column); edges point to the row.
    expected = torch.zeros(40, 40).index_put(tuple(ref["knn_edge_index"]), ref["knn_edge_weight"])
    store = data[SIMILAR]
    ours = torch.zeros(40, 40).index_put(tuple(store.edge_index.flip(0)), store.edge_weight)
    torch.testing.assert_close(ours, expected, **TOLERANCE)


def test_representations(ref, data, model):
    clean = {m: e.out for m, e in model._propagate(data).items()}
    z_id = model.id_encoder(model.id_item, data[INTERACTS].adjacency)
    for name, z in {**clean, "id": z_id}.items():
        torch.testing.assert_close(torch.cat(z), ref[f"z_{name}"], **TOLERANCE)

    enhanced = model._enhance({**clean, "id": z_id}, data)
    for name, z in enhanced.items():
        # The released code repeats each modality to the width of the fused one:
        z = torch.cat(z)
        torch.testing.assert_close(torch.cat([z, z], 1), ref[f"fused_{name}"], **TOLERANCE)
    fused = torch.cat(model.encoder.fuse({m: enhanced[m] for m in MODALITIES}))
    torch.testing.assert_close(columns(fused), ref["fused"], **TOLERANCE)


def test_perturbed_views(ref, data, model, given_noise):
    clean = model._propagate(data)
    for view in (1, 2):
        views = model._perturb(data, clean, view - 1)
        if view == 1:
            for name, z in views.items():
                torch.testing.assert_close(torch.cat(z), ref[f"z_{name}_view1"], **TOLERANCE)
        fused = torch.cat(model.encoder.fuse(model._enhance(views, data)))
        torch.testing.assert_close(columns(fused), ref[f"fused_view{view}"], **TOLERANCE)
    assert not given_noise


def test_scores(ref, data, model):
    user, item = model.eval()(data)
    scores = user @ item.t()
    torch.testing.assert_close(scores, ref["scores"], **TOLERANCE)
    users, pos, neg = ref["batch"]
    torch.testing.assert_close(scores[users, pos], ref["pos_scores"], **TOLERANCE)
    torch.testing.assert_close(scores[users, neg], ref["neg_scores"], **TOLERANCE)


def test_losses_and_gradients(ref, data, model, given_noise, monkeypatch):
    monkeypatch.setattr(self_supervision, "dropout", lambda x, p, training: x)
    losses = model.losses(data, Batch(*ref["batch"]))
    contrast = ref["loss_nce_user"] + ref["loss_nce_item"]
    mask = ref["loss_mask_user_p0"] + ref["loss_mask_item_p0"]
    expected = {
        "bpr": ref["loss_bpr_log2"],
        "align": ref["cfg_align"] * ref["loss_align_levels"].sum(),
        "mask": ref["cfg_mask_f"] * mask,
        "contrast": ref["cfg_mask_g"] * contrast,
        "reg": ref["loss_reg"],
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name].double(), value, **TOLERANCE, msg=name)
    assert not losses.pop("mask").requires_grad

    total = torch.stack(list(losses.values())).sum()
    torch.testing.assert_close(total.double(), ref["loss_total_without_mask"], **TOLERANCE)
    total.backward()
    checked = {
        "encoder.fusion.weight": fusion_weights(ref["grad_fusion_user"]),
        "id_item": ref["grad_id_item"],
    }
    for theirs, ours in encoder_names().items():
        for key, value in encoder_parameters(ref, "grad", theirs).items():
            checked[f"{ours}.{key}"] = value
    assert len(checked) == sum(name.startswith("grad_") for name in ref)
    for name, value in checked.items():
        grad = model.get_parameter(name).grad
        torch.testing.assert_close(
            grad, value, rtol=1e-5, atol=1e-5 * value.abs().max().item(), msg=name
        )


def test_alignment_levels(ref, data, model):
    from mentor_pyg.nn import alignment_levels

    levels = alignment_levels(
        moments(ref["fused_id"]),
        moments(ref["fused"]),
        {m: moments(ref[f"fused_{m}"]) for m in MODALITIES},
    )
    ours = torch.stack([levels[level] for level in (1, 2, 3, 4)]).double()
    torch.testing.assert_close(ours, ref["loss_align_levels"], **TOLERANCE)
