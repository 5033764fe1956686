"""Names, content and consistency of a run's files."""

import os
import reprlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor_pyg._util.files import check_file
from mentor_pyg._util.formats import Kind, check_kind, label
from mentor_pyg._util.hashes import file_digest
from mentor_pyg._util.json_files import read_json, write_json
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.options import checked
from mentor_pyg.runs.config import RunConfig, check_config
from mentor_pyg.runs.weights import Weights, load_weights
from mentor_pyg.training.checkpoint import read_checkpoint
from mentor_pyg.training.config import SEEDS

CONFIG, LAST, BEST = "config.yaml", "last.pt", "best.safetensors"
HISTORY, METRICS = "history.csv", "metrics.json"
OLD_BEST = "best.pt"
"""File name of the weights in earlier versions."""

RESULT = Kind("result of a run", 1)

TEXTS = ("dataset", "data_source", "data", "model", "preset", "device")
MEASURED = ("val", "test", "popularity")
LARGEST = 2.0**63
ROUNDING = 1e-5
"""Tolerance for means of float32 values above 1."""


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Writes ``metrics.json``, which marks a run as finished, and returns its content.

    It includes digests of the run's other files, so that files of different runs are not
    mixed up.
    """
    files = {name: file_digest(folder / name) for name in (CONFIG, HISTORY, BEST)}
    content = {**label(RESULT), **metrics, "files": files}
    write_json(folder / METRICS, content)
    return content


@checked
def read_metrics(folder: str | Path) -> dict[str, Any]:
    """Reads and checks ``metrics.json`` of a finished run.

    Raises:
        FileNotFoundError: If it does not exist.
        InputError: If it is damaged, or has another format version.
    """
    path = Path(folder) / METRICS
    metrics = read_json(path, "a finished run")
    check_kind(path, RESULT, metrics)
    _check_values(path, metrics)
    for split in MEASURED:
        values = metrics.get(split)
        _expect(isinstance(values, dict), path, split, values, "metrics by name")
    for split in MEASURED:
        for metric, value in metrics[split].items():
            fits = type(value) in (int, float) and 0 <= value <= 1 + ROUNDING
            _expect(fits, path, f"{split} {metric}", value, "a number from 0 to 1")
        for metric in metrics["test"]:
            if metric not in metrics[split]:
                name = brief(metric)
                raise InputError(f"{path}: {split} has no {name}; expected it, since test has it")
    _expect(metrics["test"], path, "test", metrics["test"], "at least one metric")
    for name in ("versions", "files"):
        _expect(_are_texts(metrics.get(name)), path, name, metrics.get(name), "texts by name")
    return metrics


def check_no_run(folder: Path) -> None:
    """Raises an InputError if a folder holds a run, or a part of one."""
    if (folder / METRICS).exists():
        raise InputError(
            f"{folder}: holds a finished run; expected another folder, or --force to replace it"
        )
    if (folder / LAST).exists():
        raise InputError(
            f"{folder}: holds an unfinished run; "
            f"expected --resume {shlex.quote(str(folder))} to resume it, --force to replace "
            "it, or another folder"
        )
    for name in (BEST, OLD_BEST, HISTORY, CONFIG):
        if (folder / name).exists():
            raise InputError(
                f"{folder}: contains {name}, which a run would overwrite; "
                "expected another folder, or --force to replace it"
            )


def _are_texts(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(text, str) for pair in values.items() for text in pair
    )


def _check_values(path: Path, metrics: Mapping[str, Any]) -> None:
    for name in TEXTS:
        value = metrics.get(name)
        _expect(isinstance(value, str), path, name, value, "a text")
    seed, epochs, best = (metrics.get(name) for name in ("seed", "epochs_run", "best_epoch"))
    _expect(type(seed) is int and seed in SEEDS, path, "seed", seed, "0 to 2^32 - 1")
    fits = type(epochs) is int and 1 <= epochs < LARGEST
    _expect(fits, path, "epochs_run", epochs, "a whole number from 1")
    fits = type(best) is int and 1 <= best <= epochs  # type: ignore[operator]
    _expect(fits, path, "best_epoch", best, f"a whole number from 1 to {epochs}")
    for name in ("seconds_per_epoch", "peak_memory_mb"):
        value = metrics.get(name)
        is_known = value is not None or name != "peak_memory_mb"  # unknown on some systems
        fits = type(value) in (int, float) and 0 <= value < LARGEST  # type: ignore[operator]
        _expect(fits or not is_known, path, name, value, "a number from 0")
    _expect("peak_memory_mb" in metrics, path, "peak_memory_mb", "missing", "a number, or null")


def _expect(holds: Any, path: Path, name: str, found: Any, expected: str) -> None:
    if not holds:
        raise InputError(f"{path}: {name} is {reprlib.repr(found)}; expected {expected}")


def check_files(folder: str | Path, metrics: Mapping[str, Any], *names: str) -> None:
    """Raises an InputError unless files of a finished run match its ``metrics.json``."""
    for name in names:
        path = Path(folder) / name
        check_file(path, "a file of a finished run")
        if metrics["files"].get(name) != file_digest(path):
            raise InputError(
                f"{path}: does not match {METRICS} beside it; "
                "expected all files of one run, unchanged"
            )


def read_weights(folder: str | Path) -> Weights:
    """Reads the best weights of a finished or unfinished run.

    Raises:
        FileNotFoundError: If there are none.
        InputError: If the file is damaged, or does not belong to ``metrics.json``.
    """
    folder = Path(folder)
    path = folder / BEST
    if not os.path.exists(path) and os.path.exists(folder / OLD_BEST):
        raise InputError(
            f"{folder / OLD_BEST}: was written by an earlier version; "
            f"expected {BEST}; train again to create it"
        )
    weights = load_weights(path)
    if (folder / METRICS).exists():
        check_files(folder, read_metrics(folder), BEST)
    check_source(str(path), weights.about["source"])
    return weights


@dataclass(frozen=True)
class SavedRun:
    """Information on a run in ``last.pt``.

    Attributes:
        config: Settings of the run.
        dataset: Name of the data.
        origin: Source of the data.
        data: Fingerprint of the data.
        versions: Versions of packages that may affect results.
        epochs_run: Number of finished epochs.
    """

    config: RunConfig
    dataset: str
    origin: str
    data: str
    versions: dict[str, str]
    epochs_run: int


def read_last(folder: str | Path) -> SavedRun:
    """Reads the information on a run in ``last.pt``.

    Raises:
        FileNotFoundError: If it does not exist.
        InputError: If it is damaged, or does not belong to a run.
    """
    path = Path(folder) / LAST
    saved = read_checkpoint(path)
    source, data = saved["about"].get("source"), saved["identity"].get("data")
    check_source(str(path), source)
    _expect(isinstance(data, str), path, "data", data, "a fingerprint")
    versions = saved["about"].get("versions")
    _expect(_are_texts(versions), path, "versions", versions, "texts by name")
    result = saved["state"].get("result")
    history = result.get("history") if isinstance(result, dict) else None
    if not isinstance(history, list):
        raise InputError(f"{path}: has no history; expected a list of epochs")
    config = check_config(saved["identity"].get("config"), str(path), versions)
    return SavedRun(config, source["name"], source["origin"], data, versions, len(history))


def check_source(path: str, source: Any) -> None:
    """Raises an InputError unless a file describes the source of a run's data."""
    for name in ("name", "origin"):
        value = source.get(name) if isinstance(source, dict) else None
        if not isinstance(value, str) or not value:
            raise InputError(f"{path}: {name} of the source is {shown(value)}; expected a text")


def remove_run(folder: Path) -> None:
    """Removes the files of a run, starting with the one that marks it as finished."""
    for name in (METRICS, LAST, BEST, OLD_BEST, HISTORY, CONFIG):
        (folder / name).unlink(missing_ok=True)
