"""Plans, their runs and what comes of them."""

import json
import signal
import statistics
import subprocess
import sys
import time

import pytest
import yaml

from mentor_pyg import InputError
from mentor_pyg.cli import main
from mentor_pyg.experiments import collect, plan_names, published_figures, read_plan, run_plan
from mentor_pyg.experiments.runner import jobs_of, run_folder
from mentor_pyg.nn import models

MODELS = ["LightGCN", {"name": "flat", "preset": "lightgcn", "set": ["options.num_layers=1"]}]
QUICK = ["train.epochs=2", "train.lr=1e-2", "train.batch_size=128"]


@pytest.fixture
def write_plan(tmp_path, toy_folder):
    def write(**content):
        plan = {
            "datasets": {"toy": str(toy_folder)},
            "seeds": [0, 1],
            "set": QUICK,
            "models": [
                "LightGCN",
                {"name": "flat", "preset": "lightgcn", "set": ["options.num_layers=1"]},
            ],
        }
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan | content))
        return path

    return write


def test_plan_fills_in_what_is_left_out(write_plan):
    plan = read_plan(write_plan())
    assert [e.name for e in plan.entries] == ["LightGCN", "flat"]
    assert plan.entries[0].preset == "lightgcn"
    assert plan.entries[1].changes == (*QUICK, "options.num_layers=1")
    assert (plan.seeds, plan.trials, plan.metrics) == ((0, 1), 0, ("recall@20", "ndcg@20"))


def test_sweep_takes_every_combination(write_plan):
    sweep = {"options.num_layers": [1, 2], "train.lr": [0.1, 0.01, 0.001]}
    plan = read_plan(write_plan(models=["LightGCN"], sweep=sweep))
    assert len(plan.entries) == 6
    assert plan.entries[1].name == "LightGCN num_layers=1, lr=0.01"
    assert plan.entries[1].changes == (*QUICK, "options.num_layers=1", "train.lr=0.01")
    assert plan.entries[1].settings == {"options.num_layers": 1, "train.lr": 0.01}
    assert len({entry.slug for entry in plan.entries}) == 6


@pytest.mark.parametrize("name", plan_names())
def test_plans_of_the_package_are_sound(name, toy_folder):
    assert read_plan(name, {"toy": str(toy_folder)}).entries


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": []}, "unknown key 'model'"),
        ({"datasets": {}}, "names no datasets"),
        ({"models": []}, "names no models"),
        ({"models": ["Nonesuch"]}, "has no preset 'nonesuch'"),
        ({"models": [3]}, "model 3; expected a name"),
        ({"models": [{"name": "LightGCN", "sets": []}]}, "unknown key 'sets'"),
        ({"models": ["LightGCN", "LightGCN"]}, "'LightGCN' is there twice"),
        ({"seeds": "0"}, "seeds are '0'"),
        ({"seeds": []}, "seeds are []"),
        ({"set": "train.lr=1"}, "set is 'train.lr=1'"),
        ({"set": ["train.speed=1"]}, "train.speed: unknown option"),
        ({"reference": "MENTOR"}, "reference 'MENTOR' isn't among the models"),
    ],
)
def test_bad_plans(write_plan, content, message):
    with pytest.raises(InputError) as error:
        read_plan(write_plan(**content))
    assert message in str(error.value)


def test_plans_that_are_no_yaml_or_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="not found"):
        read_plan(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="plan 'none' is unknown"):
        read_plan("none")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="holds \\[1\\]"):
        read_plan(tmp_path / "list.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
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
    content = {
        "datasets": {"tiktok": str(folder / "toy")},
        "seeds": [0, 1],
        "set": QUICK,
        "models": [
            "LightGCN",
            {"name": "flat", "preset": "lightgcn", "set": ["options.num_layers=1"]},
        ],
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content))
    out = folder / "out"
    plan = read_plan(path)
    run_plan(plan, out, parallel=2, progress=False)
    return path, plan, out


