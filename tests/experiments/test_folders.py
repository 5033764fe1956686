"""Runs under ``--out`` are shown as those of a plan only if they are."""

import json
import os
import shutil

import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.runs.files import LAST, METRICS

SEARCHED = {"name": "LightGCN", "space": "lightgcnm"}
ONE = {"models": ["LightGCN"], "seeds": [0]}


@pytest.fixture
def compare(tmp_path, write_plan):
    """A function that runs the command on a plan; its exit code."""

    def compare(*args, **content):
        path = write_plan(**{**ONE, **content})
        return main(["compare", str(path), "--out", str(tmp_path / "out"), "--quiet", *args])

    return compare


@pytest.fixture
def finished(compare, tmp_path):
    """The folder of a finished run."""
    assert compare() == 0
    return tmp_path / "out" / "toy" / "LightGCN" / "seed-0"


def trained(folder):
    return (folder / METRICS).stat().st_mtime_ns


@pytest.mark.parametrize("report", [(), ("--only-report",)])
@pytest.mark.parametrize(
    ("args", "content", "message"),
    [
        ((), {"set": ["train.epochs=6"]}, "train.epochs = 2, the plan has 6"),
        (("--quick",), {}, "train.eval_every = 5, the plan has 1"),
        ((), {"models": [{"name": "LightGCN", "preset": "mfbpr"}]}, "model = 'LightGCN', the plan"),
        ((), {"models": [SEARCHED], "trials": 2}, "without a search, the plan has trials: 2"),
    ],
)
def test_runs_of_other_settings_are_refused(
    finished, compare, capsys, report, args, content, message
):
    before = trained(finished)
    assert compare(*report, *args, **content) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {finished}: was trained with")
    assert message in err
    assert err.endswith("; expected the same, or remove the folder\n")
    assert trained(finished) == before


def test_a_removed_folder_is_trained_anew(finished, compare):
    shutil.rmtree(finished)
    assert compare(set=["train.epochs=1"]) == 0
    assert json.loads((finished / METRICS).read_text())["epochs_run"] == 1


@pytest.mark.parametrize("report", [(), ("--only-report",)])
def test_runs_on_other_data_are_refused(finished, compare, write_mmrec, tmp_path, capsys, report):
    data = SyntheticDataset.tiny(seed=5)[0]
    other = write_mmrec(tmp_path / "other", data)
    assert compare(*report, datasets={"toy": str(other)}) == 2
    message = f"data = '{(tmp_path / 'toy').resolve()}', the plan has '{other.resolve()}'"
    assert message in capsys.readouterr().err
    write_mmrec(tmp_path / "toy", data)  # the same folder, with another content
    assert compare(*report) == 2
    assert f"{finished}: was trained with data = " in capsys.readouterr().err


def test_the_same_data_by_other_paths_are_the_same(finished, compare, tmp_path, monkeypatch):
    before = trained(finished)
    monkeypatch.chdir(tmp_path)
    assert compare(datasets={"toy": "toy"}) == 0
    assert compare(datasets={"toy": os.path.join("toy", "..", "toy")}) == 0
    shutil.copytree("toy", "moved")
    assert compare(datasets={"toy": "moved"}) == 0
    assert trained(finished) == before


def test_results_whose_data_are_gone_can_be_shown(finished, compare, capsys):
    assert compare("--only-report", "--no-tests", datasets={"toy": "gone"}) == 0
    assert compare("--no-tests", datasets={"toy": "gone"}) == 2
    assert "gone: not found" in capsys.readouterr().err


def test_results_beside_the_settings_of_another_run_are_refused(finished, compare, capsys):
    path = finished / "config.yaml"
    path.write_text(path.read_text() + "\n")
    assert compare("--only-report") == 2
    assert "config.yaml: does not match metrics.json" in capsys.readouterr().err


def test_seeds_of_the_command_replace_those_of_the_plan(finished, compare, tmp_path):
    assert compare("--seeds", "3", "--no-tests") == 0
    assert sorted(path.name for path in finished.parent.iterdir()) == ["seed-0", "seed-3"]
    (model,) = json.loads((tmp_path / "out" / "toy.json").read_text())["models"].values()
    assert [run["seed"] for run in model["runs"]] == [3]


@pytest.mark.parametrize("content", ['{"models": []}', '{"a": 1}', "[1]"])
def test_tables_that_no_comparison_wrote_are_kept(compare, tmp_path, capsys, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "toy.json").write_text(content)
    assert compare() == 2
    assert "toy.json: holds no models; expected results of a comparison" in capsys.readouterr().err
    assert (tmp_path / "out" / "toy.json").read_text() == content


def test_metrics_that_runs_lack_are_named(finished, compare, capsys):
    path = finished / METRICS
    metrics = json.loads(path.read_text())
    del metrics["test"]["recall@20"]
    path.write_text(json.dumps(metrics))
    assert compare("--only-report", "--no-tests") == 2
    assert "metrics.json: has no recall@20; expected one of " in capsys.readouterr().err


def test_interrupted_runs_go_on_with_equal_settings_alone(finished, compare, capsys):
    (finished / METRICS).unlink()
    assert (finished / LAST).exists()
    assert compare(set=["train.epochs=6"]) == 2
    assert f"{finished}: was trained with" in capsys.readouterr().err
    assert not (finished / METRICS).exists()
    assert compare() == 0
    assert (finished / METRICS).exists()


def test_a_plan_with_trials(compare, tmp_path, capsys):
    pytest.importorskip("optuna")
    space = tmp_path / "space.yaml"
    space.write_text("train.lr: [1e-3, 3e-2]\noptions.num_layers: {low: 1, high: 4}\n")
    plan = {"models": [{"name": "LightGCN", "space": str(space)}], "trials": 2}
    assert compare(**plan) == 0
    assert compare(**plan) == 0  # what the search found isn't taken for a difference
    folder = tmp_path / "out" / "toy" / "LightGCN"
    before = trained(folder / "seed-0")
    capsys.readouterr()

    assert compare(**plan, set=["train.epochs=3"]) == 2
    assert f"{folder / 'search'}: was searched with" in capsys.readouterr().err
    assert compare(**{**plan, "trials": 3}) == 2
    assert "was searched with trials = 2, the plan has 3" in capsys.readouterr().err
    space.write_text("options.reg_weight: [1e-3, 1e-2]\n")
    assert compare(**plan) == 2
    assert f"{folder / 'search'}: was searched with" in capsys.readouterr().err
    assert trained(folder / "seed-0") == before


def test_the_search_comes_again_before_open_runs(compare, tmp_path, capsys):
    """It is done at once, and refuses to be another search than it was."""
    pytest.importorskip("optuna")
    space = tmp_path / "space.yaml"
    space.write_text("options.num_layers: [1, 2]\n")
    plan = {"models": [{"name": "LightGCN", "space": str(space)}], "trials": 1}
    assert compare(**plan) == 0
    folder = tmp_path / "out" / "toy" / "LightGCN" / "seed-0"
    shutil.rmtree(folder)
    space.write_text("options.num_layers: [1, 2, 3]\n")
    assert compare(**plan) == 2
    assert "was begun with space.options.num_layers = [1, 2]" in capsys.readouterr().err
    space.write_text("options.num_layers: [1, 2]\n")
    assert compare(**plan) == 0
    assert (folder / METRICS).exists()
