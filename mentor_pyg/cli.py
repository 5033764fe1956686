"""What command-line programs share: exit codes and logging."""

import logging
import sys
from collections.abc import Callable

from tqdm.contrib.logging import logging_redirect_tqdm

from mentor_pyg.errors import InputError

USER_ERROR, INTERRUPTED = 2, 130


def run_program(main: Callable[[], None]) -> int:
    """Runs a program; its exit code.

    Mistakes of the user's, :class:`~mentor_pyg.InputError` and errors of the file
    system, become one line on stderr and the code 2; Ctrl-C becomes 130.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mentor_pyg").setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        with logging_redirect_tqdm():
            main()
    except (InputError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0
