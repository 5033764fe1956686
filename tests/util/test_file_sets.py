"""Files that are all written, or none."""

import errno
import os
import signal

import pytest

from mentor_pyg import InputError
from mentor_pyg._util.file_sets import check_targets, whole, write_together


@pytest.fixture
def paths(tmp_path):
    """Two files that are there, and one that isn't."""
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "new/c.txt")]
    for path in paths[:2]:
        path.write_text("old")
    return paths


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_all(paths, tmp_path):
    write_together(dict(zip(paths, map(whole, ("ä", b"1", "2")))))
    assert contents(tmp_path) == {"a.txt": "ä", "b.txt": "1", "new/c.txt": "2"}


def test_none_if_one_cannot_be_made(paths, tmp_path):
    def fail(path):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_together({paths[0]: whole("new"), paths[1]: fail})
    assert contents(tmp_path) == {"a.txt": "old", "b.txt": "old"}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "busy"), KeyboardInterrupt()])
def test_none_if_one_cannot_take_its_place(paths, tmp_path, monkeypatch, number, error):
    """Two old files are moved aside, then three new ones come."""
    calls = iter(range(100))

    def rename(source, target):
        if next(calls) == number:
            raise error
        os.replace(source, target)

    monkeypatch.setattr("mentor_pyg._util.file_sets.os.rename", rename)
    with pytest.raises((InputError, KeyboardInterrupt)):
        write_together(dict.fromkeys(paths, whole("new")))
    assert contents(tmp_path) == {"a.txt": "old", "b.txt": "old"}


def test_signals_wait(paths, tmp_path, monkeypatch):
    def rename(source, target):
        signal.raise_signal(signal.SIGINT)
        os.replace(source, target)

    monkeypatch.setattr("mentor_pyg._util.file_sets.os.rename", rename)
    with pytest.raises(KeyboardInterrupt):
        write_together(dict.fromkeys(paths, whole("new")))
    assert contents(tmp_path) == dict.fromkeys(("a.txt", "b.txt", "new/c.txt"), "new")


def test_targets_are_checked_before(paths, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(paths[0])
    for bad, message in (
        (tmp_path / "folder", "folder: is a folder; expected a file"),
        (tmp_path / "link", "link: is the same file as .*a.txt; expected two files"),
        (paths[0] / "x", "a.txt: can't be written to; expected a writable folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_targets([*paths, bad])
    check_targets(paths)
    assert not (tmp_path / "new").exists()
