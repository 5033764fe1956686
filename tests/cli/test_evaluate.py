import csv
import io
import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from mentor_pyg import evaluate
from mentor_pyg.analysis import RunEvaluation, aggregate, evaluate_runs
from mentor_pyg.cli.main import main
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs import run as runs
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import BEST, load_run
from mentor_pyg.runs.weights import load_weights
from mentor_pyg.typing import INTERACTS

QUICK = ["--resamples", "50", "--quiet", "--device", "cpu"]


def write_table(folder, seed=0):
    """The tiny dataset, its users named by letters."""
    store = SyntheticDataset.tiny(seed)[0][INTERACTS]
    lines = ["userID\titemID\tx_label"]
    names = ("edge_index", "val_edge_label_index", "test_edge_label_index")
    for label, name in enumerate(names):
        lines += [f"user_{user}\t{item}\t{label}" for user, item in store[name].t().tolist()]
    folder.mkdir()
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")
    return folder


def train(folder, out, *changes, seed=0):
    config = load_config("lightgcn", ["train.lr=0.02", *changes], epochs=5, seed=seed)
    runs.train(config, open_source(folder), out, torch.device("cpu"), progress=False)
    return str(out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs by name: two seeds, another model of one layer, one of other data."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENTOR_PYG_CACHE", str(root / "cache"))
        toy, other = write_table(root / "toy"), write_table(root / "other", seed=1)
        return {
            "a0": train(toy, root / "a0"),
            "a1": train(toy, root / "a1", seed=1),
            "b": train(toy, root / "b", "options.num_layers=1"),
            "other": train(other, root / "other_run"),
        }


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs the command in this process; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        return main(["evaluate", *QUICK, *args]), *capsys.readouterr()

    return run


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("split", ["val", "test"])
def test_metrics_are_those_of_evaluate(trained, run, split):
    code, out, _ = run(trained["a0"], "--split", split, "--ks", "3,7", "--json")
    assert code == 0
    data = json.loads(out)
    loaded = load_run(trained["a0"])
    expected = evaluate(loaded.model, loaded.data, split, (3, 7))
    assert data["split"] == split
    assert data["runs"][0]["metrics"] == expected
    values = {figure["metric"]: figure["value"] for figure in data["figures"]}
    assert values == pytest.approx(expected, abs=1e-6)
    assert expected["recall@7"] > 0


def test_table_of_one_run(trained, run):
    code, out, err = run(trained["a0"], "--metrics", "recall,coverage")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "test split of toy, 60 users, 63 pairs, 95% intervals"
    assert [line.split()[0] for line in lines[3:-1]] == [
        *("recall@10", "recall@20", "coverage@10", "coverage@20")
    ]
    assert lines[-1] == "intervals are over users, of these runs alone"


def test_groups(trained, run):
    args = ["--groups", "user,popularity,cold", "--user-bounds", "5", "--quantiles", "2"]
    code, out, _ = run(trained["a0"], *args, "--json")
    assert code == 0
    figures = json.loads(out)["figures"]
    pairs = {f["grouping"]: {} for f in figures}
    for figure in figures:
        pairs[figure["grouping"]][figure["group"]] = figure["pairs"]
    assert list(pairs["user"]) == ["1 to 5", "6 or more"]
    assert len(pairs["popularity"]) == 2
    total = pairs["all"]["all pairs"]
    assert sum(pairs["user"].values()) == total
    assert sum((pairs["popularity"] | pairs.get("cold", {})).values()) == total
    code, out, _ = run(trained["a0"], *args)
    assert "recall@20 of users by their training pairs" in out


def test_seeds_together_and_the_other_model_against_them(trained, run):
    code, out, _ = run(trained["a0"], trained["a1"], trained["b"], "--json")
    assert code == 0
    data = json.loads(out)
    assert [entry["group"] for entry in data["runs"]] == ["a0 (2 runs)", "a0 (2 runs)", "b"]
    recall = [entry["metrics"]["recall@20"] for entry in data["runs"]]
    first, second = (f for f in data["figures"] if f["metric"] == "recall@20")
    assert first["value"] == pytest.approx(sum(recall[:2]) / 2)
    assert first["std"] == pytest.approx(abs(recall[0] - recall[1]) / 2**0.5)
    assert second["difference"] == pytest.approx(recall[2] - first["value"])
    assert 0 < second["p"] <= 1


def test_python_api_of_the_same(trained):
    runs = evaluate_runs([trained["a0"], trained["b"]], progress=False, groupings=["user"])
    assert all(isinstance(run, RunEvaluation) for run in runs)
    assert [group.name for group in aggregate(runs)] == ["a0", "b"]
    assert runs[0].user_ids[:2] == ["user_0", "user_1"]


