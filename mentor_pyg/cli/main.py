"""The command ``mentor-pyg``: arguments, exit codes, logging."""

# What takes long to import, PyTorch first of all, is imported when a command runs: not for
# `--help`, and by `run_program`, so that Ctrl-C in the meantime ends the program as it does later.
import argparse
import importlib
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import mentor_pyg
from mentor_pyg._util.escaping import printable
from mentor_pyg._util.interrupts import handling
from mentor_pyg._util.programs import INTERRUPTED, discard_output, run_program, start_log
from mentor_pyg.cli import Output, commands
from mentor_pyg.cli.parser import Parser
from mentor_pyg.errors import InputError

DESCRIPTION = """Multimodal recommendation on PyTorch Geometric.

  mentor-pyg prepare raw/ --out data/toys --no-text      raw files to a dataset
  mentor-pyg train --data data/toys --out runs/toys      train a model on it
  mentor-pyg recommend runs/toys --user A1B2             and ask it
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; its exit code."""
    return run_program(lambda: _run(argv))


def _leave(signum: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="mentor-pyg",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=mentor_pyg.__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in commands:
        module = importlib.import_module(f"mentor_pyg.cli.arguments.{name}")
        summary = (module.__doc__ or "").partition("\n")[0]
        subparser = subparsers.add_parser(
            name,
            help=summary.rstrip("."),
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        output = subparser.add_argument_group("output")
        output.add_argument("--json", action="store_true", help="print the result as JSON")
        output.add_argument(
            "--quiet", action="store_true", help="no log and no progress bars, the result alone"
        )
        subparser.set_defaults(command=name)
    return parser


def _run(argv: Sequence[str] | None) -> None:
    # A KeyboardInterrupt within an import may come out as an error of the module's:
    with handling(_leave, signal.SIGINT, signal.SIGTERM):
        args = make_parser().parse_args(argv)
        command = importlib.import_module(f"mentor_pyg.cli.{args.command}")
        from tqdm.contrib.logging import logging_redirect_tqdm

    start_log(logging.WARNING if args.quiet else logging.INFO)
    with logging_redirect_tqdm():
        output = command.run(args)
    _print(output, args.json)


def _print(output: Output, as_json: bool) -> None:
    text = json.dumps(output.data, indent=2) if as_json else printable(output.text)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII has no ±
    if text:
        from mentor_pyg._util.files import naming

        try:
            with naming("standard output"):
                print(text, flush=True)
        except InputError:
            discard_output()
            raise
