"""Complete runs: data, training, a single evaluation on test, and the resulting files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg._util.environment import peak_memory_mb, versions
from mentor_pyg._util.files import write_text
from mentor_pyg._util.locks import sole_writer
from mentor_pyg.datasets.source import Source, data_fingerprint, open_source, synthetic_warning
from mentor_pyg.errors import InputError, brief
from mentor_pyg.evaluation.metrics import Evaluator, encode, popularity
from mentor_pyg.options import checked
from mentor_pyg.runs.build import build_model, load_init, prepare_graphs
from mentor_pyg.runs.config import RunConfig, check_config
from mentor_pyg.runs.files import (
    BEST,
    CONFIG,
    HISTORY,
    LAST,
    METRICS,
    check_files,
    check_no_run,
    read_metrics,
    read_weights,
    remove_run,
    write_metrics,
)
from mentor_pyg.runs.registry import model_versions
from mentor_pyg.runs.weights import save_weights
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.training.checkpoint import Checkpoint
from mentor_pyg.training.config import FitResult
from mentor_pyg.training.state import check_layout
from mentor_pyg.training.trainer import Trainer


@checked
def train(
    config: RunConfig,
    source: Source,
    out: Path,
    device: torch.device | str = "cpu",
    progress: bool = True,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    force: bool = False,
) -> dict[str, Any]:
    """Trains a model, evaluates it on test once, and writes the run's files to ``out``.

    Only one process at a time may write to the folder. An existing run is replaced only with
    ``force``. Its files are removed right before training, when all checks have passed, so
    that a folder never holds parts of two runs.

    ====================  ======================================================
    ``config.yaml``       all settings, to repeat the training
    ``last.pt``           state of the training, for resuming
    ``best.safetensors``  weights of the best validation, and the configuration
    ``history.csv``       losses, times and validation metrics of each epoch
    ``metrics.json``      results, and digests of the other files but ``last.pt``
    ====================  ======================================================

    If the disk is full, the run ends with an error that names the file. Existing files stay
    intact, so that it can be resumed.

    Args:
        config: Settings of the run.
        source: The data.
        out: Output folder.
        device: Device to compute on.
        progress: Whether to show a progress bar.
        resume: Whether to resume from ``last.pt``.
        callbacks: As for :func:`~mentor_pyg.fit`.
        force: Whether to replace an existing run, finished or not.

    Returns:
        The content of ``metrics.json``.

    Raises:
        InputError: If the settings do not fit the data, or the folder holds another run or is
            in use by another process.
    """
    with sole_writer(out):
        if not (resume or force):
            check_no_run(out)
        return _train(config, source, out, torch.device(device), progress, resume, callbacks)


def _train(
    config: RunConfig,
    source: Source,
    out: Path,
    device: torch.device,
    progress: bool,
    resume: bool,
    callbacks: Sequence[Callback],
) -> dict[str, Any]:
    raw = source.dataset[0]
    data_key = data_fingerprint(raw)
    data = prepare_graphs(config, raw, device)
    model = build_model(config, data).to(device)
    test = Evaluator(data, "test", config.train.ks)
    packages = versions() | model_versions(config.model)
    about = {
        "source": {"name": source.name, "origin": source.origin},
        "data": data_key,
        "versions": packages,
    }
    identity = {"config": config.to_dict(), "data": data_key}
    checkpoint = Checkpoint(out / LAST, identity, about)
    files = _RunFiles(out, config, about)
    trainer = Trainer(
        model,
        data,
        config.train,
        callbacks=[files, *callbacks],
        reset=resume or not load_init(config, model, data_key),
        progress=progress,
        checkpoint=checkpoint,
    )
    if resume:
        trainer.resume()
        if trainer.is_finished and (out / METRICS).exists():
            metrics = read_metrics(out)
            check_files(out, metrics, BEST, CONFIG, HISTORY)
            return metrics
    else:
        remove_run(out)
    result = trainer.fit()
    files.save_weights(model)
    memory = peak_memory_mb(device)
    metrics = {
        "dataset": source.name,
        "data_source": source.origin,
        "data": data_key,
        "model": config.model,
        "preset": config.preset,
        "seed": config.train.seed,
        "epochs_run": result.epochs_run,
        "best_epoch": result.best_epoch,
        "val": result.val,
        "test": test(*encode(model, data)),
        "popularity": test(*popularity(data)),
        "seconds_per_epoch": round(result.seconds_per_epoch, 3),
        "peak_memory_mb": None if memory is None else round(memory),
        "device": device.type,
        "versions": packages,
    }
    return write_metrics(out, metrics)


class _RunFiles(Callback):
    """Writes settings, history and best weights after each epoch."""

    def __init__(self, folder: Path, config: RunConfig, about: dict[str, Any]) -> None:
        self.folder, self.config, self.about = folder, config, about

    def on_epoch_end(self, trainer: Trainer) -> None:
        write_text(self.folder / CONFIG, self.config.to_yaml())
        write_text(self.folder / HISTORY, _to_csv(trainer.result))
        if trainer.is_best:
            self.save_weights(trainer.model)

    def save_weights(self, model: Any) -> None:
        about = {"config": self.config.to_dict(), **self.about}
        save_weights(self.folder / BEST, model.state_dict(), about)


@dataclass(frozen=True)
class TrainedRun:
    """A trained model with its data.

    Attributes:
        folder: Folder of the run.
        config: Settings of the run.
        source: The data as stored on disk.
        data: The data with the graphs that the model needs.
        model: The model with the best weights, in evaluation mode.
        data_key: Fingerprint of the data as stored on disk.
    """

    folder: Path
    config: RunConfig
    source: Source
    data: HeteroData
    model: Any
    data_key: str


@checked
def load_run(
    folder: str | Path, data: str | Path | None = None, device: torch.device | str = "cpu"
) -> TrainedRun:
    """Loads a run written by :func:`train`.

    Args:
        folder: Folder of the run.
        data: Folder of the data, if they were moved.
        device: Device to compute on.

    Raises:
        FileNotFoundError: If the run or its data do not exist.
        InputError: If a file is damaged, or the data differ from the training data.
    """
    path = Path(folder) / BEST
    state, about = read_weights(folder)
    config = check_config(about["config"], str(path), about["versions"])
    origin = about["source"]["origin"]
    source = open_source(origin if data is None else data)
    raw = source.dataset[0]
    found = data_fingerprint(raw)
    if found != about["data"]:
        raise InputError(
            f"{source.origin}: holds other data (fingerprint {found}) than {path} was trained on; "
            f"expected {brief(origin, 200)} unchanged ({brief(about['data'])})"
        )
    device = torch.device(device)
    prepared = prepare_graphs(config, raw, device)
    model = build_model(config, prepared).to(device)
    check_layout(path, state, model.state_dict())
    model.load_state_dict(state)
    return TrainedRun(Path(folder), config, source, prepared, model.eval(), found)


def run_summary(metrics: dict[str, Any]) -> str:
    """Formats the results as a table for the terminal."""
    columns = ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]
    columns = [c for c in columns if c in metrics["test"]] or list(metrics["test"])[:4]
    rows = [("validation", metrics["val"]), ("test", metrics["test"])]
    rows += [("test, by popularity", metrics["popularity"])]
    lines = [f"{metrics['model']} on {metrics['dataset']} ({metrics['data_source']})"]
    lines += synthetic_warning(metrics["data_source"])
    lines.append(f"{'':<20}" + "".join(f"{c:>12}" for c in columns))
    lines += [f"{name:<20}" + "".join(f"{m[c]:>12.4f}" for c in columns) for name, m in rows]
    memory = metrics["peak_memory_mb"]
    lines.append(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs_run']}, "
        f"{metrics['seconds_per_epoch']:.1f} s per epoch, peak memory "
        + ("unknown" if memory is None else f"{memory} MB")
    )
    return "\n".join(lines)


def _to_csv(result: FitResult) -> str:
    columns = list(dict.fromkeys(key for row in result.history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.history)
    return text.getvalue()
