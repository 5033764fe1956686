"""Search for hyper-parameters on validation and train with the best.

  mentor-pyg tune --data data/tiktok --preset paper --trials 30 --out runs/search
  mentor-pyg tune --data data/tiktok --preset paper --space mine.yaml --seeds 0,1,2
  mentor-pyg tune --data data/tiktok --preset paper --sampler grid --no-prune --epochs 50

A space is a YAML file of settings, named as for --set, with lists of values or ranges:

  options.mask_weight: [0.5, 1, 1.5]
  train.lr: {low: 1e-4, high: 1e-2, log: true}

Trials never look at the test split; the best configuration is trained once more and
tested once for each seed. The same command goes on where it was interrupted. Writes
study.db, trials.csv, heatmap-*.csv, best.yaml and runs/.
"""

import argparse
import logging
from pathlib import Path

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.extras import is_installed, pip_install
from mentor_pyg.cli import Output, check_not_empty, expanded, integers
from mentor_pyg.datasets.source import open_source
from mentor_pyg.errors import InputError, shown
from mentor_pyg.plots import heat_map, read_grid, save_figure
from mentor_pyg.runs.config import preset_names
from mentor_pyg.tuning import Search, space_of, tune_run
from mentor_pyg.tuning.space import space_names
from mentor_pyg.tuning.study import SAMPLERS
from mentor_pyg.tuning.tune import summary

logger = logging.getLogger("mentor_pyg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=expanded, required=True, help="folder of the dataset, or 'synthetic'"
    )
    parser.add_argument(
        "--preset",
        type=expanded,
        required=True,
        help=f"a YAML file, or one of {', '.join(preset_names())}",
    )
    parser.add_argument(
        "--space",
        type=expanded,
        help=f"a YAML file, or one of {', '.join(space_names())} "
        "(default: that of the preset's model)",
    )
    parser.add_argument("--trials", type=int, help="trials in all (default: 30, or the whole grid)")
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="default: tpe")
    parser.add_argument("--epochs", type=int, help="epochs of a trial at most")
    parser.add_argument("--seeds", metavar="N,N", help="seeds to train the best with")
    parser.add_argument(
        "--search-only", action="store_true", help="write best.yaml and don't look at test"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--out", type=expanded, help="folder for the results (default: runs/tune-<dataset>)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting"
    )
    pruning = parser.add_mutually_exclusive_group()
    pruning.add_argument(
        "--prune-after",
        type=int,
        default=5,
        metavar="EPOCHS",
        help="give up trials below the median from there on (default: 5)",
    )
    pruning.add_argument("--no-prune", action="store_true", help="give up none")
    parser.add_argument(
        "--heat-map",
        action="append",
        default=[],
        metavar="X,Y",
        help="two settings to show together (default: those of the paper's Fig. 5)",
    )


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
