"""Reading, writing and fingerprinting files safely."""

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from mentor_pyg.errors import InputError, brief, reason

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MAX_SLUG = 100
"""Characters of a name of the user's in the name of a file, which may have 255 bytes."""

TEMPORARY = ".mentor-pyg-tmp"
"""How names of files end that are being written."""


def check_file(path: Path, expected: str = "a file") -> None:
    """Fails before any work if there is no file to read.

    A pipe counts as none: files are read more than once, and reading one that nobody
    writes to never ends. A device may have no end either.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a folder, a pipe or a device, or may not be read.
    """
    check_readable(path, expected)
    if not path.is_file():
        raise InputError(f"{path}: is {_kind(path)}; expected {expected}")


def check_folder(path: Path, expected: str) -> None:
    """Fails before any work if there is no folder to read.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a file, a pipe or a device, or may not be read.
    """
    check_readable(path, expected)
    if not path.is_dir():
        raise InputError(f"{path}: is {_kind(path)}; expected {expected}")


def check_readable(path: Path, expected: str) -> None:
    """Fails before any work if there is nothing, or nothing that may be read.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If the permissions don't suffice, or there can't be such a path.
    """
    try:
        is_there = path.exists()
        may_be_read = os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    # Of a folder above it, or of a name that is too long or can't be one:
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) else reason(error)
        raise InputError(
            f"{brief(path, 300)}: can't be read ({found}); expected {expected}"
        ) from None
    if not is_there:
        raise FileNotFoundError(f"{path}: not found; expected {expected}")
    if not may_be_read:
        raise InputError(f"{path}: can't be read (Permission denied); expected {expected}")


def _kind(path: Path) -> str:
    kinds = {"a file": path.is_file, "a folder": path.is_dir, "a pipe": path.is_fifo}
    return next((kind for kind, is_of in kinds.items() if is_of()), "a device")


def fingerprint(*parts: Any) -> str:
    """A short stable key of the ``repr`` of all parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


@contextmanager
def naming(path: Path | str, temporary: Path | None = None) -> Iterator[None]:
    """Reports a failed write under the name of the file, which a full disk's error lacks.

    Args:
        path: The file that is written.
        temporary: Under which other name it is written.

    Raises:
        InputError: If writing fails. Errors of other files pass through.
    """
    try:
        yield
    except OSError as error:
        is_ours = error.filename is None or Path(error.filename) == temporary
        # NumPy's `tofile` gives no number, and our own FileNotFoundError has a message:
        is_of_writing = error.errno is not None or type(error) is OSError
        if isinstance(error, BrokenPipeError | ConnectionError) or not (is_ours and is_of_writing):
            raise
        raise InputError(
            f"{path}: can't be written ({error.strerror or reason(error)}); "
            "expected a disk that works and has room for it"
        ) from None


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


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk and survives a power failure."""
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        if not is_folder:  # for which not every system can wait
            raise


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path that becomes ``path`` if the block succeeds, else vanishes.

    A link stays, and what it leads to is written. The content is on the disk before it
    takes its name.

    Raises:
        InputError: If the folder can't be written to, or the disk is full; or if ``path``
            is a folder or a device.
    """
    target = check_target(path)
    check_writable(target.parent)
    with naming(path), temporary_beside(target) as temporary, naming(path, temporary):
        yield temporary
        sync(temporary)
        os.replace(temporary, target)
        sync(target.parent)


def check_target(path: Path | str) -> Path:
    """What would be written under ``path``, which a link leads to elsewhere.

    Raises:
        InputError: If that is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"{path}: is {_kind(target)}; expected a file")
    return target


def check_writable(folder: Path) -> None:
    """Makes a folder if need be, and fails before any work if it can't be written to.

    Raises:
        InputError: If it can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: can't be written to ({error.strerror}); expected a writable folder"
        ) from None


def slug(name: str) -> str:
    """A name as that of a file or folder: letters, digits and ``.=+-`` of ASCII.

    Long names are cut, with a key of the whole in place of the rest.
    """
    short = re.sub(r"[^A-Za-z0-9.=+-]+", "-", name).strip("-.") or "model"
    return short if len(short) <= MAX_SLUG else f"{short[:MAX_SLUG]}-{fingerprint(name)}"


def write_text(path: Path | str, text: str) -> None:
    """Writes a whole text file at once, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
