"""Train many models on many datasets under many seeds, and compare them.

  mentor-pyg compare baselines --data tiktok=data/tiktok --out runs/baselines --parallel 2
  mentor-pyg compare mine.yaml --out runs/mine --format latex
  mentor-pyg compare mentor_ablation --data baby=data/baby --out runs/ablation --only-report

PLAN is a YAML file of models, datasets and seeds, or the name of one that comes along.
What is finished stays; the same command goes on where it stopped, and other settings or
data take another --out. Every model may get
the same number of trials on validation before (trials: 20); test is read by final runs
alone. Writes <dataset>.json, .csv, .md, .tex and .html, and plots if matplotlib is there.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mentor_pyg._util.locks import sole_writer
from mentor_pyg.analysis import FORMATS
from mentor_pyg.cli import Output, check_not_empty, expanded, integers
from mentor_pyg.errors import InputError
from mentor_pyg.experiments import Plan, collect, plan_names, read_plan, run_plan
from mentor_pyg.experiments.results import check_results, write_results
from mentor_pyg.training.config import check_seeds

QUICK = ("train.epochs=2", "train.eval_every=1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "plan",
        metavar="PLAN",
        type=expanded,
        help=f"a YAML file, or one of {', '.join(plan_names())}",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a dataset, in place of the plan's; may be given several times",
    )
    parser.add_argument("--out", type=expanded, required=True, help="folder of all results")
    parser.add_argument("--parallel", type=int, default=1, help="runs at the same time")
    parser.add_argument("--seeds", metavar="N,N", help="in place of the plan's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all models"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two epochs and one seed, to see whether all runs"
    )
    parser.add_argument(
        "--only-report", action="store_true", help="train nothing, show what is finished"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the tables of a plan with other models"
    )
    parser.add_argument(
        "--no-tests", action="store_true", help="without significance, which loads every run"
    )
    parser.add_argument(
        "--format", choices=list(FORMATS), default="text", help="of what is printed"
    )


def run(args: argparse.Namespace) -> Output:
    check_not_empty(args, "out", "seeds")
    if args.parallel < 1:
        raise InputError(f"--parallel: {args.parallel}; expected 1 or more")
    plan = read_plan(args.plan, _datasets(args.data), args.set)
    if args.seeds is not None:
        seeds = integers("--seeds", args.seeds)
        check_seeds("--seeds", seeds)
        plan = dataclasses.replace(plan, seeds=tuple(seeds))
    if args.quick:
        plan = _shortened(plan)
    out = Path(args.out)
    if args.only_report:  # also while another process trains
        return _report(plan, out, args)
    with sole_writer(out):
        if not args.force:
            check_results(plan, out)
        run_plan(plan, out, args.parallel, progress=not args.quiet)
        return _report(plan, out, args)


def _report(plan: Plan, out: Path, args: argparse.Namespace) -> Output:
    if not args.force:
        check_results(plan, out)
    tables, data = [], {}
    for comparison in collect(plan, out):
        several = len(comparison.results) > 1 and not args.no_tests
        findings = comparison.significance(not args.quiet) if several else None
        data[comparison.dataset] = write_results(comparison, findings, out)
        tables.append(comparison.table(findings))
        if comparison.published().rows:
            tables.append(comparison.published())
    return Output("\n\n".join(table.render(args.format) for table in tables), data)


def _datasets(texts: Sequence[str]) -> dict[str, str]:
    datasets: dict[str, str] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        if not separator or not name or not folder:
            raise InputError(f"--data {text}: names no dataset; expected NAME=DIR")
        if name in datasets:
            raise InputError(f"--data {text}: names '{name}' again; expected each name once")
        datasets[name] = expanded(folder)
    return datasets


def _shortened(plan: Plan) -> Plan:
    variants = tuple(
        dataclasses.replace(variant, changes=(*variant.changes, *QUICK))
        for variant in plan.variants
    )
    return dataclasses.replace(plan, variants=variants, seeds=plan.seeds[:1], trials=0)
