"""From raw files to recommendations by commands alone, killed in between."""

import json
import signal
import subprocess
import sys
import time

import pytest
import yaml

from mentor_pyg.cli.main import main
from mentor_pyg.training.checkpoint import read_checkpoint

TRAIN = ["--epochs", "8", "--set", "graph.k=5", "--set", "train.batch_size=128"]
TRAIN += ["--set", "train.patience=100", "--seed", "3"]


@pytest.fixture
def run(raw_amazon, monkeypatch, capsys):
    """Runs a command in the folder above the raw files; what it prints as JSON."""
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(raw_amazon.parent)

    def run(*args):
        assert main([*map(str, args), "--json", "--quiet"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


def kill_in_the_middle_of_an_epoch(out, *args):
    command = [sys.executable, "-W", "ignore", "-m", "mentor_pyg", "train", *args, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while not (out / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def test_the_whole_way(run, raw_amazon):
    folder = raw_amazon.parent
    report = run("prepare", "raw", "--out", "data/toys", "--no-text")
    assert report["users"] == 80
    assert report["coverage"] == {"image": 1.0}

    (folder / "space.yaml").write_text(yaml.safe_dump({"train.lr": [0.001, 0.01, 0.03]}))
    args = ["--data", "data/toys", "--preset", "paper", "--space", "space.yaml", "--trials", 3]
    args += ["--epochs", 2, "--set", "graph.k=5"]
    args += ["--out", "search", "--search-only"]
    search = run("tune", *args)
    assert search["trials"]["complete"] == 3
    best = search["best"]["settings"]["train.lr"]
    assert yaml.safe_load((folder / "search/best.yaml").read_text())["train"]["lr"] == best

    train = ["--data", "data/toys", "--preset", "search/best.yaml", *TRAIN]
    whole = run("train", *train, "--out", "runs/whole")
    out = folder / "runs" / "killed"
    kill_in_the_middle_of_an_epoch(out, *train)
    assert len(read_checkpoint(out / "last.pt")["state"]["result"]["history"]) < 8
    resumed = run("train", "--resume", out)
    for name in ("val", "test", "best_epoch", "epochs_run"):
        assert resumed[name] == whole[name]

    evaluated = run("evaluate", out, "--groups", "user,popularity,cold", "--resamples", 50)
    assert evaluated["runs"][0]["metrics"]["recall@20"] == pytest.approx(
        whole["test"]["recall@20"], abs=1e-6
    )
    lists = run("recommend", out, "--user", "U0", "U7", "--k", 5)
    assert [(r["user"], len(r["items"])) for r in lists["lists"]] == [("U0", 5), ("U7", 5)]
    run("report", out, folder / "runs/whole", "--out", "report.html", "--items", 0)
    page = (folder / "report.html").read_text()
    assert f"{whole['test']['recall@20']:.4f}" in page
