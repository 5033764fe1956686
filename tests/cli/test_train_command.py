"""Arguments of ``train``, and what ``info`` says of its runs."""

import json
import shutil

import pytest
from filelock import FileLock

from mentor_pyg.cli import integers
from mentor_pyg.cli.main import main
from mentor_pyg.errors import InputError
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.files import METRICS

QUICK = ["--preset", "lightgcn", "--epochs", "1", "--quiet"]


@pytest.fixture
def finished(toy_folder, tmp_path):
    out = tmp_path / "out"
    assert main(["train", "--data", str(toy_folder), "--out", str(out), *QUICK]) == 0
    return out


def test_a_run_is_replaced_by_force_alone(finished, toy_folder, capsys):
    args = ["train", "--out", str(finished), *QUICK]
    assert main([*args, "--data", "nowhere", "--seed", "7"]) == 2  # before the data are read
    message = f"error: {finished}: holds a finished run; expected another folder, or --force"
    assert message in capsys.readouterr().err
    assert main([*args, "--data", str(toy_folder), "--seed", "7", "--force", "--json"]) == 0
    capsys.readouterr()
    assert main(["info", str(finished), "--json"]) == 0
    assert '"seed": 7' in capsys.readouterr().out


def test_every_preset_and_seed_has_a_folder_of_its_own(toy_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my preset.yaml").write_text("extends: mfbpr\n")
    train = ["train", "--data", str(toy_folder), "--epochs", "1", "--quiet", "--preset"]
    assert main([*train, "lightgcn"]) == 0
    assert main([*train, "lightgcn", "--seed", "1"]) == 0
    assert main([*train, "my preset.yaml"]) == 0
    names = [path.parent.name for path in tmp_path.glob("runs/toy/*/metrics.json")]
    assert sorted(names) == ["lightgcn-seed0", "lightgcn-seed1", "my-preset-seed0"]
    assert main([*train, "lightgcn"]) == 2
    assert "runs/toy/lightgcn-seed0: holds a finished run" in capsys.readouterr().err


def test_a_folder_that_another_process_writes_to(finished, toy_folder, monkeypatch, capsys):
    monkeypatch.setattr("mentor_pyg._util.locks.GRACE", 0)
    args = ["train", "--data", str(toy_folder), "--out", str(finished), *QUICK]
    with FileLock(finished / ".lock"):
        for given in (["train", "--resume", str(finished)], [*args, "--force"]):
            assert main(given) == 2
            assert f"error: {finished}: is being written by" in capsys.readouterr().err
        assert main(["info", str(finished)]) == 0


def test_resume_refuses_force(finished, capsys):
    assert main(["train", "--resume", str(finished), "--force"]) == 2
    assert "--force: can't be changed by --resume" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("seed", "0"), ("epochs", "0"), ("seed", "3")])
def test_resume_refuses_values_of_zero_too(finished, capsys, name, value):
    assert main(["train", "--resume", str(finished), f"--{name}", value]) == 2
    assert f"--{name}: can't be changed by --resume" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["data", "preset", "out", "resume"])
def test_an_empty_text_is_not_an_option_left_out(toy_folder, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    args = ["train", "--data", str(toy_folder), *QUICK, f"--{name}", ""]
    assert main(args) == 2
    assert f"error: --{name}: is ''" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"popularity": {}}, "popularity has no recall@10"),
        ({"val": {"recall@10": "much"}}, "val recall@10 is 'much'"),
        ({"best_epoch": None}, "best_epoch is None"),
    ],
)
def test_info_of_damaged_results(finished, capsys, change, message):
    path = finished / METRICS
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert main(["info", str(finished)]) == 2
    assert message in capsys.readouterr().err


def test_integers():
    assert integers("--ks", "10, 20,") == [10, 20]
    with pytest.raises(InputError, match="--ks: is '1,x'; expected whole numbers"):
        integers("--ks", "1,x")


def test_init_begins_with_the_weights_of_another_run(finished, toy_folder, tmp_path, capsys):
    train = ["train", "--data", str(toy_folder), *QUICK, "--set", "train.lr=1e-9", "--json"]
    out = tmp_path / "warm"
    assert main([*train, "--init", str(finished), "--out", str(out)]) == 0
    warm = json.loads(capsys.readouterr().out)
    assert warm["val"] == json.loads((finished / METRICS).read_text())["val"]
    assert load_config(str(out / "config.yaml")).init == str(finished)
    shutil.rmtree(finished)  # which is needed no more
    assert main(["train", "--resume", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == warm
    assert main([*train, "--init", str(out), "--out", str(out), "--force"]) == 0
    assert json.loads(capsys.readouterr().out)["val"] == warm["val"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--init", "nowhere"], "best.safetensors: not found"),
        (["--init", ""], "--init: is ''; expected a name"),
        (["--init", "OUT", "--set", "options.hidden_channels=8"], "embedding.user is float32 [60"),
        (["--init", "OUT", "--preset", "ngcf"], "best.safetensors: model lacks "),
        (["--set", "init=3"], "init: is 3; expected the folder of a run"),
    ],
)
def test_weights_that_do_not_fit_are_refused(finished, toy_folder, tmp_path, capsys, args, message):
    args = [str(finished) if arg == "OUT" else arg for arg in args]
    command = ["train", "--data", str(toy_folder), "--out", str(tmp_path / "new"), *QUICK]
    assert main([*command, *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new" / "config.yaml").exists()


def test_init_with_other_data_is_said(finished, write_mmrec, tmp_path, tiny, caplog):
    tiny["item"].x_visual += 1
    other = write_mmrec(tmp_path / "other", tiny)
    args = ["--init", str(finished), "--out", str(tmp_path / "new"), *QUICK]
    assert main(["train", "--data", str(other), *args]) == 0
    assert "was trained on other data" in caplog.text
