"""What a run recorded of its epochs."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mentor_pyg._util.files import check_file
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.options import checked
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.files import CONFIG, HISTORY, METRICS, ROUNDING, check_files, read_metrics

MAIN_METRICS = ("recall@", "ndcg@")


@dataclass(frozen=True)
class History:
    """Loss terms and validation metrics by epoch.

    Attributes:
        name: Name of the run.
        monitor: Validation metric that chose the best epoch.
        epochs: The epochs, from 1.
        losses: Mean of every loss term, by name; NaN where it wasn't computed.
        metrics: Validation metrics by name; NaN where there was no validation.
    """

    name: str
    monitor: str
    epochs: list[int]
    losses: dict[str, list[float]]
    metrics: dict[str, list[float]]

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best validation; None if there was none yet."""
        values = self.metrics.get(self.monitor, [])
        measured = [(value, -epoch) for value, epoch in zip(values, self.epochs) if value == value]
        return -max(measured)[1] if measured else None


@checked
def read_history(folder: str | Path, name: str | None = None) -> History:
    """Reads ``history.csv`` and ``config.yaml`` of a run, finished or not.

    Args:
        folder: The run's folder.
        name: What to call it, the folder's name if not given.

    Raises:
        FileNotFoundError: If there is no such run.
        InputError: If a file is damaged, or of another run than ``metrics.json``.
    """
    folder = Path(folder)
    path = folder / HISTORY
    columns = _read_columns(path)
    if "epoch" not in columns:
        found = brief(", ".join(columns), 300)
        raise InputError(f"{path}: columns are {found}; expected 'epoch' among them")
    epochs = columns.pop("epoch")
    if epochs != list(range(1, len(epochs) + 1)):
        raise InputError(f"{path}: 'epoch' doesn't count the rows; expected 1, 2, ...")
    columns.pop("seconds", None)
    for metric, values in columns.items():
        if "@" in metric and any(value < 0 or value > 1 + ROUNDING for value in values):
            raise InputError(f"{path}: {metric} leaves its range; expected numbers from 0 to 1")
    monitor = load_config(str(folder / CONFIG)).train.monitor
    if (folder / METRICS).exists():
        check_files(folder, read_metrics(folder), CONFIG, HISTORY)
    return History(
        name=name or folder.resolve().name,
        monitor=monitor,
        epochs=[int(epoch) for epoch in epochs],
        losses={name: values for name, values in columns.items() if "@" not in name},
        metrics={name: values for name, values in columns.items() if "@" in name},
    )


def _read_columns(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV file of numbers by name; NaN for empty cells."""
    check_file(path, "a run of `mentor-pyg train`")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: isn't CSV ({error}); expected a row for every epoch") from None
    if not rows:
        raise InputError(f"{path}: has no rows; expected one for every epoch")
    if len(set(header)) < len(header):
        found = brief(", ".join(header), 300)
        raise InputError(f"{path}: columns are {found}; expected each once")
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}:{line}: has {len(row)} cells; expected {len(header)}, one a column"
            )
    return {
        name: [
            cell_value(row[i], f"{path}:{line}: {brief(name)}") for line, row in enumerate(rows, 2)
        ]
        for i, name in enumerate(header)
    }


def cell_value(text: str, where: str) -> float:
    """A cell of a table as a number; NaN if it is empty.

    Raises:
        InputError: If it is neither empty nor a finite number.
    """
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{where}: {shown(text)}; expected a finite number or nothing")
    return value


@checked
def run_names(folders: Sequence[str | Path]) -> list[str]:
    """What to call runs: their folders' names, or the paths where those are equal.

    Raises:
        InputError: If a run is named twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise InputError(f"{folders[i]}: is named twice; expected different runs")
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders)]


def main_metrics(names: Sequence[str]) -> list[str]:
    """Recall and NDCG out of the names of metrics; all names if there is neither."""
    main = [name for kind in MAIN_METRICS for name in names if name.startswith(kind)]
    return main or list(names)
