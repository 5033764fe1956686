"""Runs ``mentor-pyg evaluate``."""

import argparse
import json
import logging
from pathlib import Path

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.file_sets import Writer, check_targets, whole, write_together
from mentor_pyg.analysis import Findings, RunEvaluation, aggregate, evaluate_runs, find, make_tables
from mentor_pyg.cli import Output, integers
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation import Sampling, write_user_metrics

logger = logging.getLogger("mentor_pyg")


def run(args: argparse.Namespace) -> Output:
    ks = integers("--ks", args.ks)
    user_bounds = integers("--user-bounds", args.user_bounds)
    sampling = Sampling(args.resamples, args.confidence, args.seed, args.paired_test)
    files = _files(args)
    evaluations = evaluate_runs(
        args.runs,
        data=args.data,
        device=choose_device(args.device),
        progress=not args.quiet,
        split=args.split,
        ks=ks,
        groupings=_names(args.groups),
        user_bounds=user_bounds,
        num_quantiles=args.quantiles,
    )
    findings = find(aggregate(evaluations), sampling, progress=not args.quiet)
    text = _render(findings, args.format, _names(args.metrics))
    _write(args, text, evaluations)
    for file in files:
        logger.info(f"written to {file.resolve()}")
    return Output("" if args.out else text, findings.to_dict())


def _files(args: argparse.Namespace) -> list[Path]:
    """The files to write, checked before any work is done."""
    if args.safe_csv and not args.per_user:
        raise InputError("--safe-csv: there is no --per-user; expected both or neither")
    files = [Path(file) for file in (args.out, args.per_user) if file]
    check_targets(files)
    return files


def _render(findings: Findings, format: str, metrics: list[str]) -> str:
    """The tables; as CSV a row for every figure, as JSON everything."""
    shown = make_tables(findings, metrics)
    if format == "csv":
        return findings.records().to_csv()
    if format == "json":
        return json.dumps(findings.to_dict(), indent=2, ensure_ascii=False)
    return "\n\n".join(table.render(format) for table in shown)


def _write(args: argparse.Namespace, text: str, evaluations: list[RunEvaluation]) -> None:
    """Both files or neither."""
    writers: dict[Path, Writer] = {}
    if args.out:
        writers[Path(args.out)] = whole(text + "\n")
    if args.per_user:
        runs = {str(e.folder): e.overall for e in evaluations}
        ids = evaluations[0].user_ids
        writers[Path(args.per_user)] = lambda p: write_user_metrics(p, runs, ids, args.safe_csv)
    write_together(writers)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
