"""What every registered model must do, whatever it is."""

import inspect

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.testing import withCUDA

from mentor_pyg import InputError, TrainConfig, evaluate, fit, top_k
from mentor_pyg.config import load_config
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.evaluation import SeenItems, encode
from mentor_pyg.files import load_tensors, save_tensors
from mentor_pyg.nn import models
from mentor_pyg.sampler import BPRSampler
from mentor_pyg.transforms import ItemKNN, LightGCNNorm, UserCooccurrence
from mentor_pyg.typing import INTERACTS, ITEM, USER, modalities

all_models = pytest.mark.parametrize("name", models.classes)
QUICK = TrainConfig(epochs=3, batch_size=64, lr=1e-2)
WITHOUT_BPR = {"BM3", "SLMRec"}  # which learn from pairs alone, without negative items


def with_graphs(data):
    return LightGCNNorm()(UserCooccurrence(k=5)(ItemKNN(k=5, cache=False)(data)))


def build(name, data):
    return getattr(models, name).from_data(data)


def checkerboard(size=40):
    """User u takes the items of its own parity; its pair with item u is withheld."""
    user, item = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    likes = (user + item) % 2 == 0
    data = HeteroData()
    data[USER].num_nodes = data[ITEM].num_nodes = size
    parity = torch.eye(2)[torch.arange(size) % 2]
    noise = torch.rand(size, 6, generator=torch.Generator().manual_seed(0))
    data[ITEM].x_visual = torch.cat([parity, noise], dim=1)
    data[INTERACTS].edge_index = (likes & (user != item)).nonzero().t().contiguous()
    diagonal = torch.arange(size).repeat(2, 1)
    data[INTERACTS].val_edge_label_index = data[INTERACTS].test_edge_label_index = diagonal
    return with_graphs(data)


def options_of(name, *endings):
    return [
        option
        for option in inspect.signature(getattr(models, name)).parameters
        if option.endswith(endings)
    ]


@all_models
def test_options_out_of_range_are_refused(name):
    """In a configuration, before any data are read."""
    bad = dict.fromkeys(options_of(name, "dropout"), 1.5)
    bad |= dict.fromkeys(options_of(name, "temperature", "lr"), 0.0)
    bad |= dict.fromkeys(
        options_of(name, "layers", "num_levels", "routings", "weight", "decay"), -1
    )
    bad |= dict.fromkeys(options_of(name, "channels", "limit", "prototypes"), 0)
    bad.pop("in_channels", None)  # of the data
    preset = "paper" if name == "MENTOR" else name.lower()
    for option, value in bad.items():
        with pytest.raises(InputError, match=rf"^options\.{option}: is .*; expected"):
            load_config(preset, [f"options.{option}={value}"])


@all_models
def test_learns_the_checkerboard(name):
    data = checkerboard()
    model = build(name, data)
    config = TrainConfig(epochs=40, batch_size=256, lr=1e-2, monitor="recall@1", ks=(1,))
    fit(model, data, config, progress=False)
    assert evaluate(model, data, "test", ks=(1,))["recall@1"] == 1.0


@all_models
def test_deterministic_under_a_seed(name, tiny):
    data = with_graphs(tiny)
    runs = []
    for seed in (1, 1, 2):
        model = build(name, data)
        config = TrainConfig(epochs=2, batch_size=64, lr=1e-2, seed=seed)
        runs.append((fit(model, data, config, progress=False), model.state_dict()))
    losses = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r, _ in runs
    ]
    assert losses[0] == losses[1] != losses[2]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1].values(), runs[1][1].values()))


@all_models
def test_encode_in_eval_mode_is_deterministic(name, tiny):
    data = with_graphs(tiny)
    model = build(name, data)
    for first, second in zip(encode(model, data), encode(model, data)):
        assert torch.equal(first, second)
    assert model.training


@all_models
def test_checkpoint_round_trip(name, tiny, tmp_path):
    data = with_graphs(tiny)
    model = build(name, data)
    save_tensors(model.state_dict(), tmp_path / "model.pt")
    other = build(name, data)
    other.reset_parameters()
    other.load_state_dict(load_tensors(tmp_path / "model.pt"))
    for ours, theirs in zip(encode(model, data), encode(other, data)):
        assert torch.equal(ours, theirs)


