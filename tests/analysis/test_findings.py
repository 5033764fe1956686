from pathlib import Path

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.analysis import (
    RunEvaluation,
    Sampling,
    UserMetrics,
    aggregate,
    bootstrap,
    compare,
    find,
    holm,
    make_tables,
)
from mentor_pyg.config import load_config

NAMES = ("recall@5", "ndcg@5", "recall@9", "ndcg@9")
QUICK = Sampling(num_resamples=200, seed=3)


def evaluation(name, mean, *changes, seed=0):
    """A run whose users have values about ``mean``; the first 20 of 50 are a group."""
    noise = np.random.default_rng(7).normal(0, 0.1, (50, 4))
    values = mean + noise + np.random.default_rng(seed).normal(0, 0.05, (50, 4))
    overall = UserMetrics(np.arange(50), NAMES, values, 60)
    group = UserMetrics(np.arange(20), NAMES, values[:20], 21)
    single = UserMetrics(np.arange(1), NAMES, values[:1], 1)
    return RunEvaluation(
        name=name,
        folder=Path(name),
        config=load_config("lightgcn", changes, seed=seed),
        dataset="toy",
        data_key="0",
        split="val",
        user_ids=range(50),
        metrics=overall.mean() | {"coverage@9": mean},
        overall=overall,
        groups={"user": {"1 to 4": group, "5 or more": single}, "cold": {}},
    )


@pytest.fixture
def runs():
    """A baseline with two seeds, one that is better by far, and one that is the same."""
    return aggregate(
        [
            evaluation("base", 0.5),
            evaluation("base2", 0.5, seed=1),
            evaluation("better", 0.8, "train.lr=0.1", seed=2),
            evaluation("same", 0.5, "train.lr=0.2", seed=4),
        ]
    )


@pytest.fixture
def findings(runs):
    return find(runs, QUICK, progress=False)


def test_every_figure_has_its_interval(findings, runs):
    for run, estimates in zip(runs, findings.overall.estimates):
        assert estimates == bootstrap(run.overall, QUICK)
    assert [(s.grouping, s.label) for s in findings.groups] == [
        ("user", "1 to 4"),
        ("user", "5 or more"),
    ]
    group = findings.groups[0]
    assert group.estimates[1] == bootstrap(runs[1].groups["user"]["1 to 4"], QUICK)
    assert (group.size, findings.groups[1].size) == ("20 users, 21 pairs", "1 user, 1 pair")


def test_all_are_compared_with_the_first(findings, runs):
    assert list(findings.differences) == ["better", "same"]
    comparisons = [compare(runs[0].overall, run.overall, QUICK) for run in runs[1:]]
    for m, name in enumerate(NAMES):
        found = [findings.differences[run][name] for run in ("better", "same")]
        assert [difference.comparison for difference in found] == [c[m] for c in comparisons]
        assert [d.p_holm for d in found] == holm([c[m].p for c in comparisons])
    better = findings.differences["better"]["recall@9"]
    assert better.p_holm == 2 * better.comparison.p < 0.001


def test_records(findings, runs):
    records = findings.records()
    names = [column.name for column in records.columns]
    rows = [dict(zip(names, row)) for row in records.rows]
    assert len(rows) == 3 * 5 + 2 * 3 * 4
    row = next(r for r in rows if (r["run"], r["metric"]) == ("better", "ndcg@9"))
    assert (row["grouping"], row["users"], row["pairs"]) == ("all", 50, 60)
    estimate = findings.overall.estimates[1]["ndcg@9"]
    assert (row["value"], row["low"], row["high"]) == estimate
    difference = findings.differences["better"]["ndcg@9"]
    assert row["difference"] == difference.comparison.difference
    assert (row["p"], row["p_holm"]) == (difference.comparison.p, difference.p_holm)
    base = next(r for r in rows if (r["run"], r["metric"]) == ("base (2 runs)", "ndcg@9"))
    assert base["std"] == runs[0].std["ndcg@9"]
    assert base["p"] is None
    coverage = next(r for r in rows if r["metric"] == "coverage@9")
    assert (coverage["value"], coverage["low"]) == (0.5, None)
    assert {r["users"] for r in rows if r["grouping"] == "user"} == {20, 1}


