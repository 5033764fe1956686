"""Runs ``mentor-pyg plot``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mentor_pyg._util.files import check_writable
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.choices import NUM_SAMPLED
from mentor_pyg.cli import Output
from mentor_pyg.cli.arguments.plot import OPTIONS
from mentor_pyg.datasets.source import open_source
from mentor_pyg.errors import InputError
from mentor_pyg.plots.dataset import distributions
from mentor_pyg.plots.history import curves, read_history, run_names
from mentor_pyg.plots.items import embeddings
from mentor_pyg.plots.sample import sample_items
from mentor_pyg.plots.settings import heat_map, read_grid
from mentor_pyg.plots.style import image_suffix, save_figure
from mentor_pyg.runs.run import load_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(args: argparse.Namespace) -> Output:
    out = args.out or f"{args.kind}.png"
    image_suffix(out)
    check_writable(Path(out).parent)
    _check_options(args)
    save_figure(_figure(args), out)
    return Output(f"written to {out}", {"kind": args.kind, "inputs": args.inputs, "file": out})


def _check_options(args: argparse.Namespace) -> None:
    for name in sorted({name for names in OPTIONS.values() for name in names}):
        if getattr(args, name) is not None and name not in OPTIONS[args.kind]:
            kinds = [kind for kind, names in OPTIONS.items() if name in names]
            raise InputError(f"--{name}: means nothing to {args.kind}; expected {', '.join(kinds)}")
    if args.kind in ("distributions", "heat-map") and len(args.inputs) > 1:
        raise InputError(f"{args.kind}: {len(args.inputs)} inputs; expected one")


def _figure(args: argparse.Namespace) -> "Figure":
    if args.kind == "distributions":
        return distributions(open_source(args.inputs[0]).dataset[0])
    if args.kind == "heat-map":
        return _heat_map(args)
    names = run_names(args.inputs)
    if args.kind == "curves":
        return curves([read_history(*run) for run in zip(args.inputs, names)], args.metric)
    return _embeddings(args, names)


def _heat_map(args: argparse.Namespace) -> "Figure":
    grid = read_grid(args.inputs[0])
    if len(args.metric or []) > 1:
        raise InputError(f"--metric: {', '.join(args.metric)}; expected one for a heat map")
    metric = "".join(args.metric or [])
    return heat_map(grid, metric, bool(args.lowest))


def _embeddings(args: argparse.Namespace, names: list[str]) -> "Figure":
    seed = args.seed or 0
    num_items = NUM_SAMPLED if args.items is None else args.items
    show = not args.quiet
    samples = [
        sample_items(load_run(folder, args.data), num_items, seed, name)
        for folder, name in zip(progress_bar(args.inputs, "runs", show), names, strict=True)
    ]
    return embeddings(samples, seed, show)
