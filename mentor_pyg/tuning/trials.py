"""The trials of a search, and what they tell."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


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


@dataclass(frozen=True)
class HeatMap:
    """The best value for every pair of two settings' values.

    Attributes:
        x: Name of the setting along the columns.
        y: Name of the setting along the rows.
        x_values: Its values, in order.
        y_values: Its values, in order.
        values: Metric [rows, columns]; NaN where no trial is complete.
    """

    x: str
    y: str
    x_values: list[Any]
    y_values: list[Any]
    values: np.ndarray

    def to_csv(self) -> str:
        """A column for every x, a row for every y, empty where there is no value."""
        rows = [
            [y, *("" if np.isnan(value) else float(value) for value in row)]
            for y, row in zip(self.y_values, self.values, strict=True)
        ]
        return _csv([f"{self.y} \\ {self.x}", *self.x_values], rows)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial of the highest value, the first of equals; None if there is none."""
    complete = [t for t in trials if t.state == "complete"]
    return max(complete, key=lambda t: t.value or 0.0, default=None)


def heat_map(trials: Sequence[Trial], x: str, y: str) -> HeatMap:
    """What two settings do together, in the manner of Fig. 5 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper.

    All other settings are at their best: a cell is the maximum over the complete trials
    with its pair of values.

    Args:
        trials: Trials of one search.
        x: A setting that was searched.
        y: Another one.
    """
    x_values, y_values = _values(trials, x), _values(trials, y)
    values = np.full((len(y_values), len(x_values)), np.nan)
    for trial in trials:
        if trial.state == "complete":
            assert trial.value is not None
            cell = y_values.index(trial.settings[y]), x_values.index(trial.settings[x])
            values[cell] = np.fmax(values[cell], trial.value)  # which passes over NaN
    return HeatMap(x, y, x_values, y_values, values)


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
    return _csv(head, rows)


def describe(trial: Trial, monitor: str, best: Trial | None) -> str:
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


def _csv(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()
