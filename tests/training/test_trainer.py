import itertools
import math
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from training.conftest import Stop, StoppingCheckpoint

from mentor_pyg import BaseRecommender, InputError, TrainConfig, evaluate, fit
from mentor_pyg.nn.models import MENTOR, LightGCN
from mentor_pyg.training import Callback, Checkpoint, trainer
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import Objective


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


class Scripted(BaseRecommender):
    """A model whose quality each epoch is written down beforehand."""

    def __init__(self, data, qualities):
        super().__init__()
        self.data, self.qualities = data, qualities
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epoch = 0

    def reset_parameters(self):
        torch.nn.init.zeros_(self.weight)

    def losses(self, data, batch):
        return {"bpr": self.weight}  # Adam lowers it by lr at every step

    def forward(self, data):
        """Scores of the held-out items: first, or last, of all."""
        good = self.qualities[self.epoch]
        if self.training is False:
            self.epoch = min(self.epoch + 1, len(self.qualities) - 1)
        wanted = torch.zeros(60, 40)
        pairs = data["user", "interacts", "item"].val_edge_label_index
        wanted[pairs[0], pairs[1]] = good
        return wanted, torch.eye(40)


def test_early_stopping_keeps_the_best_weights(data):
    model = Scripted(data, [-1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    config = TrainConfig(epochs=50, batch_size=1000, lr=1.0, patience=3)
    result = fit(model, data, config, progress=False)
    assert (result.best_epoch, result.epochs_run) == (2, 5)
    assert result.val["recall@20"] == 1.0
    assert model.weight.item() == pytest.approx(-2.0)


def test_equal_validation_is_no_progress(data):
    result = fit(Scripted(data, [1.0]), data, TrainConfig(epochs=9, patience=2), progress=False)
    assert (result.best_epoch, result.epochs_run) == (1, 3)


def test_every_improvement_renews_the_patience(data):
    """Two validations without one, a better one, and only then three."""
    model = Scripted(data, [-1.0, 0.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    result = fit(model, data, TrainConfig(epochs=50, patience=3), progress=False)
    assert (result.best_epoch, result.epochs_run) == (5, 8)


def test_validation_every_n_epochs_and_at_the_end(data):
    config = TrainConfig(epochs=5, eval_every=2, lr=1e-2)
    result = fit(LightGCN.from_data(data), data, config, progress=False)
    assert ["recall@20" in row for row in result.history] == [False, True, False, True, True]


def test_best_weights_give_the_reported_validation(data):
    model = LightGCN.from_data(data)
    result = fit(model, data, TrainConfig(epochs=15, lr=1e-2, patience=4), progress=False)
    assert evaluate(model, data, "val") == result.val
    best = max(row["recall@20"] for row in result.history)
    assert result.val["recall@20"] == best


def test_history_holds_terms_and_times(data):
    result = fit(LightGCN.from_data(data), data, TrainConfig(epochs=2), progress=False)
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert {"seconds", "bpr", "reg", "ndcg@10"} <= result.history[0].keys()
    assert result.seconds_per_epoch > 0


def test_seconds_are_those_of_all_steps_of_an_epoch(data, monkeypatch, tmp_path):
    """Also if it was interrupted: six steps, and a clock that goes on by one at each reading."""
    clock, path = itertools.count(), tmp_path / "last.pt"
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    options = {"config": TrainConfig(epochs=2, batch_size=64), "progress": False}
    with pytest.raises(Stop):
        fit(LightGCN.from_data(data), data, checkpoint=StoppingCheckpoint(path, 2), **options)
    options |= {"checkpoint": Checkpoint(path, {}), "resume": True}
    history = fit(LightGCN.from_data(data), data, **options).history
    assert [row["seconds"] for row in history] == [6, 6]


def test_test_split_is_never_read(data):
    without = data.clone()
    del without["user", "interacts", "item"].test_edge_label_index
    config = TrainConfig(epochs=2, lr=1e-2)
    runs = [fit(LightGCN.from_data(d), d, config, progress=False).val for d in (data, without)]
    assert runs[0] == runs[1]


def test_a_warm_start_goes_on_from_the_parameters(data):
    config = TrainConfig(epochs=1, lr=1e-2)
    model, cold = LightGCN.from_data(data), LightGCN.from_data(data)
    first = fit(model, data, config, progress=False).history[0]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    again = fit(model, data, config, reset=False, progress=False).history[0]
    assert again["bpr"] < first["bpr"]
    cold.load_state_dict(weights)
    assert fit(cold, data, config, reset=False, progress=False).history[0]["bpr"] == again["bpr"]
    assert fit(cold, data, config, progress=False).history[0]["bpr"] == first["bpr"]


def test_a_model_without_parameters_is_refused(data):
    class Empty(torch.nn.Module):
        def reset_parameters(self):
            pass

    with pytest.raises(InputError, match=r"^Empty: has no parameters; expected at least one"):
        fit(Empty(), data)


def test_training_lowers_the_loss(data):
    config = TrainConfig(epochs=30, lr=1e-2, patience=30)
    history = fit(LightGCN.from_data(data), data, config, progress=False).history
    assert history[-1]["bpr"] < 0.6 * history[0]["bpr"]


def test_a_loss_that_is_not_finite_stops_with_its_name(data):
    class Broken(LightGCN):
        def losses(self, data, batch):
            return super().losses(data, batch) | {"odd": math.nan * self.embedding.user.sum()}

    with pytest.raises(InputError, match="loss term 'odd' is nan"):
        fit(Broken.from_data(data), data, TrainConfig(epochs=2), progress=False)


def test_a_training_that_diverges_keeps_the_best_weights(data):
    class Exploding(Scripted):
        def start_epoch(self, data):
            self.is_broken = self.epoch == 2

        def losses(self, data, batch):
            return {"bpr": self.weight * (math.nan if self.is_broken else 1)}

    model = Exploding(data, [0.0, 1.0, 0.0])
    config = TrainConfig(epochs=9, batch_size=1000, lr=1.0)
    with pytest.raises(
        InputError, match=r"^epoch 3: .*; the best weights so far, of epoch 2, were"
    ):
        fit(model, data, config, progress=False)
    assert model.weight.item() == pytest.approx(-2.0)


def test_weights_are_checked_after_the_last_step_of_an_epoch(data):
    """Also in epochs without a validation."""

    class Broken(Callback):
        def on_step_end(self, trainer, losses):
            if trainer.step == 6:
                next(trainer.model.parameters()).data.fill_(math.nan)

    config = TrainConfig(epochs=9, batch_size=64, eval_every=9)
    with pytest.raises(InputError, match=r"^epoch 1: weights 'embedding\.user' aren't finite"):
        fit(LightGCN.from_data(data), data, config, callbacks=[Broken()], progress=False)


@pytest.mark.parametrize(
    ("size", "found"),
    [(math.inf, "user embeddings: 60 of 60 rows hold NaN"), (1e30, "scores: are NaN or inf")],
)
def test_embeddings_without_scores_stop_with_the_epoch(data, size, found):
    class Growing(LightGCN):
        def forward(self, data):
            return tuple(size * emb.abs().clamp(min=1) for emb in super().forward(data))

        def losses(self, data, batch):
            return {"l2": self.embedding.user.square().sum()}

    with pytest.raises(InputError, match=f"^epoch 1: {found}.*; no weights were kept$"):
        fit(Growing.from_data(data), data, TrainConfig(epochs=2), progress=False)


@pytest.mark.parametrize("name", ["epochs", "batch_size", "lr", "eval_every", "patience"])
def test_settings_must_be_positive(name):
    with pytest.raises(InputError, match=rf"TrainConfig\.{name}: is 0; expected "):
        TrainConfig(**{name: 0})


@pytest.mark.parametrize("lr", [math.inf, math.nan])
def test_the_learning_rate_is_finite(lr):
    with pytest.raises(InputError, match=r"\.lr: is (inf|nan); expected more than 0 and finite"):
        TrainConfig(lr=lr)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": True},
        {"batch_size": 64.0},
        {"batch_size": 2**63},
        {"lr": "1e-3"},
        {"monitor": "recal@20"},
        {"monitor": "recall@5"},
        {"ks": ()},
        {"ks": (0,)},
        {"ks": (10, 20, 10)},
        {"ks": 10},
        {"ks": "10"},
        {"seed": -1},
        {"seed": 2**40},
        {"precision": "fp16"},
        {"compile": 1},
    ],
)
def test_settings_are_checked(options):
    (name,) = options
    with pytest.raises(InputError, match=rf"\.{name}: .*; expected "):
        TrainConfig(**options)


def test_settings_become_plain_values():
    config = TrainConfig(epochs=np.int64(3), lr=1, ks=[20, 10], seed=torch.tensor(7))
    assert config == TrainConfig(epochs=3, lr=1.0, ks=(20, 10), seed=7)
    assert type(config.epochs) is type(config.seed) is int
    assert type(config.lr) is float


OPTIMIZERS = {
    torch.optim.Adam: {},
    torch.optim.AdamW: {"foreach": True},  # beside which nothing is fused
    torch.optim.SGD: {},
    torch.optim.RMSprop: {},
    torch.optim.Adagrad: {},
    torch.optim.Adadelta: {"lr": 1.0},
    torch.optim.Adafactor: {},
    torch.optim.NAdam: {},
    torch.optim.Rprop: {},
    torch.optim.LBFGS: {"max_iter": 3},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_objectives_take_any_optimizer(data, optimizer):
    class Other(LightGCN):
        def objectives(self):
            parameters = list(self.parameters())
            return [Objective(self.losses, parameters, optimizer, OPTIMIZERS[optimizer])]

    config = TrainConfig(epochs=2, batch_size=400, lr=1e-2, seed=1)
    first, second = fit(Other.from_data(data), data, config, progress=False).history
    assert second["bpr"] != first["bpr"]  # the weights have moved
    assert losses(second).keys() == {"bpr", "reg"}
    if optimizer is torch.optim.Adam:  # that of models without objectives
        expected = fit(LightGCN.from_data(data), data, config, progress=False).history
        assert [losses(row) for row in expected] == [losses(first), losses(second)]


def test_progress_bar_shows_the_loss_terms(data, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fit(LightGCN.from_data(data), data, TrainConfig(epochs=1))
    shown = capsys.readouterr().err
    assert "epoch 1" in shown
    assert "bpr=" in shown
    assert "reg=" in shown


@pytest.fixture
def train_mentor(tiny):
    """Trains MENTOR with options and settings; the model, the result and the data."""

    def train_mentor(options=None, **settings):
        data = LightGCNNorm()(ItemKNN(k=5, cache=False)(tiny))
        model = MENTOR.from_data(data, **(options or {}))
        config = TrainConfig(**({"epochs": 2, "lr": 1e-2, "batch_size": 128} | settings))
        return model, fit(model, data, config, progress=False), data

    return train_mentor


def losses(row):
    return {k: v for k, v in row.items() if "@" not in k and k not in ("epoch", "seconds")}


@pytest.mark.parametrize("seed", [0, 1])
def test_bf16_trains_much_as_fp32(train_mentor, seed):
    model, result, data = train_mentor(seed=seed, precision="bf16")
    expected = losses(train_mentor(seed=seed)[1].history[0])
    found = losses(result.history[0])
    assert found.keys() == {"bpr", "align", "mask", "contrast", "reg"}
    assert found == pytest.approx(expected, rel=5e-3)  # they differ by up to 1e-3
    assert found != expected
    assert all(math.isfinite(x) for row in result.history for x in row.values())
    assert {x.dtype for x in model.state_dict().values()} == {torch.float32}
    assert all("recall@20" in row for row in result.history)
    assert evaluate(model, data, "val") == result.val  # which is measured in float32


def test_bf16_is_deterministic(train_mentor):
    first, again, other = (
        [losses(row) for row in train_mentor(seed=seed, precision="bf16")[1].history]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_terms_in_bfloat16_are_summed_in_float32(data):
    class Half(Scripted):
        def losses(self, data, batch):
            return {"bpr": (0.7 + self.weight).bfloat16()}

    config = TrainConfig(epochs=1, batch_size=1, lr=1e-8)
    result = fit(Half(data, [1.0]), data, config, progress=False)
    assert result.history[0]["bpr"] == pytest.approx(0.7, rel=2**-8)  # that of bfloat16


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_autocast_is_for_the_losses_alone(data, precision):
    class Observed(LightGCN):
        seen: ClassVar = {"losses": set(), "forward": set()}

        def losses(self, data, batch):
            self.seen["losses"].add(torch.is_autocast_enabled("cpu"))
            return super().losses(data, batch)

        def forward(self, data):
            if not self.training:
                self.seen["forward"].add(torch.is_autocast_enabled("cpu"))
            return super().forward(data)

    config = TrainConfig(epochs=1, precision=precision)
    fit(Observed.from_data(data), data, config, progress=False)
    assert Observed.seen == {"losses": {precision == "bf16"}, "forward": {False}}
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's own tracing
def test_compiled_losses_train_alike(train_mentor, monkeypatch):
    compiled = []

    def compile_quickly(function, compile=torch.compile):
        compiled.append(function)
        return compile(function, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", compile_quickly)
    # Nothing random is left but the sampler, and nothing that takes long to compile:
    options = {"mask_weight": 0.0, "contrast_weight": 0.0, "num_layers": 1}
    _, expected, _ = train_mentor(options)
    assert not compiled
    model, result, _ = train_mentor(options, compile=True)
    assert compiled == [model.losses]
    for row, other in zip(result.history, expected.history, strict=True):
        assert losses(row) == pytest.approx(losses(other), rel=1e-5)
    assert result.val == pytest.approx(expected.val)
