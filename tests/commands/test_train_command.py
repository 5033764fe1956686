"""Arguments of ``train``, and what ``info`` says of its runs."""

import json

import pytest

from mentor_pyg.cli import main
from mentor_pyg.commands import integers
from mentor_pyg.errors import InputError
from mentor_pyg.run_files import METRICS

QUICK = ["--preset", "lightgcn", "--epochs", "1", "--quiet"]


@pytest.fixture
def finished(toy_folder, tmp_path):
    out = tmp_path / "out"
    assert main(["train", "--data", str(toy_folder), "--out", str(out), *QUICK]) == 0
    return out


def test_a_folder_may_be_used_again(finished, toy_folder, capsys):
    args = ["train", "--data", str(toy_folder), "--out", str(finished), *QUICK]
    assert main([*args, "--seed", "7", "--json"]) == 0
    assert main(["info", str(finished), "--json"]) == 0
    assert '"seed": 7' in capsys.readouterr().out


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