def test_plain_data(findings):
    data = findings.to_dict()
    assert (data["dataset"], data["split"], data["seed"], data["test"]) == (
        "toy",
        "val",
        3,
        "permutation",
    )
    assert [(run["run"], run["group"], run["seed"]) for run in data["runs"]] == [
        ("base", "base (2 runs)", 0),
        ("base2", "base (2 runs)", 1),
        ("better", "better", 2),
        ("same", "same", 4),
    ]
    assert data["runs"][2]["metrics"]["coverage@9"] == 0.8
    assert len(data["figures"]) == len(findings.records().rows)
    assert all(value is not None for figure in data["figures"] for value in figure.values())


def test_tables(findings):
    overall, *groups, deviations, comparisons = make_tables(findings)
    assert overall.title == "val split of toy, 50 users, 60 pairs, 95% intervals"
    assert [column.name for column in overall.columns] == ["metric", *NAMES, "coverage@9"]
    assert [[cell.star for cell in row[1:]] for row in overall.rows] == [
        [False] * 5,
        [True] * 4 + [False],
        [False] * 5,
    ]
    assert overall.rows[1][5].interval is None
    assert (
        "differs from base (2 runs) (p < 0.05, paired permutation test over users, Holm"
        in overall.note
    )
    assert "no held-out pairs of cold items" in overall.note
    assert [table.title.split()[0] for table in groups] == ["recall@9", "ndcg@9"]
    estimate = findings.groups[0].estimates[1]["ndcg@9"]
    cell = groups[1].rows[1][1]
    assert (cell.value, *cell.interval) == estimate
    assert groups[1].columns[1].name == "1 to 4 (20 users, 21 pairs)"
    assert deviations.rows[0][1].spread > 0
    assert deviations.rows[1][1].spread is None
    assert len(comparisons.rows) == 8
    difference = findings.differences["same"]["ndcg@5"]
    assert comparisons.rows[5][:2] == ["same", "ndcg@5"]
    assert comparisons.rows[5][3:] == [difference.comparison.p, difference.p_holm]


def test_tables_of_some_metrics(findings):
    overall, *groups, deviations, comparisons = make_tables(findings, ["ndcg", "coverage"])
    shown = ["ndcg@5", "ndcg@9", "coverage@9"]
    assert [column.name for column in overall.columns[1:]] == shown
    assert [column.name for column in deviations.columns[1:]] == shown
    assert [table.title.split()[0] for table in groups] == ["ndcg@9"]
    assert {row[1] for row in comparisons.rows} == {"ndcg@5", "ndcg@9"}


def test_one_run_has_no_more_than_its_figures(runs):
    findings = find(runs[1:2], QUICK, progress=False)
    overall, *groups = make_tables(findings)
    assert "differs" not in overall.note
    assert len(groups) == 2
    assert "p" not in findings.to_dict()["figures"][0]


def test_two_runs_need_no_correction(runs):
    findings = find(runs[:2], Sampling(100, confidence=0.99), progress=False)
    tables = make_tables(findings)
    assert "(p < 0.01, paired permutation test over users)" in tables[0].note
    assert tables[0].title.endswith("99% intervals")
    assert [column.name for column in tables[-1].columns] == ["run", "metric", "difference", "p"]


def test_mistakes(findings, runs):
    with pytest.raises(
        InputError, match="'auc' is unknown; expected some of recall, ndcg, coverage"
    ):
        make_tables(findings, ["auc"])
    with pytest.raises(InputError, match="test 'z' is unknown"):
        find(runs, Sampling(10, test="z"), progress=False)
