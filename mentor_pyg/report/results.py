"""What a finished run left, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor_pyg.datasets.source import SYNTHETIC
from mentor_pyg.plots.history import History, read_history, run_names
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.runs.files import CONFIG, read_metrics


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
        return bool(self.metrics["data_source"] == SYNTHETIC)


def read_results(folders: Sequence[str | Path]) -> list[RunResult]:
    """Reads runs; see :func:`~mentor_pyg.plots.run_names` for what they are called.

    Raises:
        FileNotFoundError: If there is no such run, or it isn't finished.
        InputError: If a file is damaged, or a run named twice.
    """
    return [_read_result(Path(folder), name) for folder, name in zip(folders, run_names(folders))]


def _read_result(folder: Path, name: str) -> RunResult:
    metrics = read_metrics(folder)  # first, since only runs have it
    config = load_config(str(folder / CONFIG))
    return RunResult(name, folder, config, metrics, read_history(folder, name))


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
