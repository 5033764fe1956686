"""Figures in README and the documentation are those of the records in docs/results."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mentor_pyg import InputError

ROOT = Path(__file__).parent.parent


def script(name):
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


@pytest.fixture(scope="module")
def tables():
    return script("tables")


@pytest.fixture(scope="module")
def accuracy():
    return script("accuracy")


def model(recall, ndcg, std=None, **changes):
    spread = {
        "recall@20": {"mean": recall, "std": std},
        "ndcg@20": {"mean": ndcg, "std": std},
    }
    plain = {"content": False, "val": spread, "test": spread, "p": {}, "published": {}}
    return plain | {"epochs": 10.0, "seconds": 61.4} | changes


@pytest.fixture
def record():
    machine = {"processor": "CPU", "cores": 2, "python": "3.11", "torch": "2"}
    paper = {"A paper": {"recall@20": 0.1, "ndcg@20": 0.05}}
    return {
        "commit": "0123456789abcdef",
        "date": "2026-01-02",
        "machine": machine | {"torch_geometric": "2.8"},
        "seeds": [0, 1],
        "popularity": {"recall@20": 0.01, "ndcg@20": 0.005},
        "models": {
            "A": model(0.11, 0.06, published=paper),
            "B": model(0.12, 0.05, 0.002, content=True, p={"recall@20": 0.0304}),
        },
    }


def test_documents_show_what_the_records_hold(tables):
    assert tables.stale() == []


def test_a_changed_figure_is_noticed(tables, record, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(record))
    empty = "a\n<!-- figures: x columns=test,p -->\n<!-- end of figures -->\nb\n"
    text = tables.filled(empty, "page", tmp_path)
    assert "| B | **0.1200 ± 0.0020** | 0.0500 ± 0.0020 | 0.030 |\n| A |" in text
    assert "| A | 0.1100 | **0.0600** | - |" in text
    assert "| *ranking by popularity* | 0.0100 | 0.0050 |  |" in text
    assert "Commit `0123456789`, 2026-01-02, 2 seeds, CPU (2 cores)" in text
    assert text.startswith("a\n")
    assert text.endswith("-->\nb\n")
    assert tables.filled(text, "page", tmp_path) == text
    assert tables.filled(text.replace("0.1100", "0.1300"), "page", tmp_path) == text


def test_chosen_models_and_columns(tables, record):
    shown = tables.table(record, ["content", "published", "to_published", "time"], ["A"])
    assert shown.splitlines()[0] == (
        "| model | content | published | Recall@20 to the published one | epochs | training |"
    )
    assert shown.splitlines()[2:] == ["| A | - | 0.1000 / 0.0500 | +10.0% | 10 | 61 s |"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("y columns=test", "page: shows figures of y.json"),
        ("x columns=tset", "page: column 'tset'"),
    ],
)
def test_a_wrong_block_is_refused(tables, record, tmp_path, block, message):
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        tables.filled(f"<!-- figures: {block} -->\n<!-- end of figures -->", "page", tmp_path)


@pytest.mark.parametrize("name", ["cold_start", "machine", "report"])
def test_scripts_of_other_figures_import_what_there_is(name):
    script(name)


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_records_are_of_one_clean_commit(accuracy, tmp_path):
    with pytest.raises(InputError, match="expected a git checkout"):
        accuracy.clean_commit(tmp_path)
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    with pytest.raises(InputError, match=r"has changes \(\?\? code.py\); expected a clean"):
        accuracy.clean_commit(tmp_path)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = accuracy.clean_commit(tmp_path)
    assert len(commit) == 40
    accuracy.check_commit(tmp_path / "out", commit)
    accuracy.check_commit(tmp_path / "out", commit)
    with pytest.raises(InputError, match=f"are of commit {commit[:10]}; expected abc"):
        accuracy.check_commit(tmp_path / "out", "abc")


def test_every_plan_can_be_read(accuracy, tmp_path):
    for name, datasets in accuracy.PLANS.items():
        for dataset in datasets:
            (tmp_path / dataset).mkdir(exist_ok=True)
        assert list(accuracy.opened(name, tmp_path).datasets) == datasets
    with pytest.raises(InputError, match="tiktok: not found; expected a dataset"):
        accuracy.opened("tiktok", tmp_path / "elsewhere")


def test_a_record_holds_means_over_seeds(accuracy, tmp_path, toy_folder):
    plan = accuracy.read_plan(
        write_plan(tmp_path, "models: [LightGCN, MFBPR]\nseeds: [0, 1]\nset: [train.epochs=1]"),
        {"toys": str(toy_folder)},
    )
    (comparison,) = accuracy.compare(plan, tmp_path / "out", progress=False)
    record = accuracy.record(comparison, comparison.significance(False), "abc")
    found = record["models"]["LightGCN"]
    runs = [
        json.loads(p.read_text()) for p in (tmp_path / "out").glob("toys/LightGCN/*/metrics.json")
    ]
    mean = sum(run["test"]["recall@20"] for run in runs) / 2
    assert found["test"]["recall@20"]["mean"] == pytest.approx(mean)
    assert (found["runs"], found["content"], found["p"]) == (2, False, {})
    assert record["popularity"] == runs[0]["popularity"]
    json.dumps(record)


def write_plan(folder, text):
    path = folder / "plan.yaml"
    path.write_text(text)
    return str(path)
