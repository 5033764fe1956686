"""The trials of a search, and what they tell."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mentor_pyg._util.csv_files import csv_text
from mentor_pyg.plots import Grid


@dataclass(frozen=True)
class Trial:
    """What came of one point of a search space.

    Attributes:
        number: From 0, in order.
        state: :obj:`"complete"`, :obj:`"pruned"` or :obj:`"failed"`.
        settings: Values by setting.
        value: Best monitored metric on validation; None if there was no validation.
        best_epoch: Its epoch.
        epochs_run: Epochs trained.
        seconds: Time of training them.
        reason: Why it failed.
    """

    number: int
    state: str
    settings: dict[str, Any]
    value: float | None = None
    best_epoch: int = 0
    epochs_run: int = 0
    seconds: float = 0.0
    reason: str = ""


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial of the highest value, the first of equals; None if there is none."""
    complete = [t for t in trials if t.state == "complete"]
    return max(complete, key=lambda t: t.value or 0.0, default=None)


def best_grid(trials: Sequence[Trial], x: str, y: str) -> Grid:
    """What two settings do together, in the manner of Fig. 5 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper.

    All other settings are at their best: a cell is the maximum over the complete trials
    with its pair of values.

    Args:
        trials: Trials of one search.
        x: A setting that was searched, along the columns.
        y: Another one, along the rows.
    """
    columns, rows = _values(trials, x), _values(trials, y)
    values = np.full((len(rows), len(columns)), np.nan)
    for trial in trials:
        if trial.state == "complete":
            assert trial.value is not None
            cell = rows.index(trial.settings[y]), columns.index(trial.settings[x])
            values[cell] = np.fmax(values[cell], trial.value)  # which passes over NaN
    return Grid(values, rows, columns, y, x)


def trials_csv(trials: Sequence[Trial], monitor: str) -> str:
    """A row for every trial, with a column for every setting."""
    settings = list(trials[0].settings) if trials else []
    head = ["trial", "state", monitor, "best_epoch", "epochs", "seconds", *settings, "reason"]
    rows = [
        [
            t.number,
            t.state,
            t.value,
            t.best_epoch,
            t.epochs_run,
            round(t.seconds, 3),
            *(_text(t.settings[key]) for key in settings),
            t.reason,
        ]
        for t in trials
    ]
    return csv_text([head, *rows])


def trial_line(trial: Trial, monitor: str, best: Trial | None) -> str:
    """A line for the log."""
    settings = "  ".join(f"{key}={_text(value)}" for key, value in trial.settings.items())
    found = {
        "complete": f"{monitor} {trial.value or 0:.4f}{' *' if trial is best else ''}",
        "pruned": f"pruned after epoch {trial.epochs_run}",
        "failed": f"failed ({trial.reason})",
    }[trial.state]
    return f"trial {trial.number:>4}  {found}  {settings}"


def _values(trials: Sequence[Trial], key: str) -> list[Any]:
    """Distinct values of a setting: numbers by size, then all others by their text."""

    def place(value: Any) -> tuple[bool, float, str]:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return not is_number, value if is_number else 0.0, _text(value)

    return sorted({_text(t.settings[key]): t.settings[key] for t in trials}.values(), key=place)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
