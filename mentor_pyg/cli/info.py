"""Runs ``mentor-pyg info``."""

import argparse
from pathlib import Path

import torch

from mentor_pyg._util.environment import versions
from mentor_pyg._util.extras import EXTRAS, is_installed
from mentor_pyg.cli import Output
from mentor_pyg.datasets.source import open_source
from mentor_pyg.nn import models
from mentor_pyg.runs.config import preset_names
from mentor_pyg.runs.files import LAST, METRICS, read_last, read_metrics
from mentor_pyg.runs.registry import describe_plugin, plugins
from mentor_pyg.runs.run import run_summary


def run(args: argparse.Namespace) -> Output:
    if args.folder is None:
        return _environment()
    folder = Path(args.folder)
    if (folder / METRICS).exists():
        metrics = read_metrics(folder)
        return Output(run_summary(metrics), metrics)
    if (folder / LAST).exists():
        return _unfinished(folder)
    source = open_source(folder)
    statistics = source.dataset.statistics()
    return Output(f"{source.name} from {source.origin}\n{statistics}", statistics.to_dict())


def _environment() -> Output:
    found = {name: is_installed(name) for name in EXTRAS}
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    data = {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "optional": found,
        "models": list(models.classes),
        "plugins": {name: list(map(describe_plugin, e)) for name, e in plugins().items()},
        "presets": preset_names(),
    }
    lines = [f"{name:<16} {version}" for name, version in versions().items()]
    lines.append(f"{'threads':<16} {torch.get_num_threads()}")
    lines.append(f"{'GPUs':<16} {', '.join(gpus) or 'none'}")
    lines += [
        f"{name:<16} {'installed' if here else f'missing (extra {EXTRAS[name]})'}"
        for name, here in found.items()
    ]
    lines.append(f"{'models':<16} {', '.join(models.classes)}")
    lines += [
        f"{'plug-in':<16} {name}: {' and '.join(map(describe_plugin, entries))}"
        for name, entries in plugins().items()
    ]
    lines.append(f"{'presets':<16} {', '.join(preset_names())}")
    return Output("\n".join(lines), data)


def _unfinished(folder: Path) -> Output:
    saved = read_last(folder)
    data = {
        "source": {"name": saved.dataset, "origin": saved.origin},
        "data": saved.data,
        "versions": saved.versions,
        "config": saved.config.to_dict(),
        "epochs_run": saved.epochs_run,
    }
    text = (
        f"{saved.config.model} on {saved.dataset}, "
        f"not finished: {saved.epochs_run} epochs are done\n"
        f"go on by: mentor-pyg train --resume {folder}"
    )
    return Output(text, data)