@all_models
def test_batch_of_users_equals_single_users(name, tiny):
    data = with_graphs(tiny)
    user, item = encode(build(name, data), data)
    seen = SeenItems(data[INTERACTS].edge_index, data[USER].num_nodes)
    users = torch.arange(data[USER].num_nodes)
    together = top_k(user, item, users, 10, seen)
    single = torch.cat([top_k(user, item, u[None], 10, seen) for u in users])
    assert torch.equal(together, single)


@all_models
@pytest.mark.parametrize("channels", [{"visual": 6}, {"a": 4, "b": 5, "c": 6}])
def test_any_number_of_modalities(name, channels):
    data = with_graphs(SyntheticDataset.tiny(channels=channels)[0])
    assert modalities(data) == sorted(channels)
    fit(build(name, data), data, QUICK, progress=False)


@all_models
def test_missing_rows_and_cold_items(name, tiny):
    """Items without content, or without training pairs, break nothing."""
    mask = torch.rand(40, generator=torch.Generator().manual_seed(0)) > 0.4
    tiny[ITEM].mask_visual = mask
    tiny[ITEM].x_visual[~mask] = 0
    train = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = train[:, train[1] != 7]
    data = with_graphs(tiny)
    model = build(name, data)
    result = fit(model, data, QUICK, progress=False)
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in result.history)
    assert all(x.isfinite().all() for x in encode(model, data))


def all_losses(model, data, batch):
    """The terms of every objective in an epoch's first step."""
    if hasattr(model, "start_epoch"):
        model.start_epoch(data)
    objectives = model.objectives() if hasattr(model, "objectives") else [model]
    return [loss for o in objectives for loss in o.losses(data, batch).values()]


@all_models
def test_gradients_reach_every_parameter(name, tiny):
    data = with_graphs(tiny)
    model = build(name, data)
    losses = all_losses(model, data, next(iter(BPRSampler(data, 128))))
    torch.stack(losses).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@all_models
def test_features_of_zeros_leave_gradients_moderate(name, tiny):
    """A projection whose bias starts at zero has no direction there."""
    for m in modalities(tiny):
        tiny[ITEM][f"x_{m}"][::3] = 0
    data = with_graphs(tiny)
    model = build(name, data)
    losses = all_losses(model, data, next(iter(BPRSampler(data, 128))))
    torch.stack(losses).sum().backward()
    assert all(p.grad.abs().max() < 1e3 for p in model.parameters())


@all_models
def test_autocast_leaves_losses_in_float32(name, tiny):
    data = with_graphs(tiny)
    batch = next(iter(BPRSampler(data, 128)))
    with torch.autocast("cpu", torch.bfloat16):
        losses = all_losses(build(name, data), data, batch)
    assert {loss.dtype for loss in losses} == {torch.float32}


@all_models
def test_losses_are_scalars_and_reset_draws_afresh(name, tiny):
    data = with_graphs(tiny)
    model = build(name, data)
    before = encode(model, data)[0]
    model.reset_parameters()
    assert not torch.equal(before, encode(model, data)[0])
    losses = model.losses(data, next(iter(BPRSampler(data, 16))))
    assert ("bpr" in losses) == (name not in WITHOUT_BPR)
    assert all(loss.shape == () for loss in losses.values())


@all_models
def test_compiles_without_graph_breaks(name, tiny):
    data = with_graphs(tiny)
    model = build(name, data).eval()
    expected = model.encode(data)
    compiled = torch.compile(model.encode, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(compiled(data), expected):
        torch.testing.assert_close(ours, theirs)


@withCUDA
@all_models
def test_runs_on_every_device(name, tiny, device):
    data = with_graphs(tiny.to(device))
    model = build(name, data).to(device)
    result = fit(model, data, QUICK, progress=False)
    assert result.epochs_run == 3
    assert all(x.device.type == device.type for x in encode(model, data))
