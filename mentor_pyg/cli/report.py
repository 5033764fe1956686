"""Runs ``mentor-pyg report``."""

import argparse

from mentor_pyg.cli import Output
from mentor_pyg.report import write_report


def run(args: argparse.Namespace) -> Output:
    write_report(
        args.runs,
        args.out,
        data=args.data,
        title=args.title,
        num_items=args.items,
        seed=args.seed,
        progress=not args.quiet,
    )
    return Output(f"written to {args.out}", {"runs": args.runs, "file": args.out})
