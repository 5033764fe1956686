"""One writer at a time in a folder."""

import errno
import os
import threading

import pytest
from filelock import FileLock

from mentor_pyg import InputError
from mentor_pyg._util.locks import sole_writer


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr("mentor_pyg._util.locks.GRACE", 0)


def error_of_another_thread(folder):
    errors = []

    def write():
        try:
            with sole_writer(folder):
                pass
        except InputError as error:
            errors.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    return "".join(errors)


def test_others_are_kept_out_and_told_whom_they_wait_for(tmp_path):
    folder = tmp_path / "a" / "run"
    with sole_writer(folder):
        with sole_writer(folder):  # whoever has it may take it again
            pass
        message = error_of_another_thread(folder)
        assert message.startswith(f"{folder}: is being written by process {os.getpid()} on ")
        (folder / "result").write_text("1")
    assert [path.name for path in folder.iterdir()] == ["result"]
    assert error_of_another_thread(folder) == ""


def test_files_that_a_killed_process_left_mean_nothing(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".lock-owner").write_text("process 1 on elsewhere")
    with sole_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_an_owner_that_is_not_known(tmp_path):
    expected = pytest.raises(InputError, match="is being written by another process; expected")
    with FileLock(tmp_path / ".lock"), expected, sole_writer(tmp_path):
        pytest.fail("the block was entered")


def test_folders_made_for_nothing_vanish(tmp_path):
    with pytest.raises(ValueError, match="broken"), sole_writer(tmp_path / "a" / "b"):
        raise ValueError("broken")
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("mentor_pyg._util.locks.FileLock.acquire", refuse)
    with sole_writer(tmp_path):
        (tmp_path / "result").write_text("1")
    assert "can't be locked on this file system" in caplog.text
