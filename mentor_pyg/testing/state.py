"""Contracts on the state of a model: reset, save, load, copy, and other data."""

import io
import pickle
import tempfile
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import torch

from mentor_pyg._util.tensor_files import load_tensors, save_tensors
from mentor_pyg.testing.relabelling import grown
from mentor_pyg.testing.subject import (
    QUICK,
    Subject,
    all_losses,
    contract,
    embeddings,
    expect,
    expect_equal,
    snapshot,
)
from mentor_pyg.training.checkpoint import STATE, epoch_state
from mentor_pyg.training.fitting import fit
from mentor_pyg.typing import INTERACTS


@contract
def check_reset(subject: Subject) -> None:
    """``reset_parameters`` resets all state."""
    used = subject.build()
    before = snapshot(embeddings(used, subject.data))
    fit(used, subject.data, QUICK, progress=False)
    torch.manual_seed(3)
    used.reset_parameters()
    fresh = subject.build(seed=3)
    torch.manual_seed(3)
    fresh.reset_parameters()
    message = "expected 'reset_parameters' to reset all state"
    expect_equal(fresh.state_dict(), used.state_dict(), message)
    expect_equal(epoch_state(fresh), epoch_state(used), message)
    if subject.is_solved:
        return
    after = embeddings(used, subject.data)
    for kind, x in after.items():
        changed = not torch.equal(before[kind], x)
        expect(changed, f"expected other embeddings of each {kind} with another seed")


@contract
def check_constructor(subject: Subject) -> None:
    """The constructor initialises all parameters."""
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(subject.cls.from_data(subject.data, **subject.options).state_dict())
    expect_equal(states[0], states[1], "expected 'from_data' to initialise all parameters")


@contract
def check_checkpoint(subject: Subject) -> None:
    """Saving and loading weights does not change embeddings."""
    model = subject.build()
    model.start_epoch(subject.data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        save_tensors({"model": model.state_dict()}, path, STATE)
        other = subject.build(seed=1)
        other.load_state_dict(load_tensors(path, STATE, "model")["model"])
    message = "expected a model with loaded weights to give the same embeddings"
    expect_equal(embeddings(model, subject.data), embeddings(other, subject.data), message)


@contract
def check_copies(subject: Subject) -> None:
    """``pickle``, ``copy.deepcopy`` and ``torch.save`` copy the whole model."""
    model = subject.build()
    model.start_epoch(subject.data)
    expected = snapshot(embeddings(model, subject.data))
    for copied in (_pickled, deepcopy, _saved):
        name = copied.__name__.strip("_")
        try:
            other = copied(model)
        except Exception as error:
            raise AssertionError(f"expected a model that can be {name} ({error})") from error
        message = f"expected a {name} copy to give the same embeddings"
        expect_equal(expected, embeddings(other, subject.data), message)
        torch.manual_seed(1)
        other.reset_parameters()
        other.start_epoch(subject.data)
        message = f"expected a {name} copy to share nothing with the model"
        expect_equal(expected, embeddings(model, subject.data), message)


@contract
def check_other_pairs(subject: Subject) -> None:
    """Weights can be loaded for data with other training pairs of the same users and items."""
    fewer = copy(subject.raw)
    fewer[INTERACTS].edge_index = fewer[INTERACTS].edge_index[:, :-1]
    model, more = subject.on(fewer).build(), subject.build(seed=1)
    model.start_epoch(subject.on(fewer).data)
    _load(more, model.state_dict(), "expected weights to load for data with one more pair")
    expect_equal(
        model.state_dict(), more.state_dict(), "expected all weights to load for more pairs"
    )
    all_losses(more, subject.data, subject.batch())
    embeddings(more, subject.data)


@contract
def check_other_sizes(subject: Subject) -> None:
    """Weights for another number of users or items are rejected if they do not fit."""
    state = subject.build().state_dict()
    for sizes in ({"users": 1}, {"items": 1}):
        other = subject.on(grown(subject.raw, **sizes)).build(seed=1)
        shapes = {name: x.shape for name, x in other.state_dict().items()}
        fits = shapes == {name: x.shape for name, x in state.items()}
        what = f"weights for fewer {next(iter(sizes))}"
        if fits:
            _load(other, state, f"expected {what}, which have the same shapes, to load")
            continue
        try:
            other.load_state_dict(state)
        except RuntimeError:
            continue
        raise AssertionError(f"expected {what} to be refused by a RuntimeError")


def _load(model: Any, state: dict[str, Any], message: str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise AssertionError(f"{message} ({error})") from error


def _pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def _saved(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)  # safe, since it was written above
