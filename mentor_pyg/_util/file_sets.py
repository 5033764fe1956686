"""Files that belong together: all of them are written, or none."""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mentor_pyg._util.files import (
    check_target,
    check_writable,
    naming,
    sync,
)
from mentor_pyg._util.interrupts import deferring
from mentor_pyg._util.temporary import hidden_beside, temporary_beside
from mentor_pyg.errors import InputError

Writer = Callable[[Path], object]


def whole(value: str | bytes) -> Writer:
    """Writes a text or bytes."""
    data = value.encode() if isinstance(value, str) else value
    return lambda path: path.write_bytes(data)


def check_targets(paths: Iterable[Path | str]) -> list[Path]:
    """Fails before any work if these files can't all be written. It makes no folder.

    Returns:
        What would be written, which links lead to elsewhere.

    Raises:
        InputError: If one is a folder or a device, or in a folder that can't be written to;
            or if two are the same file.
    """
    known: dict[Path, Path | str] = {}
    for path in paths:
        target = check_target(path)
        if target in known:
            raise InputError(f"{path}: is the same file as {known[target]}; expected two files")
        known[target] = path
        folder = next(parent for parent in target.parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: can't be written to; expected a writable folder")
    return list(known)


def write_together(writers: Mapping[Path, Writer]) -> None:
    """Writes files that only make sense together, such as rows and their ids.

    Each is written under a temporary name first. Then all take their names; if one can't,
    because something stands in its place or a signal comes, all are as they were.

    Args:
        writers: What writes the content of each file to the path that it is given.

    Raises:
        InputError: If one can't be written.
    """
    moves = []
    with ExitStack() as stack:
        for target, (path, write) in zip(check_targets(writers), writers.items()):
            check_writable(target.parent)
            with naming(path):
                temporary = stack.enter_context(temporary_beside(target))
            with naming(path, temporary):
                write(temporary)
                sync(temporary)
            moves.append((temporary, target))
        replace_together(moves, [target for _, target in moves if target.exists()])
        for folder in {target.parent for _, target in moves}:
            sync(folder)


def replace_together(
    moves: Sequence[tuple[Path, Path]],
    old: Sequence[Path],
    aside: Callable[[Path], Path] = hidden_beside,
) -> None:
    """Moves files to their places, in this order, and removes the old ones; all or nothing.

    The old files are moved aside before, which fails where they can't be replaced. So there
    is no moment at which old and new files stand side by side; there is one without some of
    them, in which signals wait. What a process that is killed then has moved aside stays.

    Args:
        moves: From where to where; nothing may be there but old files.
        old: Files to be replaced or removed, in this order.
        aside: Where each of them waits until then.

    Raises:
        InputError: If one can't be moved.
    """
    with deferring(signal.SIGINT, signal.SIGTERM), ExitStack() as undo:
        waiting = []
        for path in old:
            waiting.append(aside(path))
            _move(path, waiting[-1], undo, path)
        for source, target in moves:
            _move(source, target, undo, target)
        undo.pop_all()
        for path in waiting:
            path.unlink()


def _move(source: Path, target: Path, undo: ExitStack, shown: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        raise InputError(
            f"{shown}: can't be replaced ({error.strerror}); "
            "expected a file of our own, with nothing mounted there"
        ) from None
    undo.callback(os.rename, target, source)
