"""Reading, writing and fingerprinting files safely."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mentor_pyg.errors import InputError, reason

MAX_SLUG = 100
"""Characters of a name of the user's in the name of a file, which may have 255 bytes."""


def check_file(path: Path, expected: str = "a file") -> None:
    """Fails before any work if there is no file to read.

    A pipe counts as none: files are read more than once, and reading one that nobody
    writes to never ends. A device may have no end either.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a folder, a pipe or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: not found; expected {expected}")
    if not path.is_file():
        raise InputError(f"{path}: is {_kind(path)}; expected {expected}")


def check_folder(path: Path, expected: str) -> None:
    """Fails before any work if there is no folder to read.

    Raises:
        FileNotFoundError: If there is nothing.
        InputError: If it is a file, a pipe or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: not found; expected {expected}")
    if not path.is_dir():
        raise InputError(f"{path}: is {_kind(path)}; expected {expected}")


def _kind(path: Path) -> str:
    kinds = {"a file": path.is_file, "a folder": path.is_dir, "a pipe": path.is_fifo}
    return next((kind for kind, is_of in kinds.items() if is_of()), "a device")


def fingerprint(*parts: Any) -> str:
    """A short stable key of the ``repr`` of all parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def content_hash(x: Tensor) -> str:
    """A key of a tensor's dtype, shape and content."""
    content = x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    digest = hashlib.blake2b(repr((x.dtype, x.shape)).encode(), digest_size=16)
    digest.update(content.data)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path that becomes ``path`` if the block succeeds, else vanishes.

    Raises:
        InputError: If the folder can't be written to.
    """
    path = Path(path)
    check_writable(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Writes a whole text file at once, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tensors(obj: Any, path: Path | str) -> None:
    """:func:`torch.save` for tensors in plain containers, at once or not at all."""
    with atomic_path(path) as temporary:
        torch.save(obj, temporary)


def load_tensors(path: Path | str) -> Any:
    """:func:`torch.load` that runs no code from the file.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it isn't one that :func:`save_tensors` wrote.
    """
    check_file(Path(path), "a saved file")
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises half a dozen types for broken files
        raise InputError(
            f"{path}: can't be loaded ({reason(error)}); expected a file of tensors, undamaged"
        ) from None
