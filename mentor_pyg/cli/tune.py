"""Runs ``mentor-pyg tune``."""

import argparse
import logging
from pathlib import Path

from mentor_pyg._util.environment import choose_device
from mentor_pyg.cli import Output, check_not_empty, integers
from mentor_pyg.datasets.source import open_source
from mentor_pyg.errors import InputError, shown
from mentor_pyg.tuning import Search, space_of, tune
from mentor_pyg.tuning.run import search_summary

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
    results = tune(search, source, out, device, progress=not args.quiet)
    return Output(f"{search_summary(results)}\nwritten to {out.resolve()}", results)


def _pair(text: str) -> tuple[str, str]:
    x, separator, y = text.partition(",")
    if not separator:
        raise InputError(
            f"--heat-map: is {shown(text)}; expected two settings, e.g. graph.k,train.lr"
        )
    return x.strip(), y.strip()
