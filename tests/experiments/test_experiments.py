"""The runs of plans, and what comes of them."""

import json
import signal
import statistics
import subprocess
import sys
import time

import pytest
import yaml
from filelock import FileLock

from mentor_pyg.cli.main import main
from mentor_pyg.experiments import collect, compare, published_figures, read_plan
from mentor_pyg.experiments.folders import run_folder
from mentor_pyg.experiments.runner import jobs_of
from mentor_pyg.nn import models


@pytest.fixture(scope="module")
def finished(tmp_path_factory, two_models):
    """Two models under two seeds, run once for all tests."""
    from mentor_pyg.datasets import SyntheticDataset
    from mentor_pyg.typing import INTERACTS

    folder = tmp_path_factory.mktemp("experiment")
    store = SyntheticDataset.tiny()[0][INTERACTS]
    splits = [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]
    lines = ["userID\titemID\tx_label"]
    for label, pairs in enumerate(splits):
        lines += [f"{u}\t{i}\t{label}" for u, i in pairs.t().tolist()]
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text("\n".join(lines) + "\n")
    content = {"datasets": {"tiktok": str(folder / "toy")}, **two_models}
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content))
    out = folder / "out"
    plan = read_plan(path)
    compare(plan, out, parallel=2, progress=False)
    return path, plan, out


def test_runs_are_there_and_a_second_time_nothing_runs(finished):
    _, plan, out = finished
    assert not any(job.open_steps for job in jobs_of(plan, out))
    folders = [run_folder(out, "tiktok", v, seed) for v in plan.variants for seed in (0, 1)]
    before = [(f / "metrics.json").stat().st_mtime_ns for f in folders]
    compare(plan, out, progress=False)
    assert [(f / "metrics.json").stat().st_mtime_ns for f in folders] == before


def test_table_holds_means_and_deviations(finished):
    _, plan, out = finished
    (comparison,) = collect(plan, out)
    table = comparison.table()
    runs = [
        json.loads((run_folder(out, "tiktok", plan.variants[0], s) / "metrics.json").read_text())
        for s in (0, 1)
    ]
    values = [run["test"]["recall@20"] for run in runs]
    name, count, _, recall, *_ = table.rows[0]
    assert (name, count) == ("LightGCN", 2)
    assert recall.value == pytest.approx(statistics.mean(values))
    assert recall.spread == pytest.approx(statistics.stdev(values))


def test_significance_compares_with_the_reference(finished):
    _, plan, out = finished
    (comparison,) = collect(plan, out)
    findings = comparison.significance(progress=False)
    assert comparison.reference.variant.name == "flat"
    assert list(findings.differences) == ["LightGCN"]
    ours = {r.variant.name: r.mean("test", "recall@20") for r in comparison.results}
    found = findings.differences["LightGCN"]["recall@20"].value
    assert found == pytest.approx(ours["LightGCN"] - ours["flat"], abs=1e-6)


def test_published_figures_stand_beside_ours(finished):
    _, plan, out = finished
    (comparison,) = collect(plan, out)
    table = comparison.published()
    assert [row[4] for row in table.rows] == [0.0653, 0.0033, 0.0282]
    assert {row[0] for row in table.rows} == {"LightGCN"}  # not "flat", which is another model
    _, paper, metric, ours, value, change = table.rows[0]
    assert (paper, metric) == ("MMSSL, Table 2", "recall@20")
    assert change == pytest.approx(ours.value / value - 1)


def test_published_figures_of_papers():
    (mentor,) = published_figures("clothing", "MENTOR")
    assert mentor.metrics["recall@20"] == 0.0989
    assert [p.metrics["recall@20"] for p in published_figures("baby", "MMSSL")] == [0.0971, 0.0962]
    assert published_figures("baby", "Nonesuch") == []
    assert published_figures("baby", "w/o masking") == []
    assert published_figures("baby", "LightGCN", "w/o masking") == []


@pytest.mark.parametrize(
    ("name", "model", "dataset", "figures"),
    [
        ("mentor_ablation", "MENTOR", "baby", {"w/o enhancement": 0.1011, "w/o masking": 0.1037}),
        ("mmssl_ablation", "MMSSL", "tiktok", {"w/o ASL": 0.0801, "r/p GAE": 0.0843}),
    ],
)
def test_published_ablations_bear_the_names_of_their_plans(name, model, dataset, figures):
    variants = [variant.name for variant in read_plan(name, {dataset: "data"}).variants]
    found = {v: published_figures(dataset, model, v) for v in variants}
    recalls = {v: f[0].metrics["recall@20"] for v, f in found.items() if f}
    assert len(recalls) == {"MENTOR": 3, "MMSSL": 4}[model]  # the rows of their Tables 3
    assert recalls.items() >= figures.items()


def test_command_writes_tables_and_plots(finished, capsys):
    path, _, out = finished
    pytest.importorskip("matplotlib")
    assert main(["compare", str(path), "--out", str(out), "--only-report", "--quiet"]) == 0
    assert "LightGCN" in capsys.readouterr().out
    names = {p.name for p in out.iterdir() if p.is_file()}
    suffixes = (".json", ".csv", ".md", ".tex", ".html", "-seconds.png", "-memory.png", "-bars.png")
    assert names == {f"tiktok{suffix}" for suffix in suffixes}
    content = json.loads((out / "tiktok.json").read_text())
    assert len(content["models"]["flat"]["runs"]) == 2


