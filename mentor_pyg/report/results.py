"""What a finished run left, read and checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor_pyg.config import RunConfig, load_config
from mentor_pyg.errors import InputError
from mentor_pyg.plots.history import History, read_history, run_names

FIELDS: dict[str, type | tuple[type, ...]] = {
    "dataset": str,
    "data_source": str,
    "model": str,
    "preset": str,
    "seed": int,
    "epochs_run": int,
    "best_epoch": int,
    "val": dict,
    "test": dict,
    "popularity": dict,
    "seconds_per_epoch": (int, float),
    "peak_memory_mb": (int, float),
    "device": str,
    "versions": dict,
}
"""What ``metrics.json`` must hold."""


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        name: What to call it.
        folder: Its folder.
        config: What was trained.
        metrics: The content of ``metrics.json``.
        history: Losses and validation by epoch.
    """

    name: str
    folder: Path
    config: RunConfig
    metrics: dict[str, Any]
    history: History

    @property
    def is_synthetic(self) -> bool:
        return bool(self.metrics["data_source"] == "synthetic")


def read_results(folders: Sequence[str | Path]) -> list[RunResult]:
    """Reads runs; see :func:`~mentor_pyg.plots.run_names` for what they are called.

    Raises:
        FileNotFoundError: If there is no such run, or it isn't finished.
        InputError: If a file is damaged, or a run named twice.
    """
    return [_read_result(Path(folder), name) for folder, name in zip(folders, run_names(folders))]


def _read_result(folder: Path, name: str) -> RunResult:
    metrics = read_metrics(folder / "metrics.json")  # first, since only runs have it
    config = load_config(str(folder / "config.yaml"))
    return RunResult(name, folder, config, metrics, read_history(folder, name))


def read_metrics(path: Path) -> dict[str, Any]:
    """Reads a ``metrics.json``.

    Raises:
        FileNotFoundError: If there is none.
        InputError: If it is damaged.
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path}: not found; expected a finished run") from None
    except ValueError as error:
        raise InputError(f"{path}: isn't JSON ({error}); expected the result of a run") from None
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: holds {type(metrics).__name__}; expected a mapping")
    for name, kind in FIELDS.items():
        if not isinstance(metrics.get(name), kind):
            raise InputError(f"{path}: {name} is {metrics.get(name)!r}; expected a run's result")
    for split in ("val", "test", "popularity"):
        for metric, value in metrics[split].items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"{path}: {split} {metric} is {value!r}; expected a number")
    return metrics


def baseline(runs: Sequence[RunResult]) -> dict[str, float]:
    """Metrics of the ranking by popularity, of runs on the same data."""
    return {name: value for run in runs for name, value in run.metrics["popularity"].items()}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted names, e.g. ``train.lr``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
