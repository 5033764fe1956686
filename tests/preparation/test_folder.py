import ctypes
import errno
import json
import os
import signal
import sys
import tempfile
import warnings
from itertools import count
from pathlib import Path

import pytest

from mentor_pyg import InputError
from mentor_pyg._util.files import write_text
from mentor_pyg._util.formats import label
from mentor_pyg._util.temporary import TEMPORARY
from mentor_pyg.preparation.folder import PREPARATION, new_folder


def write_result(folder, name):
    """The files of a preparation, all empty but its report."""
    for file in (f"{name}.inter", "user_ids.txt", "item_ids.txt", "x_feat.npy", "x_mask.npy"):
        (folder / file).touch()
    report = {**label(PREPARATION), "name": name, "widths": {"x": 3}}
    (folder / "preparation.json").write_text(json.dumps(report))


def test_appears_as_a_whole(tmp_path):
    with new_folder(tmp_path / "a" / "out") as folder:
        (folder / "x.inter").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    assert (tmp_path / "a" / "out" / "x.inter").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_nothing_is_left_by_a_failure(tmp_path, error):
    def write_and_fail():
        with new_folder(tmp_path / "out") as folder:
            (folder / "x.inter").write_text("x")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert not list(tmp_path.iterdir())


def test_an_earlier_result_stays_until_the_new_one_is_complete(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_result(out, "old")
    with pytest.raises(ValueError, match="broken"), new_folder(out, force=True):
        raise ValueError("broken")
    assert len(list(out.iterdir())) == 6
    with new_folder(out, force=True) as folder:
        (folder / "new.inter").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new.inter"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "x.inter").write_text("x")
    assert (tmp_path / "out" / "x.inter").exists()


@pytest.mark.parametrize(
    ("name", "force", "fragment"),
    [("a.inter", False, "isn't empty"), ("a.inter", True, "a.inter, which no preparation wrote")],
)
def test_files_of_the_user_are_kept(tmp_path, name, force, fragment):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=fragment), new_folder(tmp_path, force):
        pytest.fail("the block was entered")
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["mine.inter", "clip_feat.npy", "audio_mask.npy", "thesis.tex"])
def test_files_added_to_an_earlier_result_are_kept(tmp_path, name):
    write_result(tmp_path, "old")
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"{name}, which no"), new_folder(tmp_path, force=True):
        pytest.fail("the block was entered")
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("report", ["", "[]", '{"name": "old"}', '{"name": "old", "widths": 3}'])
def test_a_report_of_something_else(tmp_path, report):
    write_result(tmp_path, "old")
    (tmp_path / "preparation.json").write_text(report)
    with pytest.raises(InputError, match="which no preparation wrote"), new_folder(tmp_path, True):
        pytest.fail("the block was entered")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="isn't a folder"), new_folder(tmp_path / "out", True):
        pytest.fail("the block was entered")


def fill(folder, name, text):
    """New files of a preparation, with a text by which to tell them."""
    write_result(folder, name)
    (folder / f"{name}.inter").write_text(text)


def test_a_folder_that_is_there_stays_the_same_folder(tmp_path, monkeypatch):
    """As that in which the shell is, or a mount point."""
    for out in (Path("."), tmp_path / "link"):
        folder = tmp_path / f"of {out.name}"
        folder.mkdir()
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(folder)
        number = os.stat(folder).st_ino
        for text in ("first", "second"):
            with new_folder(out, force=text == "second") as temporary:
                fill(temporary, "toy", text)
            assert Path("toy.inter").read_text() == text
        assert os.stat(folder).st_ino == number
        assert len(os.listdir()) == 6


@pytest.fixture
def nobody():
    """Root, to whom every folder is open, becomes somebody else."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield
    if is_root:
        os.seteuid(0)


def test_a_folder_in_one_that_cannot_be_written_to(request):
    with tempfile.TemporaryDirectory() as parent:  # to which, unlike pytest's, others have access
        out = Path(parent) / "ours"
        out.mkdir()
        out.chmod(0o777)
        Path(parent).chmod(0o555)
        request.getfixturevalue("nobody")
        with new_folder(out) as folder:
            (folder / "x.inter").write_text("x")
        assert os.listdir(out) == ["x.inter"]
        expected = pytest.raises(InputError, match="can't be written to")
        with expected, new_folder(Path(parent) / "new"):
            pytest.fail("the block was entered")
        if os.getuid() == 0:
            os.seteuid(0)
        Path(parent).chmod(0o755)


def in_a_child(act):
    """Runs something in a fork of this process, which it may change or kill; its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about forks beside threads; these don't compute
        child = os.fork()
    if not child:
        code = 1
        try:
            code = act() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_mount_point(tmp_path):
    (tmp_path / "mnt").mkdir()
    not_allowed = 77

    def act():
        libc = ctypes.CDLL(None)
        own_mounts, recursive_and_private = 0x20000, 0x44000
        if libc.unshare(own_mounts):
            return not_allowed
        libc.mount(b"none", b"/", None, recursive_and_private, None)
        if libc.mount(b"none", bytes(tmp_path / "mnt"), b"tmpfs", 0, None):
            return not_allowed
        with new_folder(tmp_path / "mnt") as folder:
            (folder / "x.inter").write_text("x")
        assert os.listdir(tmp_path / "mnt") == ["x.inter"]

    code = in_a_child(act)
    if code == not_allowed:
        pytest.skip("only root may mount, and only where it is allowed")
    assert code == 0


