"""Validation of a saved training state before a run resumes from it."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mentor_pyg.training.checkpoint import epoch_state
from mentor_pyg.training.checks import Check, describe
from mentor_pyg.training.config import TrainConfig
from mentor_pyg.training.randomness import RandomStream, is_state
from mentor_pyg.training.sampler import BPRSampler

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer


def check_state(state: Mapping[str, Any], trainer: "Trainer", path: object) -> None:
    """Raises an InputError unless a state has all parts that a trainer needs, in the right form and
    consistent with each other. The trainer is not modified."""
    check, own = Check(f"{path}: "), trainer.state_dict()
    check.keys("state", state, own)
    check.like("model", state["model"], own["model"])
    check.like("best", state["best"], own["best"])
    _check_result(check, state, trainer.config, list(trainer.evaluator.metrics))
    _check_place(check, state, own, trainer)
    _check_random(check, state["random"], own["random"])
    _check_sampler(check, state, own["sampler"], trainer.sampler)
    _check_callbacks(check, state["callbacks"], trainer)
    _check_optimizers(check, state, trainer)
    check.alike("schedulers", state["schedulers"], own["schedulers"])
    is_fresh = not state["result"]["history"] and state["step"] == 0
    drawn = own["epoch"] if is_fresh else _after_a_start(trainer)
    check.keys("epoch", state["epoch"], drawn)
    for name, like in drawn.items():
        found = state["epoch"][name]
        fits = isinstance(found, Tensor) and found.dim() == like.dim()
        check.that(fits, f"epoch.{name}", found, describe(like))
        # Buffers may have grown since the first epoch started.
        may_grow = name in own["epoch"]
        check.like(f"epoch.{name}", found, like.new_zeros(found.shape) if may_grow else like)


def check_layout(path: object, found: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises an InputError unless a ``state_dict`` is finite and has the layout of ``own``."""
    Check(f"{path}: ").like("model", found, own)


def _check_result(
    check: Check, state: Mapping[str, Any], config: TrainConfig, metrics: Sequence[str]
) -> None:
    """Checks history, best epoch, and number of validations since."""
    result, monitor = state["result"], config.monitor
    check.keys("result", result, dict.fromkeys(("best_epoch", "val", "history")))
    history, val, best_epoch = result["history"], result["val"], result["best_epoch"]
    check.that(type(history) is list, "result.history", history, "a list")
    for epoch, row in enumerate(history, 1):
        name = f"result.history.{epoch}"
        check.that(isinstance(row, dict), name, row, "a mapping")
        check.count(f"{name}.epoch", row.get("epoch"), epoch, epoch)
        check.number(f"{name}.seconds", row.get("seconds"), 0.0)
        for key, value in row.items():
            check.that(type(key) is str, name, key, "names")
            if key != "epoch":
                check.number(f"{name}.{key}", value)
        if monitor in row:
            check.that(all(m in row for m in metrics), name, row, "all validation metrics")
    check.count("result.best_epoch", best_epoch, 0, len(history))
    measured = history[best_epoch - 1] if best_epoch else {}
    expected = {m: measured[m] for m in metrics if m in measured}
    check.that(best_epoch == 0 or bool(expected), "result.best_epoch", best_epoch, "a validation")
    check.like("result.val", val, expected)
    since = sum(monitor in row for row in history[best_epoch:])
    check.count("bad_rounds", state["bad_rounds"], since, since)


def _check_place(
    check: Check, state: Mapping[str, Any], own: Mapping[str, Any], trainer: "Trainer"
) -> None:
    """Checks the position within the epoch, and the sums so far."""
    totals, num_batches = state["totals"], trainer.num_batches
    check.count("step", state["step"], 0, 2**63 - 1 if num_batches is None else num_batches)
    check.that(isinstance(totals, dict), "totals", totals, "a mapping")
    for name, total in totals.items():
        is_float = isinstance(total, Tensor) and total.is_floating_point()
        check.that(is_float, f"totals.{name}", total, "a tensor of a float")
        check.like(f"totals.{name}", total, torch.zeros((), dtype=total.dtype))
    is_within = state["step"] > 0
    check.that(bool(totals) == is_within, "totals", totals, "sums only within an epoch")
    check.number("seconds", state["seconds"], 0.0)


