"""Models without gradient steps in the training loop; their files are in tests/runs."""

import pytest
import torch

from mentor_pyg import InputError, TrainConfig, evaluate, fit
from mentor_pyg.nn.models import ALS, EASE, SolvedRecommender
from mentor_pyg.testing import check_model
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.transforms import LightGCNNorm


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


class Seen(Callback):
    def __init__(self):
        self.calls = []

    def on_epoch_start(self, trainer):
        self.calls.append("start")

    def on_step_start(self, trainer):
        self.calls.append("step")

    def on_epoch_end(self, trainer):
        self.calls.append(trainer.epoch)


def test_a_model_is_solved_in_a_single_epoch_that_is_validated(data):
    seen, model = Seen(), EASE.from_data(data)
    settings = {"epochs": 50, "eval_every": 7, "optimizer": "sgd", "scheduler": "plateau"}
    result = fit(model, data, TrainConfig(**settings), callbacks=[seen], progress=False)
    assert seen.calls == ["start", 1]
    (row,) = result.history
    assert (result.best_epoch, result.epochs_run, row["epoch"]) == (1, 1, 1)
    assert result.val == evaluate(model, data, "val")
    assert set(row) == {"epoch", "seconds", *result.val}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampler", []),
        ("optimizer", torch.optim.SGD),
        ("scheduler", lambda optimizer: None),
        ("max_grad_norm", 1.0),
    ],
)
def test_parts_of_steps_are_refused(data, name, value):
    message = f"^{name}: is set, but EASE is solved without gradient steps; expected none$"
    with pytest.raises(InputError, match=message):
        fit(EASE.from_data(data), data, progress=False, **{name: value})


def test_the_seed_decides_what_is_drawn(data):
    first, again, other = (ALS.from_data(data, num_iterations=1) for _ in range(3))
    for model, seed in ((first, 1), (again, 1), (other, 2)):
        fit(model, data, TrainConfig(seed=seed), progress=False)
    assert torch.equal(first.item, again.item)
    assert not torch.allclose(first.item, other.item)


class Empty(SolvedRecommender):
    def solve(self, data):
        pass


class Infinite(EASE):
    def solve(self, data):
        self.weight.fill_(torch.inf)


def test_what_cannot_be_solved_is_reported(data):
    with pytest.raises(InputError, match=r"^Empty: has no buffers; expected at least one to solve"):
        fit(Empty(), data, progress=False)
    with pytest.raises(InputError, match=r"^epoch 1: weights 'weight' aren't finite"):
        fit(Infinite.from_data(data), data, progress=False)


class Leaking(EASE):
    """Learns from the held-out pairs."""

    def solve(self, data):
        super().solve(data)
        item = data["user", "interacts", "item"].test_edge_label_index[1]
        self.weight[item, item] += 1.0


class Shared(EASE):
    """Returns its own buffer."""

    def columns(self):
        return self.weight.t()


@pytest.mark.parametrize(
    ("model", "message"), [(Leaking, "no leak: expected"), (Shared, "to return none of them")]
)
def test_the_contracts_find_faults_of_solved_models(model, message):
    with pytest.raises(AssertionError, match=message):
        check_model(model)