def at_rename(number, act):
    """`os.rename` which does something else at a call."""
    calls = count()

    def rename(source, target):
        if next(calls) == number:
            act()
        os.replace(source, target)

    return rename


RENAMES = 12
"""Six old files, and six new ones."""


@pytest.fixture
def old_result(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    fill(out, "toy", "old")
    return out


def replace(out):
    with new_folder(out, force=True) as folder:
        fill(folder, "toy", "new")


@pytest.mark.parametrize("number", range(RENAMES))
def test_an_error_between_renames_leaves_the_old_result(old_result, monkeypatch, number):
    def fail():
        raise OSError(errno.EBUSY, "Device or resource busy")

    before = {path.name: path.read_bytes() for path in old_result.iterdir()}
    monkeypatch.setattr("mentor_pyg._util.file_sets.os.rename", at_rename(number, fail))
    with pytest.raises(InputError, match=r"can't be replaced \(Device or resource busy\)"):
        replace(old_result)
    assert {path.name: path.read_bytes() for path in old_result.iterdir()} == before


@pytest.mark.parametrize("number", [0, 5, 11])
def test_ctrl_c_between_renames_waits(old_result, monkeypatch, number):
    def interrupt():
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("mentor_pyg._util.file_sets.os.rename", at_rename(number, interrupt))
    with pytest.raises(KeyboardInterrupt):
        replace(old_result)
    assert (old_result / "toy.inter").read_text() == "new"
    assert len(os.listdir(old_result)) == 6


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("number", range(RENAMES + 1))
def test_a_kill_between_renames(tmp_path, monkeypatch, old, number):
    """There is never a dataset of old and new files; the next preparation puts the old back."""
    out = tmp_path / "out"
    out.mkdir()
    if old:
        fill(out, "toy", "old")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def act():
        rename = at_rename(number, lambda: os._exit(9))
        monkeypatch.setattr("mentor_pyg._util.file_sets.os.rename", rename)
        replace(out)

    code = in_a_child(act)
    if code == 0:  # it was finished before
        assert (out / "toy.inter").read_text() == "new"
        return
    assert code == 9
    assert number == 0 or not (out / "toy.inter").exists()
    if old:
        with pytest.raises(InputError, match=r"isn't empty \(.*--force"), new_folder(out):
            pytest.fail("the block was entered")
    else:
        with pytest.raises(ValueError, match="broken"), new_folder(out):
            raise ValueError("broken")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    replace(out)
    assert (out / "toy.inter").read_text() == "new"
    assert len(os.listdir(out)) == 6


def test_permissions_are_the_usual_ones(tmp_path):
    with new_folder(tmp_path / "out"):
        pass
    (tmp_path / "usual").mkdir()
    assert os.stat(tmp_path / "out").st_mode == os.stat(tmp_path / "usual").st_mode


def change_report(folder, **changes):
    """Changes keys of the report of a preparation; None removes one."""
    report = folder / "preparation.json"
    content = json.loads(report.read_text()) | changes
    report.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


FIRST_VERSION = dict.fromkeys(("kind", "format", "written_by")) | {
    "users": 3,
    "items": 2,
    "pairs": {"train": 5},
    "settings": {},
}
"""The report of a version before files said of which kind and format they are."""


@pytest.mark.parametrize("changes", [{"format": 1}, {"format": 99}, FIRST_VERSION])
def test_results_of_other_versions_are_replaced(tmp_path, changes):
    write_result(tmp_path, "old")
    change_report(tmp_path, **changes)
    with new_folder(tmp_path, force=True) as folder:
        (folder / "new.inter").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["new.inter"]


def test_results_of_another_kind_are_kept(tmp_path):
    write_result(tmp_path, "old")
    change_report(tmp_path, kind="something else")
    with pytest.raises(InputError, match="which no preparation wrote"), new_folder(tmp_path, True):
        pytest.fail("the block was entered")


def test_what_killed_preparations_left(tmp_path):
    (tmp_path / f".out.01234567{TEMPORARY}").mkdir()
    with new_folder(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_nothing(tmp_path, small_disk):
    refused = pytest.raises(InputError, match=rf"^{tmp_path / 'out' / 'x.inter'}: can't be written")
    with refused, new_folder(tmp_path / "out") as folder, small_disk(10):
        write_text(folder / "x.inter", "x" * 100)
    assert not list(tmp_path.iterdir())
