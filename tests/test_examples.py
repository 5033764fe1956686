"""The examples run as a user runs them, on little data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script, *args, code=0):
    command = [sys.executable, "-W", "ignore", str(EXAMPLES / script), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return result.stdout


def test_train_baby(toy_folder, tmp_path):
    out = tmp_path / "out"
    settings = ["--set", "graph.k=5", "--set", "train.lr=1e-2"]
    settings += ["--precision", "bf16"]
    printed = run("train_baby.py", "--data", toy_folder, "--epochs", 2, "--out", out, *settings)
    assert f"written to {out}" in printed
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["epochs_run"] == 2
    assert f"{metrics['test']['recall@20']:.4f}" in printed
    train = yaml.safe_load((out / "config.yaml").read_text())["train"]
    assert (train["precision"], train["compile"]) == ("bf16", False)


@pytest.mark.parametrize(
    ("script", "size"),
    [
        ("reuse_layers.py", ["--users", 300, "--items", 120, "--epochs", 2]),
        ("custom_modality.py", ["--users", 300, "--items", 120, "--epochs", 2]),
    ],
)
def test_other_examples(script, size):
    assert "recall@20" in run(script, *size)


def test_reuse_layers_stays_under_a_hundred_lines():
    assert len((EXAMPLES / "reuse_layers.py").read_text().splitlines()) < 100
