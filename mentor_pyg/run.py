"""A whole run: data, training, one look at test, and the files that it leaves."""

import csv
import io
import json
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch_geometric
from torch_geometric.data import HeteroData

import mentor_pyg
from mentor_pyg.config import RunConfig
from mentor_pyg.datasets import MMRecDataset, SyntheticDataset
from mentor_pyg.datasets.mmrec import find_table
from mentor_pyg.errors import InputError, reason
from mentor_pyg.evaluation import Evaluator, encode, popularity
from mentor_pyg.files import check_writable, save_tensors, write_text
from mentor_pyg.train import FitResult, fit
from mentor_pyg.transforms import CompactFeatures, ItemKNN, LightGCNNorm


@dataclass(frozen=True)
class Source:
    """A dataset with its name and where it is from: a folder, or "synthetic"."""

    name: str
    origin: str
    dataset: Any

    @property
    def is_synthetic(self) -> bool:
        return self.origin == "synthetic"


def open_source(folder: str | Path | None, default: str | Path | None = None) -> Source:
    """The dataset in a folder.

    Args:
        folder: A folder in the MMRec layout. If it is None, ``default`` is tried, and
            if that holds no table, a synthetic dataset of the size of Baby is made.
        default: Where data is looked for if no folder is named.
    """
    if folder is None:
        try:
            find_table(Path(default or "data"))
        except FileNotFoundError:
            return Source("synthetic-baby", "synthetic", SyntheticDataset())
        folder = default or "data"
    dataset = MMRecDataset(folder)
    return Source(dataset.name, str(Path(folder).resolve()), dataset)


def choose_device(name: str) -> torch.device:
    """:obj:`"auto"` takes CUDA where there is a GPU.

    Raises:
        InputError: If the device doesn't exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros((), device=name)
        probe.item()  # fails on "meta"
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {reason(error)}; expected auto, cpu or cuda") from None
    return probe.device


def prepare(config: RunConfig, data: HeteroData, device: torch.device) -> HeteroData:
    """``data`` on a device with the graphs that the model needs."""
    data = data.to(device)
    if config.graph is not None:
        data = ItemKNN(**config.graph)(data)
    features = dict(config.features or {})
    if config.train.precision == "bf16":
        features.setdefault("dtype", "bfloat16")  # else every step would convert them
    if features:
        data = CompactFeatures(**features)(data)
    return LightGCNNorm()(data)


def build_model(config: RunConfig, data: HeteroData) -> Any:
    """The model for ``data``; :func:`~mentor_pyg.fit` seeds and draws its parameters.

    Raises:
        InputError: If it can't be built for such data or with such options.
    """
    try:
        return config.model_class.from_data(data, **config.options)
    except InputError:
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise InputError(
            f"{config.model}: can't be built ({reason(error)}); "
            "expected data and options as its documentation says"
        ) from error


def train_run(
    config: RunConfig, source: Source, out: Path, device: torch.device, progress: bool = True
) -> dict[str, Any]:
    """Trains, evaluates on test once, and writes the run's files to ``out``.

    ===============  ===========================================================
    ``config.yaml``  everything that was set, to train the same again
    ``best.pt``      weights of the best validation, and the configuration
    ``history.csv``  losses, times and validation metrics of every epoch
    ``metrics.json`` the results
    ===============  ===========================================================

    Returns:
        What ``metrics.json`` holds.
    """
    data = prepare(config, source.dataset[0], device)
    model = build_model(config, data).to(device)
    test = Evaluator(data, "test", config.train.ks)
    check_writable(out)
    result = fit(model, data, config.train, progress)

    metrics = {
        "dataset": source.name,
        "data_source": source.origin,
        "model": config.model,
        "preset": config.preset,
        "seed": config.train.seed,
        "epochs_run": result.epochs_run,
        "best_epoch": result.best_epoch,
        "val": result.val,
        "test": test(*encode(model, data)),
        "popularity": test(*popularity(data)),
        "seconds_per_epoch": round(result.seconds_per_epoch, 3),
        "peak_memory_mb": round(peak_memory_mb(device)),
        "device": device.type,
        "versions": versions(),
    }
    save_tensors(
        {"model": model.state_dict(), "config": config.to_dict(), "versions": versions()},
        out / "best.pt",
    )
    write_text(out / "config.yaml", config.to_yaml())
    write_text(out / "history.csv", _to_csv(result))
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    return metrics


def summary(metrics: dict[str, Any]) -> str:
    """A table of the results for the terminal."""
    columns = ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]
    columns = [c for c in columns if c in metrics["test"]] or list(metrics["test"])[:4]
    rows = [("validation", metrics["val"]), ("test", metrics["test"])]
    rows += [("test, by popularity", metrics["popularity"])]
    lines = [f"{metrics['model']} on {metrics['dataset']} ({metrics['data_source']})"]
    if metrics["data_source"] == "synthetic":
        lines.append("!! SYNTHETIC DATA: made up by a seed; the figures compare with no paper !!")
    lines.append(f"{'':<20}" + "".join(f"{c:>12}" for c in columns))
    lines += [f"{name:<20}" + "".join(f"{m[c]:>12.4f}" for c in columns) for name, m in rows]
    lines.append(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs_run']}, "
        f"{metrics['seconds_per_epoch']:.1f} s an epoch, {metrics['peak_memory_mb']} MB at most"
    )
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of what the numbers may depend on."""
    return {
        "mentor_pyg": mentor_pyg.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torch_geometric": torch_geometric.__version__,
    }


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory so far: of the GPU if one is used, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _to_csv(result: FitResult) -> str:
    columns = list(dict.fromkeys(key for row in result.history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.history)
    return text.getvalue()
