"""What every registered model must do, whatever it is."""

import inspect

import pytest
import torch
from torch_geometric.testing import withCUDA

from mentor_pyg import InputError, TrainConfig, fit
from mentor_pyg.config import load_config
from mentor_pyg.evaluation import encode
from mentor_pyg.nn import models
from mentor_pyg.testing import add_graphs, contracts

all_models = pytest.mark.parametrize("name", models.classes)


def named(check):
    return check.__name__.removeprefix("check_")


@all_models
@pytest.mark.parametrize("check", contracts, ids=named)
def test_contract(check, name):
    check(getattr(models, name))


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
def test_compiles_without_graph_breaks(name, tiny):
    data = add_graphs(tiny)
    model = getattr(models, name).from_data(data).eval()
    expected = model.encode(data)
    compiled = torch.compile(model.encode, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(compiled(data), expected):
        torch.testing.assert_close(ours, theirs)


@withCUDA
@all_models
def test_runs_on_every_device(name, tiny, device):
    data = add_graphs(tiny.to(device))
    model = getattr(models, name).from_data(data).to(device)
    result = fit(model, data, TrainConfig(epochs=3, batch_size=64, lr=1e-2), progress=False)
    assert result.epochs_run == 3
    assert all(x.device.type == device.type for x in encode(model, data))
