import errno
import multiprocessing
import os
import time

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg._util.files import (
    atomic_path,
    check_file,
    check_folder,
    naming,
    write_text,
)
from mentor_pyg._util.json_files import read_json, write_json
from mentor_pyg._util.temporary import TEMPORARY, temporary_beside


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_with_the_usual_permissions(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "é")
    assert path.read_text(encoding="utf-8") == "é"
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert names(path.parent) == ["a.txt"]


def test_a_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_and_fail():
        with atomic_path(path) as temporary:
            temporary.write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("sync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *args: (calls.append("replace"), replace(*args)))
    write_text(tmp_path / "a", "x")
    assert calls == ["sync", "replace", "sync"]  # of the file, then of the folder


WRITERS = {
    "text": lambda path: write_text(path, "x" * 10**6),
    "JSON": lambda path: write_json(path, ["x" * 10**6]),
    "array": lambda path: save_array(path),
}


def save_array(path):
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.zeros(10**6))


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path, small_disk, write):
    path = tmp_path / "a"
    path.write_text("old")
    with small_disk(10**5), pytest.raises(InputError, match=rf"^{path}: can't be written \(.*\); "):
        write(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("other: not found; expected it"),
        PermissionError(errno.EACCES, "Permission denied", "other"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
    ],
)
def test_errors_of_other_files_keep_their_names(error):
    with pytest.raises(type(error)) as raised, naming("a"):
        raise error
    assert raised.value is error


def test_links_stay_and_devices_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"
    with pytest.raises(InputError, match="/dev/null: is a device; expected a file"):
        write_text("/dev/null", "x")
    with pytest.raises(InputError, match="is a folder; expected a file"):
        write_text(tmp_path, "x")


@pytest.mark.parametrize("length", [190, 255])
def test_long_names_can_be_written(tmp_path, length):
    path = tmp_path / ("x" * length)
    write_text(path, "x")
    assert names(tmp_path) == [path.name]


def hold(path, is_folder, ready):
    with temporary_beside(path, is_folder) as temporary:
        if is_folder:
            (temporary / "part").touch()
        ready.set()
        time.sleep(100)


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, is_folder):
    path = tmp_path / "a"
    others = [f".a.0123456{TEMPORARY}", ".a.01234567", f".b.01234567{TEMPORARY}", "notes"]
    for name in others:
        (tmp_path / name).touch()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(path, is_folder, ready))
    process.start()
    ready.wait()
    write_text(path, "x")
    assert len(names(tmp_path)) == len(others) + 2  # that of the process which lives stays
    process.kill()
    process.join()
    write_text(path, "y")
    assert names(tmp_path) == sorted([*others, "a"])


BAD_JSON = {
    "cut": '{"a": ',
    "not a number": '{"a": NaN}',
    "infinite": '{"a": -Infinity}',
    "too large a fraction": '{"a": 1e999}',
    "too many digits": '{"a": ' + "9" * 5000 + "}",
    "key twice": '{"a": 1, "b": {"c": 1, "c": 2}}',
    "half a pair of surrogates": r'{"a": "\ud800"}',
    "deep": "[" * 10**5 + "]" * 10**5,
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_bad_json_is_refused_with_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_json(path, "numbers")
    message = str(error.value)
    assert message.startswith(f"{path}: isn't valid JSON (")
    assert message.endswith("); expected numbers")
    assert "\n" not in message


def test_json_comes_back(tmp_path):
    content = {"a": [1, 0.1, None, "é"], "b": {"c": True}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json", "it") == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert read_json(tmp_path / "a.json", "it") == content


@pytest.mark.parametrize("check", [check_file, check_folder])
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 5000, "a/" * 3000])
def test_names_that_no_file_can_have(tmp_path, check, name):
    """A YAML or JSON file may name another one by any text."""
    with pytest.raises(InputError, match=r"can't be read \(.*\); expected x$") as caught:
        check(tmp_path / name, "x")
    assert len(str(caught.value)) < 1000
