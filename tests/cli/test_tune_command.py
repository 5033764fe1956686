import json
from pathlib import Path

import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.runs.config import load_config

pytest.importorskip("optuna")

QUICK = ["--preset", "lightgcn", "--epochs", "1", "--set", "train.batch_size=128"]


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("train.lr: [1e-3, 1e-2]\noptions.num_layers: {low: 1, high: 2}\n")
    return str(path)


@pytest.fixture
def tune(toy_folder, tmp_path, space):
    """A function that runs the command; its exit code."""

    def tune(*args):
        given = ["--data", str(toy_folder), "--out", str(tmp_path / "out"), "--space", space]
        return main(["tune", *given, *QUICK, *args])

    return tune


def test_a_search_from_the_command_line(tune, tmp_path, capsys):
    args = ["--trials", "2", "--seeds", "1,2", "--heat-map", "train.lr,options.num_layers"]
    assert tune(*args, "--json", "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    results = json.loads(out)
    assert results["trials"]["complete"] == 2
    assert [run["seed"] for run in results["runs"]] == [1, 2]
    assert (tmp_path / "out" / "heatmap-train.lr-options.num_layers.csv").exists()
    best = load_config(str(tmp_path / "out" / "best.yaml"))
    assert (best.train.epochs, best.train.batch_size, best.train.seed) == (1, 128, 1)
    assert tune(*args) == 0
    out, err = capsys.readouterr()
    assert f"best: trial {results['best']['trial']}" in out
    assert "written to" in out
    assert "trial    0" not in err  # nothing is tried again


def test_a_grid_from_the_command_line(tune, capsys):
    assert tune("--sampler", "grid", "--no-prune", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["trials"]["complete"] == 4
    assert all(f"trial    {number}  recall@20" in err for number in range(4))


def test_the_space_is_that_of_the_model(toy_folder, tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: bm3\n")
    for preset, space in (
        ("bm3", "bm3"),
        (str(mine), "bm3"),
        ("paper", "mentor"),
        ("default", "default"),
    ):
        args = ["--preset", preset, "--epochs", "1", "--trials", "1", "--search-only"]
        out = ["--out", str(tmp_path / f"out-{Path(preset).stem}"), "--set", "graph.k=5"]
        assert main(["tune", "--data", str(toy_folder), *args, *out, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["space"] == space


def test_a_model_without_a_space_needs_one_by_name(toy_folder, monkeypatch, capsys):
    monkeypatch.setattr("mentor_pyg.tuning.search.space_names", lambda: ["mentor"])
    assert main(["tune", "--data", str(toy_folder), "--preset", "lightgcn"]) == 2
    err = capsys.readouterr().err
    assert "preset 'lightgcn' has no search space of its own; expected --space" in err


def test_a_refused_value_fails_its_trial_and_the_search_goes_on(tune, space, capsys):
    Path(space).write_text("graph.k: [40, 5]\ncontent.missing: [{sound: 0.1}, {visual: 0.1}]\n")
    assert tune("--sampler", "grid", "--search-only", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["trials"] == {"complete": 1, "pruned": 0, "failed": 3}
    assert "failed (modality 'textual': k = 40 neighbours can't be found" in err
    assert "failed (content.sound: the data has no such modality" in err


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--seeds", "1,x"], "--seeds: is '1,x'; expected whole numbers"),
        (["--seeds", "-1"], "seeds: -1; expected whole numbers"),
        (["--seeds", "0,-1"], "seeds: -1; expected whole numbers"),
        (["--seeds", "1,1"], "seeds: 1 is repeated"),
        (["--seeds", ""], "--seeds: is ''"),
        (["--out", ""], "--out: is ''"),
        (["--data", ""], "--data: is ''"),
        (["--prune-after", "-1"], "prune_after: -1; expected 0 or more"),
        (["--heat-map", "train.lr"], "--heat-map: is 'train.lr'; expected two settings"),
        (["--heat-map", "train.lr,graph.k"], "heat map of graph.k: isn't searched"),
        (["--space", "mentro"], "search space 'mentro' is unknown"),
        (["--space", "none.yaml"], "none.yaml: not found"),
        (["--space", "mentor"], "mentor: options.align_weight: unknown option"),
        (["--preset", "nothing"], "preset 'nothing' is unknown"),
    ],
)
def test_mistakes_are_told_in_a_line(tune, tmp_path, capsys, args, found):
    assert tune(*args, "--quiet") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert found in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_with_130_and_the_search_goes_on(tune, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mentor_pyg.tuning.objective.fit", interrupt)
        assert tune("--trials", "1") == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert tune("--trials", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["trials"]["complete"] == 1