@pytest.mark.parametrize(
    ("format", "fragment"),
    [
        ("markdown", "| metric | a0 | b |"),
        ("latex", "hit\\_ratio@10 & "),
        ("html", "<th>metric</th>"),
        ("csv", "grouping,group,users,pairs,run,metric,value"),
        ("json", '"figures": ['),
    ],
)
def test_formats(trained, run, tmp_path, format, fragment):
    code, out, _ = run(trained["a0"], trained["b"], "--format", format)
    assert code == 0
    assert fragment in out
    if format == "csv":
        assert len(list(csv.DictReader(io.StringIO(out)))) == 2 * 14
    if format == "json":
        assert json.loads(out)["dataset"] == "toy"
    code, nothing, _ = run(trained["a0"], trained["b"], "--format", format, "--out", "new/x.txt")
    assert (code, nothing) == (0, "")
    assert (tmp_path / "new" / "x.txt").read_text(encoding="utf-8") == out


def test_per_user_file(trained, run, tmp_path):
    code, _, _ = run(trained["a0"], trained["b"], "--per-user", "users.csv", "--ks", "5")
    assert code == 0
    with open(tmp_path / "users.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 60
    assert {row["user"] for row in rows} == {f"user_{i}" for i in range(60)}
    loaded = load_run(trained["b"])
    expected = evaluate(loaded.model, loaded.data, "test", (5,))["ndcg@5"]
    of_run = [float(row["ndcg@5"]) for row in rows if row["run"] == trained["b"]]
    assert sum(of_run) / 60 == pytest.approx(expected, abs=1e-6)


def test_equal_seeds_give_equal_output(trained, run):
    args = [trained["a0"], trained["b"], "--json"]
    outputs = [run(*args, "--seed", seed)[1] for seed in ("1", "1", "2")]
    assert outputs[0] == outputs[1] != outputs[2].replace('"seed": 2', '"seed": 1')


@pytest.mark.parametrize(
    ("args", "fragments"),
    [
        (["nowhere"], ["nowhere/best.safetensors: not found"]),
        (["{a0}", "{a0}/../a0"], ["is named twice"]),
        (["{a0}", "{other}"], ["other_run: was trained on other", "a0 on toy"]),
        (["{a0}", "--data", "{data}"], ["holds other data"]),
        (["{a0}", "--groups", "user,age"], ["groups 'age' are unknown"]),
        (["{a0}", "--groups", "user", "--user-bounds", "4,x"], ["--user-bounds: is '4,x'"]),
        (["{a0}", "--groups", "user", "--user-bounds", "6,4"], ["bounds of user groups [6, 4]"]),
        (["{a0}", "--groups", "popularity", "--quantiles", "1"], ["1 groups of items"]),
        (["{a0}", "--ks", "ten"], ["--ks: is 'ten'"]),
        (["{a0}", "--ks", ""], ["ks: is []; expected a list of different integers"]),
        (["{a0}", "--ks", "5,5"], ["ks: is [5, 5]; expected a list of different integers"]),
        (["{a0}", "--ks", "41"], ["lists of length [41]"]),
        (["{a0}", "--metrics", "auc"], ["metric 'auc' is unknown"]),
        (["{a0}", "--resamples", "0"], ["num_resamples: is 0; expected at least 1"]),
        (
            ["{a0}", "--confidence", "95"],
            ["confidence: is 95.0; expected more than 0 and less"],
        ),
        (["{a0}", "--seed", "-1"], ["seed: is -1; expected 0 to"]),
        (["{a0}", "--device", "abacus"], ["--device abacus"]),
        (["{a0}", "--out", "x.csv", "--per-user", "./x.csv"], ["is the same file as x.csv"]),
        (["{a0}", "--out", "x.csv", "--safe-csv"], ["--safe-csv: there is no --per-user"]),
        (["{a0}", "--out", "."], [".: is a folder"]),
        (["{a0}", "--out", "/dev/null/x"], ["/dev/null: can't be written to"]),
    ],
    ids=str,
)
def test_mistakes(trained, run, tmp_path, args, fragments):
    places = trained | {"data": str(tmp_path.parent / "unused")}
    if "{data}" in args:
        places["data"] = write_table(tmp_path / "moved", seed=1)
    before = files_in(tmp_path)
    outputs = [] if "--out" in args else ["--out", "out.txt", "--per-user", "users.csv"]
    code, out, err = run(*(arg.format(**places) for arg in args), *outputs)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for fragment in (*fragments, "; expected "):
        assert fragment in err
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("option", ["--split=train", "--format=pdf", "--test=z"])
def test_choices(trained, run, option):
    with pytest.raises(SystemExit) as error:
        run(trained["a0"], option)
    assert error.value.code == 2


@pytest.mark.parametrize("damage", ["cut", "garbage", "not a run"])
def test_damaged_runs(trained, run, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(trained["a0"], folder)
    best = folder / BEST
    if damage == "cut":
        best.write_bytes(best.read_bytes()[:1000])
    elif damage == "garbage":
        best.write_bytes(b"no weights")
    else:
        save_file(load_weights(best).state, best)
    code, _, err = run(trained["b"], "damaged")
    assert code == 2
    assert "damaged/best.safetensors: " in err
    assert "; expected " in err
