"""The command ``mentor-pyg``: arguments, exit codes, logging."""

import argparse
import importlib
import io
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType

from tqdm.contrib.logging import logging_redirect_tqdm

import mentor_pyg
from mentor_pyg.commands import Output, commands
from mentor_pyg.errors import InputError
from mentor_pyg.interrupts import handling

USER_ERROR, INTERRUPTED = 2, 130

DESCRIPTION = """Multimodal recommendation on PyTorch Geometric.

  mentor-pyg prepare raw/ --out data/toys      raw files to a dataset
  mentor-pyg train --data data/toys            train a model on it
  mentor-pyg recommend runs/toys --user A1B2   and ask it
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; its exit code."""
    return _run(make_parser().parse_args(argv))


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="mentor-pyg",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=mentor_pyg.__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in commands:
        module = importlib.import_module(f"mentor_pyg.commands.{name}")
        summary = (module.__doc__ or "").partition("\n")[0]
        subparser = subparsers.add_parser(
            name,
            help=summary.rstrip("."),
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_arguments(subparser, module)
    return parser


def run_command(module: ModuleType, description: str | None = None) -> int:
    """Runs one command as a program of its own; its exit code."""
    parser = argparse.ArgumentParser(
        description=description or module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_arguments(parser, module)
    return _run(parser.parse_args())


def _add_arguments(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.add_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the result as JSON")
    output.add_argument(
        "--quiet", action="store_true", help="no log and no progress bars, the result alone"
    )
    parser.set_defaults(run=module.run)


def _run(args: argparse.Namespace) -> int:
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    level = logging.WARNING if args.quiet else logging.INFO
    logging.getLogger("mentor_pyg").setLevel(level)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")  # of PyTorch; no news to users
    return run_program(lambda: _print(args.run(args), args.json))


def _print(output: Output, as_json: bool) -> None:
    text = json.dumps(output.data, indent=2) if as_json else output.text
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII has no ±
    if text:
        print(text, flush=True)


def run_program(program: Callable[[], object]) -> int:
    """Runs a program; its exit code.

    Mistakes of the user's, :class:`~mentor_pyg.InputError` and errors of the file
    system, become one line on stderr and the code 2; Ctrl-C becomes 130, and so does
    SIGTERM, which is what schedulers send.
    """
    try:
        with logging_redirect_tqdm(), handling(signal.default_int_handler, signal.SIGTERM):
            program()
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0
