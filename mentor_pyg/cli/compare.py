"""Runs ``mentor-pyg compare``."""

import argparse
import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from mentor_pyg._util.locks import sole_writer
from mentor_pyg.cli import Output, check_not_empty, expanded, integers
from mentor_pyg.errors import InputError
from mentor_pyg.experiments import Comparison, Plan, collect, compare, read_plan
from mentor_pyg.experiments.results import check_results, write_results
from mentor_pyg.training.config import check_seeds

QUICK = ("train.epochs=2", "train.eval_every=1")


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
    # Another process may train while results are only shown:
    with nullcontext() if args.only_report else sole_writer(out):
        if not args.force:
            check_results(plan, out)
        if args.only_report:
            return _report(collect(plan, out), out, args)
        return _report(compare(plan, out, args.parallel, not args.quiet), out, args)


def _report(found: list[Comparison], out: Path, args: argparse.Namespace) -> Output:
    tables, data = [], {}
    for comparison in found:
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
