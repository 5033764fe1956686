"""What makes a function a program: exit codes, one line for an error, a log on stderr."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable

from mentor_pyg._util.escaping import PrintableMessages, printable
from mentor_pyg._util.interrupts import handling
from mentor_pyg.errors import InputError

USER_ERROR, INTERRUPTED = 2, 130
PRINTABLE = PrintableMessages()


def run_program(program: Callable[[], object]) -> int:
    """Runs a program; its exit code.

    Mistakes of the user's, :class:`~mentor_pyg.InputError` and errors of the file
    system, become one line on stderr and the code 2; Ctrl-C becomes 130, and so does
    SIGTERM, which is what schedulers send.
    """
    try:
        with handling(signal.default_int_handler, signal.SIGTERM):
            program()
    except BrokenPipeError:  # whoever reads the output has seen enough
        discard_output()
    except (InputError, OSError) as error:
        print(printable(f"error: {' '.join(str(error).split())}"), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def start_log(level: int) -> None:
    """Writes messages of the package from a level on, and warnings, to stderr."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mentor_pyg").setLevel(level)
    logging.captureWarnings(True)
    for name in ("mentor_pyg", "py.warnings"):
        logging.getLogger(name).addFilter(PRINTABLE)
    warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")  # of PyTorch; no news to users


def discard_output() -> None:
    """Keeps Python from trying once more, at its end, to write what nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
