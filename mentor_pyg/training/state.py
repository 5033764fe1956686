"""Whether a saved state of a training run fits the run that is to go on from it."""

import copy
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mentor_pyg.errors import InputError, shown
from mentor_pyg.training.checkpoint import epoch_state
from mentor_pyg.training.config import TrainConfig

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer


def check_state(state: Mapping[str, Any], trainer: "Trainer", path: object) -> None:
    """Makes sure that a state has every part that a trainer needs, in the right form.

    Args:
        state: What was saved.
        trainer: The trainer that would load it; it doesn't change.
        path: Where the state is from, for messages.

    Raises:
        InputError: If anything is missing, too much, of another type, shape or dtype, not
            finite, or contradicts the rest.
    """
    check, own, num_steps = _Check(f"{path}: "), trainer.state_dict(), len(trainer.sampler)
    check.keys("state", state, own)
    check.like("model", state["model"], own["model"])
    check.like("best", state["best"], own["best"])
    _check_result(check, state, trainer.config, list(trainer.evaluator.metrics))
    _check_place(check, state, own, num_steps)
    taken = len(state["result"]["history"]) * num_steps + state["sampler"]["step"]
    check.that(type(state["optimizers"]) is list, "optimizers", state["optimizers"], "a list")
    check.length("optimizers", state["optimizers"], len(trainer.steps))
    for i, (_, optimizer) in enumerate(trainer.steps):
        _check_optimizer(check, f"optimizers.{i}", state["optimizers"][i], optimizer, taken)
    drawn = own["epoch"] if taken == 0 else _after_a_start(trainer)
    check.keys("epoch", state["epoch"], drawn)
    for name, like in drawn.items():
        found = state["epoch"][name]
        fits = isinstance(found, Tensor) and found.dim() == like.dim()
        check.that(fits, f"epoch.{name}", found, _describe(like))
        # What a model had before its first epoch may have grown since:
        may_grow = name in own["epoch"]
        check.like(f"epoch.{name}", found, like.new_zeros(found.shape) if may_grow else like)


def check_layout(path: object, found: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Makes sure that a ``state_dict`` has the names, shapes and dtypes of another.

    Raises:
        InputError: If it hasn't, or isn't finite.
    """
    _Check(f"{path}: ").like("model", found, own)


class _Check:
    """Refuses what isn't as it must be, by its name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def that(self, holds: bool, name: str, found: Any, expected: str) -> None:
        if not holds:
            raise InputError(f"{self.prefix}{name} is {_describe(found)}; expected {expected}")

    def keys(self, name: str, found: Any, expected: Mapping[Any, Any]) -> None:
        """A mapping with these keys and no others."""
        self.that(isinstance(found, Mapping), name, found, "a mapping")
        for key in expected:
            if key not in found:
                raise InputError(f"{self.prefix}{name} lacks {shown(key)}; expected it")
        for key in found:
            if key not in expected:
                raise InputError(
                    f"{self.prefix}{name} has {shown(key)}; expected nothing of that name"
                )

    def length(self, name: str, found: Sequence[Any], expected: int) -> None:
        if len(found) != expected:
            raise InputError(f"{self.prefix}{name} has {len(found)} entries; expected {expected}")

    def like(self, name: str, found: Any, like: Any) -> None:
        """Of the same structure, types, shapes and dtypes, and finite."""
        if isinstance(like, Tensor):
            fits = (
                isinstance(found, Tensor)
                and (found.layout, found.is_meta) == (like.layout, False)
                and (found.dtype, found.shape) == (like.dtype, like.shape)
            )
            self.that(fits, name, found, _describe(like))
            self.that(bool(found.isfinite().all()), name, "not finite", "finite numbers")
        elif isinstance(like, Mapping):
            self.keys(name, found, like)
            for key, value in like.items():
                self.like(f"{name}.{key}", found[key], value)
        elif isinstance(like, list | tuple):
            self.that(type(found) is type(like), name, found, f"a {type(like).__name__}")
            self.length(name, found, len(like))
            for i, value in enumerate(like):
                self.like(f"{name}.{i}", found[i], value)
        else:
            is_equal = type(found) is type(like) and bool(found == like)
            self.that(is_equal, name, found, _describe(like))

    def count(self, name: str, found: Any, least: int, most: int) -> None:
        fits = type(found) is int and least <= found <= most
        self.that(fits, name, found, f"{least}" if least == most else f"{least} to {most}")

    def number(self, name: str, found: Any, least: float = -math.inf) -> None:
        fits = type(found) is float and math.isfinite(found) and found >= least
        expected = "a finite number" + (f", {least:g} or more" if least > -math.inf else "")
        self.that(fits, name, found, expected)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return reprlib.repr(value)


def _check_result(
    check: _Check, state: Mapping[str, Any], config: TrainConfig, metrics: Sequence[str]
) -> None:
    """The history, the best epoch in it, and validations since."""
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
    check: _Check, state: Mapping[str, Any], own: Mapping[str, Any], num_steps: int
) -> None:
    """The place within the epoch, and the states of the generators."""
    sampler, totals = state["sampler"], state["totals"]
    check.keys("sampler", sampler, own["sampler"])
    check.count("sampler.step", sampler["step"], 0, num_steps)
    check.that(isinstance(totals, dict), "totals", totals, "a mapping")
    for name, total in totals.items():
        is_float = isinstance(total, Tensor) and total.is_floating_point()
        check.that(is_float, f"totals.{name}", total, "a tensor of a float")
        check.like(f"totals.{name}", total, torch.zeros((), dtype=total.dtype))
    is_within = sampler["step"] > 0
    check.that(bool(totals) == is_within, "totals", totals, "sums within an epoch alone")
    check.number("seconds", state["seconds"], 0.0)
    for name in ("start", "now"):
        _check_generator(check, f"sampler.{name}", sampler[name], own["sampler"][name])
    random = state["random"]
    check.that(isinstance(random, dict) and "cpu" in random, "random", random, "a mapping with cpu")
    check.keys("random", random, {"cpu": None, **dict.fromkeys(random.keys() & {"cuda"})})
    _check_generator(check, "random.cpu", random["cpu"], own["random"]["cpu"])
    cuda = random.get("cuda", [])
    check.that(isinstance(cuda, list), "random.cuda", cuda, "a list")
    for found, like in zip(cuda, own["random"].get("cuda", [])):
        check.like("random.cuda", found, like)