def _check_random(
    check: Check, found: Any, own: Mapping[str, Tensor], name: str = "random"
) -> None:
    check.like(name, found, own)
    for kind, value in found.items():
        check.that(is_state(kind, value), f"{name}.{kind}", "no state of a generator", "one")


def _check_sampler(
    check: Check, state: Mapping[str, Any], own: Mapping[str, Any], sampler: object
) -> None:
    """Checks the sampler's state; for custom samplers, only whether there is one."""
    found = state["sampler"]
    if not isinstance(sampler, BPRSampler):
        check.that(isinstance(found, Mapping), "sampler", found, "a mapping")
        check.that(bool(found) == bool(own), "sampler", found, "the state of the sampler")
        return
    check.keys("sampler", found, own)
    check.count("sampler.step", found["step"], state["step"], state["step"])
    generators = {name: found[name] for name in ("start", "now")}
    _check_random(check, generators, {name: own[name] for name in generators}, "sampler")


def _check_callbacks(check: Check, found: Any, trainer: "Trainer") -> None:
    """Checks that all callbacks with a saved state are present."""
    check.that(isinstance(found, Mapping), "callbacks", found, "a mapping")
    names = [name for name, _ in trainer.named_callbacks()]
    for name, saved in found.items():
        check.that(name in names, "callbacks", name, "the callbacks that were saved")
        check.that(isinstance(saved, Mapping), f"callbacks.{name}", saved, "a mapping")


def _check_optimizers(check: Check, state: Mapping[str, Any], trainer: "Trainer") -> None:
    """Checks the state of each optimiser, and that its number of steps is possible."""
    found, epochs = state["optimizers"], len(state["result"]["history"])
    check.that(type(found) is list, "optimizers", found, "a list")
    check.length("optimizers", found, len(trainer.optimizers))
    size, batches = trainer.config.accumulate, trainer.num_batches
    taken: float = -(-state["step"] // size)
    if epochs:
        taken += math.inf if batches is None else epochs * -(-batches // size)
    for i, optimizer in enumerate(trainer.optimizers):
        most = math.inf if optimizer.state else taken  # it may have taken steps before
        same = check.alike if trainer.schedulers else check.like  # schedules change settings
        _check_optimizer(check, f"optimizers.{i}", found[i], optimizer, most, same)


def _check_optimizer(
    check: Check,
    name: str,
    found: Any,
    optimizer: Optimizer,
    most: float,
    same: Callable[[str, Any, Any], None],
) -> None:
    """Checks an optimiser's settings, and its state for each parameter."""
    own, like = optimizer.state_dict(), _after_a_step(optimizer)
    check.keys(name, found, own)
    groups, states = found["param_groups"], found["state"]
    check.that(type(groups) is list, f"{name}.param_groups", groups, "a list")
    check.length(f"{name}.param_groups", groups, len(own["param_groups"]))
    for i, group in enumerate(own["param_groups"]):
        same(f"{name}.param_groups.{i}", groups[i], group)
    check.that(isinstance(states, dict), f"{name}.state", states, "a mapping")
    if like is None:
        return
    has_worked = most > 0 and bool(like)
    check.that(bool(states) == has_worked, f"{name}.state", states, "the state after its steps")
    for key, value in states.items():
        check.that(key in like, f"{name}.state", key, "the number of a parameter")
        check.alike(f"{name}.state.{key}", value, like[key])
        if "step" in value:
            step = float(value["step"])
            fits = 1 <= step <= most and step.is_integer()
            check.that(fits, f"{name}.state.{key}.step", step, f"1 to {most}")


def _after_a_step(optimizer: Optimizer) -> dict[Any, Any] | None:
    """Layout of an optimiser's state after a step; None if a copy cannot take one (LBFGS)."""
    other = copy.deepcopy(optimizer)
    for group in other.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    try:
        other.step()
    except (AttributeError, TypeError):
        return None
    return other.state_dict()["state"]


def _after_a_start(trainer: "Trainer") -> dict[str, Tensor]:
    with RandomStream(0, trainer.device):
        other = copy.deepcopy(trainer.model)
        other.train()
        other.start_epoch(trainer.data)
    return epoch_state(other)
