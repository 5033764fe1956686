"""One writer at a time in a folder, and processes that end with the one that started them."""

import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mentor_pyg._util.files import check_writable, naming
from mentor_pyg.errors import InputError, reason

LOCK, OWNER = ".lock", ".lock-owner"

GRACE = 5.0
"""Seconds that a process has to save its state once its parent is gone; who wants to write
to its folder waits as long."""

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)

logger = logging.getLogger("mentor_pyg")


@contextmanager
def sole_writer(folder: Path | str) -> Iterator[None]:
    """Keeps other processes from writing to a folder within the block.

    The lock is an ``flock`` on ``<folder>/.lock``: it ends with its process, however that
    ends, and a file that a killed process leaves means nothing. Within a process the lock may
    be taken again. A folder that is made for the lock and stays empty vanishes again. On a
    file system without locks, as some network file systems are, a warning says that nothing
    protects the folder.

    Args:
        folder: The folder; it is made if need be.

    Raises:
        InputError: If another process writes there, or nobody can.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    check_writable(folder)
    lock = FileLock(str((folder / LOCK).resolve()), is_singleton=True)
    is_nested = lock.is_locked
    try:
        lock.acquire(timeout=GRACE)
    except Timeout:
        raise InputError(
            f"{folder}: is being written by {_owner(folder)}; "
            "expected another folder, or to wait until that ends"
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        logger.warning(
            f"{folder}: can't be locked on this file system ({reason(error)}); "
            "make sure that no other process writes there"
        )
        yield
        return
    try:
        if not is_nested:
            about = f"process {os.getpid()} on {socket.gethostname()}"
            with naming(folder / OWNER):
                (folder / OWNER).write_text(about, encoding="utf-8")
        yield
    finally:
        if not is_nested:
            _remove_files(folder, made)
        lock.release()


def _owner(folder: Path) -> str:
    try:
        return (folder / OWNER).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _remove_files(folder: Path, made: list[Path]) -> None:
    """Removes the files of a lock that is still held, and folders that were made for it."""
    (folder / OWNER).unlink(missing_ok=True)
    with suppress(OSError):
        # What filelock writes where there is no flock, it removes itself. Who has opened the
        # file that vanishes here sees that, and opens another.
        if (folder / LOCK).stat().st_size == 0:
            (folder / LOCK).unlink()
        for path in made:
            path.rmdir()  # unless there is something in it


def end_with_parent() -> None:
    """Lets this process of :mod:`multiprocessing` end when the one that started it is gone.

    A parent that is killed can't end its children. SIGTERM lets a run save its state; what
    doesn't end by itself within :data:`GRACE` seconds is ended.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()  # a pipe that the system closes, on every system
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, name="end_with_parent", daemon=True).start()
