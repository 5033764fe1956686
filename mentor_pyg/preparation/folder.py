"""A folder of results that appears as a whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg.datasets.features import IDS_SUFFIX, MASK_SUFFIX, SUFFIX
from mentor_pyg.errors import InputError
from mentor_pyg.files import check_writable

REPORT = "preparation.json"
OWN = (".inter", SUFFIX, MASK_SUFFIX, IDS_SUFFIX, REPORT)
"""How the names of all files end that a preparation writes."""


@contextmanager
def new_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` if the block succeeds, else vanishes.

    Args:
        path: What it becomes.
        force: Whether an earlier result at ``path`` is replaced, which keeps its place until
            the new one is complete.

    Raises:
        InputError: If ``path`` is a file, a folder with content but without ``force``, or one
            that holds what no preparation wrote; or if its parent can't be written to.
    """
    path = path.absolute()
    _check_free(path, force)
    check_writable(path.parent)
    # Made by mkdir, not by tempfile, so that it has the usual permissions:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        _replace(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_free(path: Path, force: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: isn't a folder; expected a new or empty one")
    content = sorted(path.iterdir()) if path.exists() else []
    if content and not force:
        raise InputError(f"{path}: isn't empty ({content[0].name}); expected a new folder")
    for file in content:
        if file.is_dir() or not file.name.endswith(OWN):
            raise InputError(
                f"{path}: holds {file.name}, which no preparation writes; "
                "expected an earlier result to replace"
            )


def _replace(path: Path, temporary: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    old = temporary.with_name(f"{temporary.name}.old")
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)
