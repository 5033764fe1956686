"""A folder of results that appears as a whole or not at all."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg.datasets.features import IDS_SUFFIX, MASK_SUFFIX, SUFFIX
from mentor_pyg.errors import InputError
from mentor_pyg.files import check_file, check_writable
from mentor_pyg.typing import ITEM, USER

REPORT = "preparation.json"
OWN_IDS = tuple(f"{node}{IDS_SUFFIX}" for node in (USER, ITEM))


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
    own = _own_files(path / REPORT)
    for file in content:
        if file.is_dir() or file.name not in own:
            raise InputError(
                f"{path}: holds {file.name}, which no preparation wrote by {REPORT}; "
                "expected an earlier result to replace, and nothing else"
            )


def _own_files(report: Path) -> set[str]:
    """Names of all files that the preparation of a report wrote; none if there is none."""
    try:
        check_file(report)
        content = json.loads(report.read_text(encoding="utf-8"))
        stems = [
            f"{stem}{suffix}" for stem in content["widths"] for suffix in (SUFFIX, MASK_SUFFIX)
        ]
        return {REPORT, f"{content['name']}.inter", *OWN_IDS, *stems}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


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
