"""A state that doesn't fit is refused in one line, before anything of it is loaded."""

import math
from functools import cache

import pytest
import torch

from mentor_pyg import InputError, TrainConfig
from mentor_pyg.nn.models import FREEDOM, MMSSL, LightGCN
from mentor_pyg.training.checkpoint import Checkpoint, read_checkpoint
from mentor_pyg.training.trainer import Trainer
from mentor_pyg.transforms import ItemKNN, LightGCNNorm

CONFIG = TrainConfig(epochs=3, batch_size=64, lr=1e-2, patience=9)


LACKING = object()


class Stop(Exception):
    pass


class Kept(Checkpoint):
    """Keeps the state of the given save, and stops there."""

    def save(self, state):
        self.count = getattr(self, "count", 0) + 1
        if self.count == 8:  # within the second epoch
            super().save(state)
            raise Stop


def make(data, checkpoint, model_class=LightGCN):
    return Trainer(model_class.from_data(data), data, CONFIG, progress=False, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A graph and a function that makes the state of a model in mid-epoch."""
    from mentor_pyg.datasets import SyntheticDataset

    data = LightGCNNorm()(ItemKNN(k=5, cache=False)(SyntheticDataset.tiny()[0]))

    @cache
    def state_of(model_class=LightGCN):
        checkpoint = Kept(tmp_path_factory.mktemp("state") / "last.pt", {}, minutes=-1.0)
        with pytest.raises(Stop):
            make(data, checkpoint, model_class).fit()
        return read_checkpoint(checkpoint.path)["state"]

    return data, state_of


def frozen(trainer):
    """Everything that training depends on, as text."""
    state = trainer.state_dict() | {"global": torch.get_rng_state().sum()}
    with torch.random.fork_rng():
        return repr(state)


def refuse(data, state, tmp_path, model_class=LightGCN):
    checkpoint = Checkpoint(tmp_path / "last.pt", {})
    checkpoint.save(state)
    trainer = make(data, checkpoint, model_class)
    before = frozen(trainer)
    with pytest.raises(InputError) as error:
        trainer.resume()
    assert frozen(trainer) == before
    message = str(error.value)
    assert message.startswith(f"{checkpoint.path}: ")
    assert "; expected " in message
    assert "\n" not in message
    return message


def leaves(value, path=()):
    """Paths to all that a nested state holds, containers included."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list | tuple):
        for i, entry in enumerate(value):
            yield from leaves(entry, (*path, i))


def at(state, path):
    for key in path:
        state = state[key]
    return state


def spoiled(state, path, value):
    """A state that differs in one place, or lacks it if the value is ``LACKING``."""
    key, *rest = path
    if not rest and value is LACKING:
        return {k: v for k, v in state.items() if k != key}
    value = spoiled(state[key], rest, value) if rest else value
    if isinstance(state, dict):
        return {k: value if k == key else v for k, v in state.items()}
    return type(state)(value if k == key else v for k, v in enumerate(state))


def bad_values(value):
    """Replacements of the wrong type, shape, dtype or content."""
    yield from (v for v in ("text", [], {}, 10**30) if type(v) is not type(value) or v != value)
    yield from (None, torch.zeros(3, 5))
    if isinstance(value, torch.Tensor):
        yield from (value[None], value.to(torch.complex64), value.to_sparse())
        yield value.to("meta")
        if value.is_floating_point():
            yield from (value.double(), value * math.nan, value + math.inf)
    if type(value) is int:
        yield from (-1, float(value))
    if isinstance(value, float):
        yield from (math.nan, math.inf, int(value))


@pytest.mark.parametrize("model_class", [LightGCN, FREEDOM])
def test_every_part_must_fit(saved, tmp_path, model_class):
    data, state_of = saved
    state = state_of(model_class)
    trainer = make(data, Checkpoint(tmp_path / "last.pt", {}), model_class)
    before = frozen(trainer)
    tried = 0
    for path in leaves(state):
        if not path or (path[0] == "optimizers" and path[-2:-1] == ("params",)):
            continue
        value = at(state, path)
        values = [bad for bad in bad_values(value) if bad is not None or value is not None]
        if path[0] == "totals":  # a model may compute its losses in double precision
            values = [bad for bad in values if getattr(bad, "dtype", None) != torch.float64]
        values += [LACKING] * may_not_lack(path, at(state, path[:-1]))
        for bad in values:
            trainer.checkpoint.load = lambda bad=bad, path=path: spoiled(state, path, bad)
            with pytest.raises(InputError, match=r"^[^\n]*; expected [^\n]*$"):
                trainer.resume()
            tried += 1
    assert tried > 300
    assert frozen(trainer) == before
    trainer.checkpoint.load = lambda: state
    trainer.resume()
    assert frozen(trainer) != before


def may_not_lack(path, owner):
    """Whether a place can't be left out: loss terms vary, and so do parameters with a state."""
    is_loss = path[0] == "totals" or (path[:2] == ("result", "history") and len(path) == 4)
    is_parameter = path[0] == "optimizers" and path[2:3] == ("state",) and len(path) == 4
    return isinstance(owner, dict) and not (is_loss or is_parameter)


CONTRADICTIONS = {
    "a best epoch to come": (("result", "best_epoch"), 2),
    "another best value": (("result", "val", "recall@20"), 0.999),
    "validations that never were": (("bad_rounds",), 3),
    "an epoch out of order": (("result", "history", 0, "epoch"), 2),
    "a step to come": (("step",), 99),
    "no sums within an epoch": (("totals",), {}),
    "a negative time": (("seconds",), -1.0),
    "steps of the optimiser to come": (
        ("optimizers", 0, "state", 0, "step"),
        torch.tensor(1000.0),
    ),
    "another learning rate": (("optimizers", 0, "param_groups", 0, "lr"), 1.0),
    "another algorithm": (("optimizers", 0, "param_groups", 0, "amsgrad"), True),
    "a state of no generator": (("random", "torch"), torch.full((5056,), 255, dtype=torch.uint8)),
}


@pytest.mark.parametrize(("path", "value"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_parts_that_contradict_each_other(saved, tmp_path, path, value):
    data, state_of = saved
    refuse(data, spoiled(state_of(), path, value), tmp_path)


def test_the_state_of_another_model_or_seed_of_data(saved, tmp_path):
    data, state_of = saved
    message = refuse(data, state_of(MMSSL), tmp_path)
    assert "model lacks" in message or "model has" in message


def test_a_diverged_state_is_refused(saved, tmp_path):
    data, state_of = saved
    state = state_of()
    name, value = next(iter(state["model"].items()))
    message = refuse(data, spoiled(state, ("model", name), value * math.nan), tmp_path)
    assert f"model.{name} is 'not finite'; expected finite numbers" in message


def test_identities_with_tensors_are_refused(saved, tmp_path):
    data, state_of = saved
    path = tmp_path / "last.pt"
    Checkpoint(path, {"a": [torch.zeros(2)]}).save(state_of())
    with pytest.raises(InputError, match="its identity holds tensors; expected plain values"):
        make(data, Checkpoint(path, {"a": [1]})).resume()
