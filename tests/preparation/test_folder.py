import json
import os

import pytest

from mentor_pyg import InputError
from mentor_pyg.files import TEMPORARY, write_text
from mentor_pyg.formats import label
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


def test_permissions_are_the_usual_ones(tmp_path):
    with new_folder(tmp_path / "out"):
        pass
    (tmp_path / "usual").mkdir()
    assert os.stat(tmp_path / "out").st_mode == os.stat(tmp_path / "usual").st_mode


@pytest.mark.parametrize("version", [{"format": 2}, {"kind": "something else"}])
def test_results_of_other_versions_are_kept(tmp_path, version):
    write_result(tmp_path, "old")
    report = tmp_path / "preparation.json"
    report.write_text(json.dumps(json.loads(report.read_text()) | version))
    with pytest.raises(InputError, match="which no preparation wrote"), new_folder(tmp_path, True):
        pytest.fail("the block was entered")


def test_what_killed_preparations_left(tmp_path):
    """One was killed at work, another one between taking the old result away and its end."""
    out = tmp_path / "out"
    for token in ("01234567", "89abcdef"):
        (tmp_path / f".out.{token}{TEMPORARY}").mkdir()
    old = tmp_path / f".out.89abcdef{TEMPORARY}" / "old"
    old.mkdir()
    write_result(old, "old")
    with pytest.raises(InputError, match="isn't empty"), new_folder(out):
        pytest.fail("the block was entered")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "old.inter").exists()


def test_a_full_disk_leaves_nothing(tmp_path, small_disk):
    refused = pytest.raises(InputError, match=rf"^{tmp_path / 'out' / 'x.inter'}: can't be written")
    with refused, new_folder(tmp_path / "out") as folder, small_disk(10):
        write_text(folder / "x.inter", "x" * 100)
    assert not list(tmp_path.iterdir())
