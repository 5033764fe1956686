"""Temporary files and folders beside what they become, and those that killed processes left."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from mentor_pyg._util.hashes import fingerprint

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TEMPORARY = ".mentor-pyg-tmp"
"""How names of files end that are being written."""


@contextmanager
def temporary_beside(
    path: Path, is_folder: bool = False, rescue: Callable[[Path], object] = bool
) -> Iterator[Path]:
    """A new file or folder beside ``path``, which vanishes with the block unless it is renamed.

    It is locked while the block runs. What a killed process left, whose locks ended with
    it, is removed first; what another one is writing stays.

    Args:
        path: What it will become.
        is_folder: Whether to make a folder.
        rescue: Called with what a killed process left, before that is removed.
    """
    with suppress(PermissionError):  # of folders that may be written to but not listed
        _remove_stale(path, rescue)
    while True:
        temporary = hidden_beside(path)
        if is_folder:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)  # with the usual permissions
        # Until it is locked, another process may take it for stale and remove it:
        lock = _lock(temporary, wait=True)
        if temporary.exists():
            break
        _unlock(lock)
    try:
        yield temporary
    finally:
        _remove(temporary)
        _unlock(lock)


def hidden_beside(path: Path) -> Path:
    """A new name for what becomes ``path``, or was it."""
    return path.with_name(f"{_prefix(path)}{uuid.uuid4().hex[:8]}{TEMPORARY}")


def _prefix(path: Path) -> str:
    name = path.name if len(os.fsencode(path.name)) < 200 else fingerprint(path.name)
    return f".{name}."


def _remove_stale(path: Path, rescue: Callable[[Path], object]) -> None:
    prefix = _prefix(path)
    for name in os.listdir(path.parent):
        token = name.removeprefix(prefix).removesuffix(TEMPORARY)
        if name != f"{prefix}{token}{TEMPORARY}" or not re.fullmatch("[0-9a-f]{8}", token):
            continue
        stale = path.with_name(name)
        lock = _lock(stale, wait=False)
        if lock is not None:
            with suppress(OSError):
                rescue(stale)
            with suppress(OSError):
                _remove(stale)
            _unlock(lock)


def _lock(path: Path, wait: bool) -> int | None:
    """Locks a file or folder until it is unlocked or the process ends.

    Returns:
        A handle; None if it is locked already, gone, or the system has no such locks.
    """
    if fcntl is None:
        return None
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # for NFS
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        _unlock(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
