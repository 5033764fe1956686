"""Runs ``mentor-pyg tune``."""

import argparse
import logging
from pathlib import Path

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.extras import is_installed, pip_install
from mentor_pyg.cli import Output, check_not_empty, integers
from mentor_pyg.datasets.source import open_source
from mentor_pyg.errors import InputError, shown
from mentor_pyg.plots import heat_map, read_grid, save_figure
from mentor_pyg.tuning import Search, space_of, tune_run
from mentor_pyg.tuning.tune import summary

logger = logging.getLogger("mentor_pyg")


def run(args: argparse.Namespace) -> Output:
    check_not_empty(args, "data", "preset", "space", "seeds", "out")
    device = choose_device(args.device)
    changes = [*args.set] if args.epochs is None else [*args.set, f"train.epochs={args.epochs}"]
    search = Search(
        preset=args.preset,
        space=space_of(args.preset, changes, args.space),
        trials=args.trials,
        sampler=args.sampler,
        prune_after=None if args.no_prune else args.prune_after,
        changes=changes,
        seeds=[] if args.seeds is None else integers("--seeds", args.seeds),
        heat_maps=[_pair(text) for text in args.heat_map],
        search_only=args.search_only,
    )
    source = open_source(args.data)
    out = Path(args.out or f"runs/tune-{source.name}")
    logger.info(f"{source.name} from {source.origin}, preset {args.preset}, on {device}")
    results = tune_run(search, source, out, device, progress=not args.quiet)
    _draw_heat_maps(out)
    return Output(f"{summary(results)}\nwritten to {out.resolve()}", results)


def _draw_heat_maps(out: Path) -> None:
    """A picture beside every heat map in CSV, where there is matplotlib."""
    if not is_installed("matplotlib"):
        logger.info(f"heat maps aren't drawn: that takes {pip_install('matplotlib')}")
        return
    for path in sorted(out.glob("heatmap-*.csv")):
        grid = read_grid(path)
        names = (grid.rows, grid.columns, grid.row_name, grid.column_name)
        save_figure(heat_map(grid.values, *names, "best on validation"), path.with_suffix(".png"))


def _pair(text: str) -> tuple[str, str]:
    x, separator, y = text.partition(",")
    if not separator:
        raise InputError(
            f"--heat-map: is {shown(text)}; expected two settings, e.g. graph.k,train.lr"
        )
    return x.strip(), y.strip()