def test_tables_of_another_plan_stay(finished, tmp_path, two_models, capsys):
    """Which the plan would replace that lacks its models; one with more of them may."""
    path, _, out = finished
    args = ["--out", str(out), "--only-report", "--no-tests", "--quiet"]
    assert main(["compare", str(path), *args]) == 0
    before = {p: p.read_bytes() for p in out.iterdir() if p.is_file()}
    smaller, larger = tmp_path / "smaller.yaml", tmp_path / "larger.yaml"
    content = yaml.safe_load(path.read_text())
    smaller.write_text(yaml.safe_dump(content | {"models": ["LightGCN"]}))
    larger.write_text(yaml.safe_dump(content | {"models": [*content["models"], "MFBPR"]}))
    for mode in ([], ["--only-report"]):
        assert main(["compare", str(smaller), "--out", str(out), "--quiet", *mode]) == 2
        err = capsys.readouterr().err
        assert "tiktok.json: has results of 'flat', which the plan lacks; expected a plan" in err
        assert "--force to replace the tables" in err
    assert {p: p.read_bytes() for p in out.iterdir() if p.is_file()} == before
    assert main(["compare", str(larger), *args]) == 0
    assert main(["compare", str(smaller), *args, "--force"]) == 0
    assert list(json.loads((out / "tiktok.json").read_text())["models"]) == ["LightGCN"]
    assert main(["compare", str(path), *args]) == 0


def test_failing_runs_are_told_after_the_others(write_plan, tmp_path, capsys):
    entries = [{"name": "wild", "preset": "lightgcn", "set": ["train.lr=1e30"]}, "LightGCN"]
    path = write_plan(models=entries, seeds=[0])
    assert main(["compare", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "wild/seed-0/log.txt: tells of a failure (1 in all): error: epoch 1: loss" in err
    assert (tmp_path / "out" / "toy" / "LightGCN" / "seed-0" / "metrics.json").exists()
    log = (tmp_path / "out" / "toy" / "wild" / "seed-0" / "log.txt").read_text()
    assert "expected a finite number" in log


@pytest.mark.parametrize(
    ("signal_sent", "code"),
    [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_comparison_that_ends_lets_its_runs_save(write_plan, tmp_path, signal_sent, code):
    """Also one that is killed, whose runs see that it is gone."""
    settings = ["train.epochs=100000", "train.patience=100000"]
    path = write_plan(models=["LightGCN"], set=settings)
    command = [sys.executable, "-m", "mentor_pyg", "compare", str(path), "--parallel", "2"]
    command += ["--no-tests", "--out", str(tmp_path / "out")]
    folders = [tmp_path / "out" / "toy" / "LightGCN" / f"seed-{seed}" for seed in (0, 1)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not all((folder / "last.pt").exists() for folder in folders):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal_sent)
        assert process.wait() == code
        assert code < 0 or process.stderr.read().endswith("interrupted\n")
    for folder in folders:
        with FileLock(folder / ".lock"):  # once its run has ended
            assert (folder / "log.txt").read_text().endswith("interrupted\n")
            assert not (folder / "metrics.json").exists()
    states = [(folder / "last.pt").read_bytes() for folder in folders]
    with pytest.MonkeyPatch.context() as patch:
        resumed = {}

        def note(config, source, folder, device, progress, resume, force):
            resumed[folder] = resume

        patch.setattr("mentor_pyg.experiments.runner.train", note)
        patch.setattr("mentor_pyg.experiments.runner.run_summary", str)
        for job in jobs_of(read_plan(path), tmp_path / "out"):
            job.open_steps[0]()
    assert [resumed[folder] for folder in folders] == [True, True]
    assert [(folder / "last.pt").read_bytes() for folder in folders] == states


def test_one_comparison_at_a_time_in_a_folder(write_plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mentor_pyg._util.locks.GRACE", 0)
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".lock"):
        assert main(["compare", str(write_plan()), "--out", str(out), "--quiet"]) == 2
    assert f"error: {out}: is being written by another process" in capsys.readouterr().err
    assert not (out / "toy").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "toy"], "--data toy: names no dataset"),
        (["--set", "train.lr=fast"], "train.lr: is 'fast'"),
        (["--seeds", "a"], "--seeds: is 'a'; expected whole numbers"),
        (["--seeds", "0,0"], "--seeds: 0 is repeated"),
        (["--seeds", "-1"], "--seeds: -1; expected whole numbers"),
        (["--seeds", ""], "--seeds: is ''"),
        (["--out", ""], "--out: is ''"),
        (["--data", "toy=nowhere"], "nowhere: not found; expected a folder"),
        (["--data", "toy=a", "--data", "toy=b"], "--data toy=b: names 'toy' again"),
        (["--data", "../esc=toy"], "datasets: name '../esc'"),
        (["--parallel", "0"], "--parallel: 0"),
        (["--only-report"], "has no finished runs"),
    ],
)
def test_bad_arguments(write_plan, tmp_path, capsys, args, message):
    assert main(["compare", str(write_plan()), "--out", str(tmp_path / "out"), *args]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_quick_comparison_of_every_model(toy_folder, tmp_path, capsys):
    args = ["compare", "baselines", "--data", f"toy={toy_folder}", "--out", str(tmp_path / "out")]
    assert main([*args, "--quick", "--parallel", "2", "--no-tests", "--quiet", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)["toy"]
    trained = [model["runs"][0]["model"] for model in content["models"].values()]
    assert sorted(trained) == sorted(models.classes)
