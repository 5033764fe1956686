"""A folder of results that appears as a whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg.datasets.features import IDS_SUFFIX, MASK_SUFFIX, SUFFIX
from mentor_pyg.errors import InputError
from mentor_pyg.files import check_writable, naming, sync, temporary_beside
from mentor_pyg.formats import Kind, check_kind
from mentor_pyg.json_files import read_json
from mentor_pyg.typing import ITEM, USER

REPORT = "preparation.json"
PREPARATION = Kind("report of a preparation", 1)
OLD = "old"
"""Where an earlier result waits until the new one has its place."""

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

    def put_back(left: Path) -> None:
        if not path.exists():
            (left / OLD).rename(path)

    with temporary_beside(path, is_folder=True, rescue=put_back) as temporary:
        _check_free(path, force)  # as it is now
        try:
            yield temporary
        except InputError as error:
            if str(temporary) not in str(error):
                raise
            # Of a file in there, told by the name that it would have had:
            raise InputError(str(error).replace(str(temporary), str(path))) from None
        for file in (*temporary.iterdir(), temporary):
            with naming(path / file.name):
                sync(file)
        _replace(path, temporary)
        sync(path.parent)


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
        content = read_json(report, "what a preparation did")
        check_kind(report, PREPARATION, content)
        stems = [
            f"{stem}{suffix}" for stem in content["widths"] for suffix in (SUFFIX, MASK_SUFFIX)
        ]
        return {REPORT, f"{content['name']}.inter", *OWN_IDS, *stems}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(path: Path, temporary: Path) -> None:
    with temporary_beside(path, is_folder=True) as aside:
        if path.exists():
            path.rename(aside / OLD)
        try:
            temporary.rename(path)
        except OSError:
            if (aside / OLD).exists():
                (aside / OLD).rename(path)
            raise
