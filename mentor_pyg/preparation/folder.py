"""A folder of results that appears as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg._util.file_sets import replace_together
from mentor_pyg._util.files import check_writable, naming, sync
from mentor_pyg._util.formats import Kind
from mentor_pyg._util.json_files import read_json
from mentor_pyg._util.locks import LOCK, OWNER, sole_writer
from mentor_pyg._util.temporary import TEMPORARY, temporary_beside
from mentor_pyg.datasets.features import IDS_SUFFIX, MASK_SUFFIX, SUFFIX
from mentor_pyg.errors import InputError
from mentor_pyg.typing import ITEM, USER

REPORT, TABLE_SUFFIX = "preparation.json", ".inter"
PREPARATION = Kind("report of a preparation", 2)
BEFORE_KINDS = {"name", "users", "items", "pairs", "widths", "settings"}
"""What a report has that was written before files said of which kind they are."""

OLD = "old"
"""Where an earlier result waits until the new one has its place."""

OWN_IDS = tuple(f"{node}{IDS_SUFFIX}" for node in (USER, ITEM))


@contextmanager
def new_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """A temporary folder whose files become those of ``path`` if the block succeeds.

    A folder that is there stays the same folder, since it may be a mount point, a folder
    whose parent can't be written to, or the one in which the shell is. An earlier result
    keeps its place until the new one is complete.

    Args:
        path: Where the files come to lie.
        force: Whether an earlier result there is replaced.

    Raises:
        InputError: If ``path`` is a file, a folder with content but without ``force``, or one
            that holds what no preparation wrote; or if it can't be written to.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise InputError(f"{path}: isn't a folder; expected a new or empty one")
    if not target.exists():
        check_writable(target.parent)
        with temporary_beside(target, is_folder=True) as temporary:
            with _written(target, temporary):
                yield temporary
            temporary.rename(target)
            sync(target.parent)
        return

    def put_back(left: Path) -> None:
        _put_back(target, left)

    with (
        sole_writer(target),
        temporary_beside(target / REPORT, is_folder=True, rescue=put_back) as temporary,
    ):
        _check_free(target, force)
        with _written(target, temporary):
            yield temporary
        _replace(target, temporary)
        sync(target)


@contextmanager
def _written(target: Path, temporary: Path) -> Iterator[None]:
    """Waits until the files of the block are on the disk; errors have their later names."""
    try:
        yield
    except InputError as error:
        if str(temporary) not in str(error):
            raise
        raise InputError(str(error).replace(str(temporary), str(target))) from None
    for file in (*temporary.iterdir(), temporary):
        with naming(target / file.name):
            sync(file)


def _check_free(path: Path, force: bool) -> None:
    names = sorted(file.name for file in _content(path))
    if names and not force:
        raise InputError(
            f"{path}: isn't empty ({names[0]}); "
            "expected a new folder, or --force to replace an earlier result"
        )
    own = _own_files(path / REPORT)
    for name in names:
        if name not in own or (path / name).is_dir():
            raise InputError(
                f"{path}: holds {name}, which no preparation wrote by {REPORT}; "
                "expected an earlier result to replace, and nothing else"
            )


def _content(path: Path) -> list[Path]:
    """What is in a folder but for the lock and temporary folders of preparations."""
    hidden = {path / LOCK, path / OWNER, *path.glob(f".{REPORT}.*{TEMPORARY}")}
    return [file for file in path.iterdir() if file not in hidden]


def _own_files(report: Path) -> set[str]:
    """Names of all files that the preparation of a report wrote, in whatever format the report
    is; none if it is no such report."""
    try:
        content = read_json(report, "what a preparation did")
        if content.get("kind") != PREPARATION.name and not content.keys() >= BEFORE_KINDS:
            return set()
        stems = [
            f"{stem}{suffix}" for stem in content["widths"] for suffix in (SUFFIX, MASK_SUFFIX)
        ]
        return {REPORT, f"{content['name']}.inter", *OWN_IDS, *stems}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()


def _replace(path: Path, temporary: Path) -> None:
    """Puts new files in place of the old ones, each in the order of :func:`_place`."""
    new = sorted(temporary.iterdir(), key=_place)
    old = sorted(_content(path), key=_place, reverse=True)
    (temporary / OLD).mkdir()
    replace_together(
        [(file, path / file.name) for file in new], old, lambda file: temporary / OLD / file.name
    )


def _place(file: Path) -> int:
    """A table comes last and goes first, so that there is no dataset in between; a report
    comes first and goes last, so that what is there is known to be of a preparation."""
    return 0 if file.name == REPORT else 2 if file.suffix == TABLE_SUFFIX else 1


def _put_back(path: Path, left: Path) -> None:
    """Undoes what a preparation did that was killed while it replaced files.

    Args:
        path: The folder.
        left: The temporary folder that it left.
    """
    is_complete = any(file.suffix == TABLE_SUFFIX for file in _content(path))
    if is_complete or not (left / OLD).is_dir():
        return
    old = sorted((left / OLD).iterdir(), key=_place)
    if not old or old[0].name == REPORT:  # all of it was away, so what is there is new
        own = _own_files(path / REPORT)
        for file in sorted(_content(path), key=_place, reverse=True):
            if file.name in own:
                file.rename(left / file.name)
    for file in old:
        file.rename(path / file.name)