def test_runs_are_there_and_a_second_time_nothing_runs(finished):
    _, plan, out = finished
    assert not any(job.open_steps for job in jobs_of(plan, out))
    folders = [run_folder(out, "tiktok", entry, seed) for entry in plan.entries for seed in (0, 1)]
    before = [(f / "metrics.json").stat().st_mtime_ns for f in folders]
    run_plan(plan, out, progress=False)
    assert [(f / "metrics.json").stat().st_mtime_ns for f in folders] == before


def test_table_holds_means_and_deviations(finished):
    _, plan, out = finished
    (comparison,) = collect(plan, out)
    table = comparison.table()
    runs = [
        json.loads((run_folder(out, "tiktok", plan.entries[0], s) / "metrics.json").read_text())
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
    assert comparison.reference.entry.name == "flat"
    assert list(findings.differences) == ["LightGCN"]
    ours = {r.entry.name: r.mean("test", "recall@20") for r in comparison.results}
    found = findings.differences["LightGCN"]["recall@20"].comparison.difference
    assert found == pytest.approx(ours["LightGCN"] - ours["flat"], abs=1e-6)


def test_published_figures_stand_beside_ours(finished):
    _, plan, out = finished
    (comparison,) = collect(plan, out)
    table = comparison.published()
    assert [row[4] for row in table.rows[:3]] == [0.0653, 0.0033, 0.0282]
    _, paper, metric, ours, value, change = table.rows[0]
    assert (paper, metric) == ("MMSSL, Table 2", "recall@20")
    assert change == pytest.approx(ours.value / value - 1)


def test_published_figures_of_papers():
    (mentor,) = published_figures("clothing", "MENTOR")
    assert mentor.metrics["recall@20"] == 0.0989
    assert [p.metrics["recall@20"] for p in published_figures("baby", "MMSSL")] == [0.0971, 0.0962]
    assert published_figures("baby", "Nonesuch") == []


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


def test_failing_runs_are_told_after_the_others(write_plan, tmp_path, capsys):
    entries = [{"name": "wild", "preset": "lightgcn", "set": ["train.lr=1e30"]}, "LightGCN"]
    path = write_plan(models=entries, seeds=[0])
    assert main(["compare", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "wild/seed-0/log.txt: tells of a failure" in capsys.readouterr().err
    assert (tmp_path / "out" / "toy" / "LightGCN" / "seed-0" / "metrics.json").exists()
    log = (tmp_path / "out" / "toy" / "wild" / "seed-0" / "log.txt").read_text()
    assert "expected a finite number" in log


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_comparison_saves_its_runs_and_ends_with_130(write_plan, tmp_path, signal_sent):
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
        assert process.wait(30) == 130
        assert process.stderr.read().endswith("interrupted\n")
    for folder in folders:
        assert (folder / "log.txt").read_text().endswith("interrupted\n")
        assert not (folder / "metrics.json").exists()
    plan = read_plan(path)
    assert [job.open_steps[0].command[:2] for job in jobs_of(plan, tmp_path / "out")] == [
        ("train", "--resume")
    ] * 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "toy"], "--data toy: names no dataset"),
        (["--seeds", "a"], "--seeds a: isn't a list"),
        (["--parallel", "0"], "--parallel: 0"),
        (["--only-report"], "has no finished runs"),
    ],
)
def test_bad_arguments(write_plan, tmp_path, capsys, args, message):
    assert main(["compare", str(write_plan()), "--out", str(tmp_path / "out"), *args]) == 2
    assert message in capsys.readouterr().err


def test_quick_comparison_of_every_model(toy_folder, tmp_path, capsys):
    args = ["compare", "baselines", "--data", f"toy={toy_folder}", "--out", str(tmp_path / "out")]
    assert main([*args, "--quick", "--parallel", "2", "--no-tests", "--quiet", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)["toy"]
    trained = [model["runs"][0]["model"] for model in content["models"].values()]
    assert sorted(trained) == sorted(models.classes)
