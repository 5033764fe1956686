import dataclasses
import statistics
from pathlib import Path

import numpy as np
import pytest

from mentor_pyg.analysis import RunEvaluation, aggregate
from mentor_pyg.analysis.seeds import mean_and_std
from mentor_pyg.evaluation import UserMetrics
from mentor_pyg.runs.config import load_config


def evaluation(name, config, values, folder=None):
    metrics = UserMetrics(np.arange(2), ("recall@1",), np.array(values)[:, None], 2)
    return RunEvaluation(
        name=name,
        folder=Path(folder or name),
        config=config,
        dataset="toy",
        data_key="0",
        split="test",
        user_ids=["a", "b"],
        metrics={"recall@1": float(np.mean(values)), "coverage@1": values[0]},
        overall=metrics,
        groups={"user": {"1 or more": metrics}, "cold": {}},
    )


def config(seed=0, *changes, preset="lightgcn"):
    return load_config(preset, changes, seed=seed)


def test_runs_are_grouped_by_all_but_the_seed():
    runs = [
        evaluation("a", config(0), [0.0, 1.0]),
        evaluation("b", config(0, "train.lr=0.1"), [0.5, 0.5]),
        evaluation("c", dataclasses.replace(config(1), preset="other"), [1.0, 1.0]),
        evaluation("d", config(2), [0.0, 0.25]),
    ]
    first, second = aggregate(runs)
    assert [run.name for run in first.runs] == ["a", "c", "d"]
    assert [run.name for run in second.runs] == ["b"]
    assert (first.name, second.name) == ("a (3 runs)", "b")
    means = [0.5, 1.0, 0.125]
    assert first.mean["recall@1"] == pytest.approx(statistics.mean(means))
    assert first.std["recall@1"] == pytest.approx(statistics.stdev(means))
    assert first.mean["coverage@1"] == pytest.approx(1 / 3)
    assert [m.values[:, 0].tolist() for m in first.overall] == [[0, 1], [1, 1], [0, 0.25]]
    group = first.groups["user"]["1 or more"]
    assert [m.values.tolist() for m in group] == [m.values.tolist() for m in first.overall]
    assert first.groups["cold"] == {}
    assert (second.mean, second.std) == ({"recall@1": 0.5, "coverage@1": 0.5}, {})


def test_runs_of_one_seed_are_one_sample():
    runs = [
        evaluation("a", config(0), [0.0, 1.0]),
        evaluation("b", config(1), [0.5, 0.5]),
        evaluation("c", config(0), [0.5, 0.5]),
    ]
    (group,) = aggregate(runs)
    assert (group.name, len(group.runs)) == ("a (3 runs)", 3)
    assert [m.values[:, 0].tolist() for m in group.overall] == [[0.25, 0.75], [0.5, 0.5]]
    assert group.mean["recall@1"] == 0.5
    assert group.std["coverage@1"] == pytest.approx(statistics.stdev([0.25, 0.5]))
    assert aggregate(runs[::2])[0].std == {}


def test_the_order_of_options_changes_nothing():
    one = load_config("lightgcn", ["options.num_layers=2", "options.reg_weight=0.1"])
    options = dict(reversed(one.options.items()))
    assert list(options) != list(one.options)
    other = dataclasses.replace(one, options=options)
    runs = [evaluation("a", one, [0.0, 1.0]), evaluation("b", other, [0.0, 1.0])]
    assert len(aggregate(runs)) == 1


def test_equal_names_become_folders():
    runs = [
        evaluation("run", config(), [0.0, 1.0], "x/run"),
        evaluation("run", config(0, "train.lr=0.1"), [0.0, 1.0], "y/run"),
    ]
    assert [group.name for group in aggregate(runs)] == ["x/run", "y/run"]


def test_mean_and_std():
    runs = [{"x": 1.0, "y": 2.0}, {"x": 2.0, "y": 2.0}, {"x": 4.5, "y": 2.0}]
    mean, std = mean_and_std(runs)
    assert mean == {"x": 2.5, "y": 2.0}
    assert std == pytest.approx({"x": statistics.stdev([1, 2, 4.5]), "y": 0})
    assert mean_and_std(runs[:1]) == (runs[0], {})