def _check_generator(check: _Check, name: str, found: Any, like: Tensor) -> None:
    check.like(name, found, like)
    if like.shape != torch.Generator().get_state().shape:  # of another device
        return
    try:
        torch.Generator().set_state(found)
    except (RuntimeError, TypeError):
        check.that(False, name, "no state of a generator", "one")


def _check_optimizer(
    check: _Check, name: str, found: Any, optimizer: Optimizer, taken: int
) -> None:
    """The settings, and the state of every parameter that has any."""
    like = _after_a_step(optimizer)
    check.keys(name, found, like)
    check.that(
        type(found["param_groups"]) is list, f"{name}.param_groups", found["param_groups"], "a list"
    )
    check.length(f"{name}.param_groups", found["param_groups"], len(like["param_groups"]))
    for i, group in enumerate(like["param_groups"]):
        check.like(f"{name}.param_groups.{i}", found["param_groups"][i], group)
    states = found["state"]
    check.that(isinstance(states, dict), f"{name}.state", states, "a mapping")
    check.that(bool(states) == (taken > 0), f"{name}.state", states, "what the steps so far left")
    for key, value in states.items():
        check.that(key in like["state"], f"{name}.state", key, "the number of a parameter")
        check.like(f"{name}.state.{key}", value, like["state"][key])
        if "step" in value:
            step = float(value["step"])
            fits = 1 <= step <= taken and step.is_integer()
            check.that(fits, f"{name}.state.{key}.step", step, f"1 to {taken}")


def _after_a_step(optimizer: Optimizer) -> dict[str, Any]:
    """What the ``state_dict`` of a like optimiser is laid out as once it has worked."""
    other = copy.deepcopy(optimizer)
    for group in other.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    other.step()
    return other.state_dict()


def _after_a_start(trainer: "Trainer") -> dict[str, Tensor]:
    """What a model holds for an epoch once it has started one."""
    model, device = trainer.model, next(trainer.model.parameters()).device
    if not hasattr(model, "start_epoch"):
        return epoch_state(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        other = copy.deepcopy(model)
        other.train()
        other.start_epoch(trainer.data)
    return epoch_state(other)
