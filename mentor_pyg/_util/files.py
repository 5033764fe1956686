"""Reading and writing files safely."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg._util.hashes import fingerprint
from mentor_pyg._util.temporary import temporary_beside
from mentor_pyg.errors import InputError, brief, reason

MAX_SLUG = 100
"""Characters of a name of the user's in the name of a file, which may have 255 bytes."""


def check_file(path: Path, expected: str = "a file") -> None:
    """Fails before any work if there is no file to read.

    A pipe counts as none: files are read more than once, and reading one that nobody
    writes to never ends. A device may have no end either.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a folder, a pipe or a device, or may not be read.
    """
    check_readable(path, expected, Path.is_file)


def check_folder(path: Path, expected: str) -> None:
    """Fails before any work if there is no folder to read.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a file, a pipe or a device, or may not be read.
    """
    check_readable(path, expected, Path.is_dir)


def check_readable(
    path: Path, expected: str, is_right: Callable[[Path], bool] = Path.exists
) -> None:
    """Fails before any work if there is nothing, nothing that may be read, or another kind.

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
    if not is_right(path):
        raise InputError(f"{path}: is {_kind(path)}; expected {expected}")


def _kind(path: Path) -> str:
    kinds: dict[str, Callable[[], bool]] = {
        "a file": path.is_file,
        "a folder": path.is_dir,
        "a pipe": path.is_fifo,
    }
    return next((kind for kind, is_of in kinds.items() if is_of()), "a device")


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
