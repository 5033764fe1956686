"""One trial of a search: a training that reports every epoch, and how it ends."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mentor_pyg.errors import InputError, reason
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.training.config import FitResult
from mentor_pyg.training.trainer import Trainer
from mentor_pyg.tuning.trials import Trial

TrialFunction = Callable[[dict[str, Any], Callback], FitResult]
"""Trains with settings by name, and with a callback."""


def attempt(
    train: TrialFunction,
    settings: dict[str, Any],
    running: Any,
    monitor: str,
    pruned: type[Exception],
) -> Trial:
    """Trains with settings; a trial that is given up or fails is a result, too.

    Args:
        train: Trains with them.
        settings: Values by setting.
        running: The trial, as Optuna knows it.
        monitor: The metric to report.
        pruned: What is raised where Optuna gives it up.
    """
    reports = _Reports(running, monitor, pruned)
    state, why = "complete", ""
    try:
        with _without_log():
            reports.result = train(settings, reports)
    except pruned:
        state = "pruned"
    except (InputError, torch.OutOfMemoryError) as error:
        state, why = "failed", reason(error)
    result = reports.result
    seconds = sum(row["seconds"] for row in result.history)
    value = result.val.get(monitor)
    return Trial(0, state, settings, value, result.best_epoch, result.epochs_run, seconds, why)


class _Reports(Callback):
    """Tells Optuna the value of every epoch, and gives up a trial where that says so."""

    def __init__(self, running: Any, monitor: str, pruned: type[Exception]) -> None:
        self.running, self.monitor, self.pruned = running, monitor, pruned
        self.result = FitResult()

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.result = trainer.result
        row = self.result.history[-1]
        if self.monitor in row:
            self.running.report(row[self.monitor], int(row["epoch"]))
            if self.running.should_prune():
                raise self.pruned


@contextmanager
def _without_log() -> Iterator[None]:
    """Keeps the epochs of a trial out of the log."""
    logger = logging.getLogger("mentor_pyg")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
