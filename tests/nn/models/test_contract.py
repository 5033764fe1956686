"""What every registered model must do, whatever it is."""

import inspect
from functools import partial

import pytest
import torch
from torch_geometric.testing import withCUDA

from mentor_pyg import InputError, TrainConfig, fit
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn import models
from mentor_pyg.runs.config import load_config
from mentor_pyg.testing import add_graphs, contracts
from mentor_pyg.testing.subject import Subject, all_losses, backward, gradients, tiny_data

all_models = pytest.mark.parametrize("name", models.classes)
SOLVED = {n for n in models.classes if issubclass(getattr(models, n), models.SolvedRecommender)}


def named(check):
    return check.__name__.removeprefix("check_")


@all_models
@pytest.mark.parametrize("check", contracts, ids=named)
def test_contract(check, name):
    if name == "Popularity" and named(check) == "learns_checkerboard":
        pytest.skip("its lists are not personalised, as its page says")
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


TRACED = {"MENTOR", "MMSSL"}


@pytest.mark.parametrize("name", [name for name in models.classes if name not in SOLVED])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's own tracing
def test_losses_compile_without_graph_breaks(name, monkeypatch):
    """Those of every objective in training, and their gradients. One layer and modality are
    compiled in less time, and so are all models but those in :data:`TRACED` if only their
    forward pass is traced; the package's own operators have tests of both passes."""
    raw = tiny_data((("visual", 6),))
    options = dict.fromkeys(options_of(name, "num_layers"), 1)
    subject = Subject(getattr(models, name), raw, add_graphs, options)

    def first_step(**compile):
        model = subject.build()
        losses = all_losses(model, subject.data, subject.batch(64), **compile)
        backward(losses)
        return losses, gradients(model)

    backend = "aot_eager" if name in TRACED else "eager"
    compiled = first_step(compile=partial(torch.compile, fullgraph=True, backend=backend))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # draws as compiled code
    torch.testing.assert_close(compiled, first_step())


@withCUDA
@all_models
def test_runs_on_every_device(name, tiny, device):
    data = add_graphs(tiny.to(device))
    model = getattr(models, name).from_data(data).to(device)
    result = fit(model, data, TrainConfig(epochs=3, batch_size=64, lr=1e-2), progress=False)
    assert result.epochs_run == (1 if name in SOLVED else 3)
    assert all(x.device.type == device.type for x in encode(model, data))
