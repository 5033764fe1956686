import csv
import json

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import load_run, train
from mentor_pyg.training import Callback
from mentor_pyg.training.config import FitResult
from mentor_pyg.tuning.space import SearchSpace
from mentor_pyg.typing import INTERACTS, ITEM

pytest.importorskip("optuna")

from mentor_pyg.tuning import Search, objective, tune
from mentor_pyg.tuning import run as tuning
from mentor_pyg.tuning.objective import PreparedGraphs, ValidationObjective
from mentor_pyg.tuning.run import search_summary

CPU = torch.device("cpu")
QUICK = ("train.epochs=2", "train.batch_size=128", "train.lr=1e-2")
RATES = SearchSpace("rates", {"train.lr": [1e-3, 1e-2, 3e-2], "options.num_layers": [1, 2]})
MASKING = {"options.mask_weight": [0.0, 0.1], "options.mask_dropout": [0.1, 0.5]}

pytestmark = pytest.mark.usefixtures("quick_commits")


@pytest.fixture
def source(toy_folder):
    return open_source(toy_folder)


def a_search(space=RATES, **options):
    return Search(**{"preset": "lightgcn", "space": space, "trials": 3, "changes": QUICK} | options)


def run(search, source, out):
    return tune(search, source, out, progress=False)


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_a_search_leaves_its_files_and_the_best_is_trained_again(source, tmp_path):
    out = tmp_path / "out"
    results = run(a_search(), source, out)
    assert sorted(p.name for p in out.iterdir()) == ["best.yaml", "runs", "study.db", "trials.csv"]
    assert json.loads(json.dumps(results)) == results
    head, *rows = read_csv(out / "trials.csv")
    assert head[:3] == ["trial", "state", "recall@20"]
    assert [row[:2] for row in rows] == [[str(i), "complete"] for i in range(3)]
    best = results["best"]
    assert best["value"] == max(float(row[2]) for row in rows)
    assert rows[best["trial"]][2] == str(best["value"])
    assert results["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    (final,) = results["runs"]
    assert final["val"]["recall@20"] == best["value"]
    folder = out / "runs" / f"trial-{best['trial']}-seed-0"
    assert json.loads((folder / "metrics.json").read_text()) == final
    assert load_run(folder).config.train.lr == best["settings"]["train.lr"]


def test_best_yaml_is_a_preset_that_reproduces_the_best_trial(source, tmp_path):
    search = a_search(
        SearchSpace("masking", MASKING), preset="paper", changes=[*QUICK, "graph.k=5"]
    )
    results = run(search, source, tmp_path / "out")
    config = load_config(str(tmp_path / "out" / "best.yaml"))
    assert config == search.configure(results["best"]["settings"])
    metrics = train(config, source, tmp_path / "again", progress=False)
    assert metrics["val"]["recall@20"] == results["best"]["value"]
    assert metrics["test"] == results["runs"][0]["test"]


def test_seeds_train_the_best_again_and_the_first_is_that_of_the_trials(source, tmp_path):
    results = run(a_search(trials=1, seeds=[3, 4]), source, tmp_path / "out")
    assert [run["seed"] for run in results["runs"]] == [3, 4]
    values = [run["val"]["recall@20"] for run in results["runs"]]
    assert values[0] == results["best"]["value"]
    assert load_config(str(tmp_path / "out" / "best.yaml")).train.seed == 3
    text = search_summary(results)
    assert all(
        f"{split}, seed {seed}" in text for split in ("validation", "test") for seed in (3, 4)
    )
    assert f"{results['runs'][1]['test']['ndcg@20']:.4f}" in text
    assert "importance can't be told" in text


def test_trials_depend_on_validation_alone(source):
    data = source.dataset[0]
    pairs = data[INTERACTS].test_edge_label_index
    found = []
    for test_pairs in (pairs, pairs.roll(1, dims=1), pairs[:, :0]):
        data[INTERACTS].test_edge_label_index = test_pairs
        measure = ValidationObjective(a_search(), data, CPU, progress=False)
        config = a_search().configure({})
        assert "test_edge_label_index" not in measure.graphs(config)[INTERACTS]
        found.append(measure({"train.lr": 1e-3}, Callback()).val)
        assert data[INTERACTS].test_edge_label_index is test_pairs
    assert found[0] == found[1] == found[2]


def test_test_is_read_once_and_after_all_trials(source, tmp_path, monkeypatch):
    trained = []

    def note(*args, **kwargs):
        trained.append("trial")
        return fit(*args, **kwargs)

    def note_final(*args, **kwargs):
        trained.append("final")
        return train(*args, **kwargs)

    fit = objective.fit
    monkeypatch.setattr(objective, "fit", note)
    monkeypatch.setattr(tuning, "train", note_final)
    results = run(a_search(), source, tmp_path / "out")
    assert trained == ["trial"] * 3 + ["final"]
    assert run(a_search(), source, tmp_path / "out") == results
    assert len(trained) == 4


def test_an_interrupted_search_goes_on(source, tmp_path, monkeypatch, caplog):
    expected = run(a_search(), source, tmp_path / "whole")
    calls = []

    def interrupt_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    fit, out = objective.fit, tmp_path / "out"
    monkeypatch.setattr(objective, "fit", interrupt_second)
    caplog.set_level("INFO", "mentor_pyg")
    with pytest.raises(KeyboardInterrupt):
        run(a_search(), source, out)
    assert "stopped after 1 trials" in caplog.text
    assert len(read_csv(out / "trials.csv")) == 1 + 1
    found = run(a_search(), source, out)
    assert len(calls) == 1 + 1 + 2
    assert found["best"] == expected["best"]
    assert found["runs"][0]["test"] == expected["runs"][0]["test"]


def test_an_interrupted_final_run_goes_on(source, tmp_path):
    results = run(a_search(trials=1), source, tmp_path / "out")
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    (folder / "metrics.json").unlink()
    history = (folder / "history.csv").read_text()
    again = run(a_search(trials=1), source, tmp_path / "out")
    assert again["runs"][0]["test"] == results["runs"][0]["test"]
    assert (folder / "history.csv").read_text() == history  # with its times: none was run again


def test_a_damaged_final_run_is_told(source, tmp_path):
    run(a_search(trials=1), source, tmp_path / "out")
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    (folder / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: isn't valid JSON"):
        run(a_search(trials=1), source, tmp_path / "out")


def test_more_trials_go_on_from_the_first(source, tmp_path):
    first = run(a_search(trials=1), source, tmp_path / "out")
    second = run(a_search(trials=2), source, tmp_path / "out")
    assert second["trials"]["complete"] == 2
    assert second["best"]["value"] >= first["best"]["value"]
    assert read_csv(tmp_path / "out" / "trials.csv")[1][2] == str(first["best"]["value"])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"preset": "paper"}, "config.preset = 'lightgcn', this search has 'paper'"),
        ({"changes": [*QUICK, "train.epochs=3"]}, "config.train.epochs = 2, this search has 3"),
        ({"changes": [*QUICK, "train.monitor=ndcg@20"]}, "monitor = 'recall@20', .* 'ndcg@20'"),
        ({"space": SearchSpace("other", {"train.lr": [1e-3]})}, "space.train.lr = "),
        ({"seeds": [1]}, "seed = 0, this search has 1"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(source, tmp_path, changes, found):
    search = a_search(trials=1)
    with tuning.Study(
        tmp_path / "study.db",
        search.space,
        "recall@20",
        {
            "data": tuning.data_fingerprint(source.dataset[0]),
            "config": search.configure({}).to_dict(),
        },
    ):
        pass
    with pytest.raises(InputError, match=found):
        run(a_search(trials=1, **changes), source, tmp_path)


def test_other_data_in_the_same_folder_are_refused(source, tiny, write_mmrec, tmp_path):
    run(a_search(trials=1), source, tmp_path / "out")
    tiny[ITEM].x_visual[0, 0] += 1
    other = open_source(write_mmrec(tmp_path / "other", tiny))
    with pytest.raises(InputError, match=r"study.db: was begun with data = "):
        run(a_search(trials=1), other, tmp_path / "out")


def test_a_diverging_trial_fails_and_the_search_goes_on(source, tmp_path):
    space = SearchSpace("far", {"train.lr": [1e-2, 1e30]})
    results = run(a_search(space, sampler="grid", trials=None), source, tmp_path / "out")
    assert results["trials"] == {"complete": 1, "pruned": 0, "failed": 1}
    assert results["best"]["settings"] == {"train.lr": 1e-2}
    reasons = [row[-1] for row in read_csv(tmp_path / "out" / "trials.csv")[1:]]
    assert sum("expected a finite number" in reason for reason in reasons) == 1


def test_a_search_of_which_all_trials_fail(source, tmp_path):
    space = SearchSpace("far", {"train.lr": [1e30, 1e31]})
    with pytest.raises(InputError, match=r"none of 2 trials was completed \(epoch .*finite"):
        run(a_search(space), source, tmp_path / "out")


def test_heat_maps_of_the_paper_if_their_settings_are_searched(source, tmp_path):
    space = SearchSpace("masking", MASKING)
    search = a_search(space, preset="paper", sampler="grid", trials=None)
    search = Search(**{**vars(search), "changes": [*QUICK, "graph.k=5", "train.epochs=1"]})
    run(search, source, tmp_path / "out")
    _, *rows = read_csv(tmp_path / "out" / "trials.csv")
    expected = {(row[6], row[7]): row[2] for row in rows}  # mask_weight, mask_dropout
    name = "heatmap-options.mask_dropout-options.mask_weight.csv"
    head, *lines = read_csv(tmp_path / "out" / name)
    assert head[1:] == ["0.1", "0.5"]
    found = {(line[0], p): value for line in lines for p, value in zip(head[1:], line[1:])}
    assert found == expected
    assert [p.name for p in (tmp_path / "out").glob("heatmap*.csv")] == [name]


def test_heat_maps_of_any_settings(source, tmp_path):
    pair = ("train.lr", "options.num_layers")
    run(a_search(trials=2, heat_maps=[pair]), source, tmp_path / "out")
    assert (tmp_path / "out" / "heatmap-train.lr-options.num_layers.csv").exists()
    with pytest.raises(InputError, match=r"heat map of graph.k: isn't searched"):
        a_search(heat_maps=[("train.lr", "graph.k")]).check()


def test_bad_searches_are_refused_before_anything_is_done(source, tmp_path):
    with pytest.raises(InputError, match="trials: 0; expected 1 or more"):
        run(a_search(trials=0), source, tmp_path / "out")
    with pytest.raises(InputError, match=r"options.mask_weight: unknown option"):
        run(a_search(SearchSpace("masking", MASKING)), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_graphs_are_made_once_for_each_that_differ(source):
    graphs = PreparedGraphs(source.dataset[0], CPU, limit=2)
    config = {k: load_config("paper", [f"graph.k={k}"]) for k in (3, 4, 5)}
    first = graphs(config[3])
    assert (
        graphs(load_config("paper", ["graph.k=3", "train.lr=1", "options.mask_weight=0"])) is first
    )
    second = graphs(config[4])
    assert second is not first
    assert second[ITEM].x_visual.data_ptr() == first[ITEM].x_visual.data_ptr()
    assert graphs(config[3]) is first  # so that the other one is older
    graphs(config[5])
    assert graphs(config[3]) is first
    assert graphs(config[4]) is not second
    assert len(graphs.kept) == 2


def test_trials_on_reused_graphs_equal_those_on_fresh_ones(source):
    search = a_search(
        SearchSpace("masking", MASKING), preset="paper", changes=[*QUICK, "graph.k=5"]
    )
    shared = ValidationObjective(search, source.dataset[0], CPU, progress=False)
    for dropout in (0.1, 0.5):
        fresh = ValidationObjective(search, source.dataset[0], CPU, progress=False)
        results = [
            measure({"options.mask_dropout": dropout}, Callback()) for measure in (shared, fresh)
        ]
        assert isinstance(results[0], FitResult)
        assert results[0].val == results[1].val
