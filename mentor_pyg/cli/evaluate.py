"""Measure trained runs in detail, with confidence intervals and tests.

  mentor-pyg evaluate runs/tiktok
  mentor-pyg evaluate runs/tiktok --groups user,popularity,cold
  mentor-pyg evaluate runs/lightgcn runs/mentor --metrics recall,ndcg --format latex
  mentor-pyg evaluate runs/lightgcn-* runs/mentor-* --per-user users.csv

Runs that differ by nothing but their seed are taken together: their figures are means
over the seeds, with standard deviations in a table of their own. With several
configurations, each is tested against the first, over seeds and users. That takes three
seeds of both; with fewer, tests and intervals speak of these runs, and nothing is starred.
"""

import argparse
import json
import logging
from pathlib import Path

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.file_sets import Writer, check_targets, content, write_together
from mentor_pyg.analysis import (
    GROUPINGS,
    MMSSL_BOUNDS,
    TESTS,
    Findings,
    RunEvaluation,
    Sampling,
    aggregate,
    evaluate_runs,
    find,
    make_tables,
    write_user_metrics,
)
from mentor_pyg.cli import Output, expanded, integers
from mentor_pyg.errors import InputError

logger = logging.getLogger("mentor_pyg")

FORMATS = ("text", "markdown", "latex", "html", "csv", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bounds = ",".join(map(str, MMSSL_BOUNDS))
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", type=expanded, help="folder of a trained run"
    )
    parser.add_argument("--data", type=expanded, help="folder of the data, if it has moved")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--split", choices=["val", "test"], default="test")
    parser.add_argument("--ks", default="10,20", help="lengths of the lists (default: 10,20)")
    parser.add_argument("--metrics", default="", help="to show, e.g. recall,ndcg (default: all)")
    parser.add_argument("--groups", default="", help=f"any of {','.join(GROUPINGS)}")
    parser.add_argument(
        "--user-bounds",
        default=bounds,
        metavar="N,N,...",
        help=f"training pairs at most in each group of users but the last (default: {bounds})",
    )
    parser.add_argument(
        "--quantiles", type=int, default=4, help="groups of items by popularity (default: 4)"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=10_000,
        help="random signs in the permutation test (default: 10000)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the permutations")
    parser.add_argument(
        "--test",
        dest="paired_test",
        choices=list(TESTS),
        default="permutation",
        help="paired test over users, for fewer than three seeds (default: permutation)",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the result")
    parser.add_argument("--out", metavar="FILE", type=expanded, help="write the result there")
    parser.add_argument(
        "--per-user", metavar="FILE", type=expanded, help="write every user's metrics as CSV"
    )
    parser.add_argument(
        "--safe-csv",
        action="store_true",
        help="put ' before ids in --per-user that a spreadsheet would take for formulas",
    )


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
        writers[Path(args.out)] = content(text + "\n")
    if args.per_user:
        runs = {str(e.folder): e.overall for e in evaluations}
        ids = evaluations[0].user_ids
        writers[Path(args.per_user)] = lambda p: write_user_metrics(p, runs, ids, args.safe_csv)
    write_together(writers)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
