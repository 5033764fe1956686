"""The files of a run: their names, and the results that one of them holds."""

import json
import shlex
from pathlib import Path
from types import NoneType
from typing import Any

from mentor_pyg.errors import InputError

CONFIG, LAST, BEST = "config.yaml", "last.pt", "best.pt"
HISTORY, METRICS = "history.csv", "metrics.json"

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
    "peak_memory_mb": (int, float, NoneType),
    "device": str,
    "versions": dict,
}
"""What ``metrics.json`` must hold."""


def read_metrics(folder: str | Path) -> dict[str, Any]:
    """What ``metrics.json`` of a finished run holds, checked.

    Raises:
        FileNotFoundError: If there is none.
        InputError: If it is damaged.
    """
    path = Path(folder) / METRICS
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
        for metric in metrics["test"]:
            if metric not in metrics[split]:
                raise InputError(f"{path}: {split} has no {metric}; expected it as test has it")
    return metrics


def check_no_run(folder: Path) -> None:
    """Fails if a new run in a folder would replace what is there.

    Raises:
        InputError: If there is a run, finished or not, or a part of one.
    """
    if (folder / METRICS).exists():
        raise InputError(
            f"{folder}: holds a finished run; expected another folder, or --force to replace it"
        )
    if (folder / LAST).exists():
        raise InputError(
            f"{folder}: holds an unfinished run; "
            f"expected --resume {shlex.quote(str(folder))} to go on with it, --force to replace "
            "it, or another folder"
        )
    for name in (BEST, HISTORY, CONFIG):
        if (folder / name).exists():
            raise InputError(
                f"{folder}: holds {name}, which a run writes; "
                "expected another folder, or --force to replace it"
            )


def remove_run(folder: Path) -> None:
    """Removes the files of a run, first what says that it is finished, and no others."""
    for name in (METRICS, LAST, BEST, HISTORY, CONFIG):
        (folder / name).unlink(missing_ok=True)
