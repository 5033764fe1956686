from pathlib import Path

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.analysis import RunEvaluation, aggregate, find, make_tables
from mentor_pyg.evaluation import Sampling, UserMetrics, holm, metric_differences, metric_intervals
from mentor_pyg.runs.config import load_config

NAMES = ("recall@5", "ndcg@5", "recall@9", "ndcg@9")
BASE, BETTER = "base0 (3 runs)", "better3 (3 runs)"
QUICK = Sampling(num_resamples=200, seed=3)


def evaluation(name, mean, *changes, seed=0):
    """A run whose users have values about ``mean``; the first 20 of 50 are a group."""
    noise = np.random.default_rng(7).normal(0, 0.1, (50, 4))
    values = (mean + noise + np.random.default_rng(seed).normal(0, 0.05, (50, 4))).clip(0, 1)
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
    """A baseline of three seeds, one that is better by far, and a single run that is, too."""
    return aggregate(
        [
            *(evaluation(f"base{seed}", 0.5, seed=seed) for seed in range(3)),
            *(evaluation(f"better{seed}", 0.8, "train.lr=0.1", seed=seed) for seed in (3, 4, 5)),
            evaluation("single", 0.8, "train.lr=0.2", seed=6),
        ]
    )


@pytest.fixture
def findings(runs):
    return find(runs, QUICK, progress=False)


def test_every_figure_has_its_interval(findings, runs):
    for run, estimates in zip(runs, findings.overall.estimates):
        assert estimates == metric_intervals(run.overall, QUICK)
    assert [(s.grouping, s.label) for s in findings.groups] == [
        ("user", "1 to 4"),
        ("user", "5 or more"),
    ]
    group = findings.groups[0]
    assert group.estimates[1] == metric_intervals(runs[1].groups["user"]["1 to 4"], QUICK)
    assert (group.size, findings.groups[1].size) == ("20 users, 21 pairs", "1 user, 1 pair")


def test_all_are_compared_with_the_first(findings, runs):
    assert list(findings.differences) == [BETTER, "single"]
    comparisons = [metric_differences(runs[0].overall, run.overall, QUICK) for run in runs[1:]]
    for m, name in enumerate(NAMES):
        found = [findings.differences[run][name] for run in (BETTER, "single")]
        assert [difference[:-1] for difference in found] == [c[m][:-1] for c in comparisons]
        assert [d.p_holm for d in found] == [c[m].p for c in comparisons]  # one of each kind
    better, single = (findings.differences[name]["recall@9"] for name in (BETTER, "single"))
    assert better.p < 0.001
    assert (better.over_seeds, single.over_seeds) == (True, False)
    assert better.is_significant(0.05)
    assert not better.is_significant(better.p_holm)
    assert not single.is_significant(0.05)  # whatever p is: it is one run


@pytest.mark.parametrize(("num_seeds", "over"), [(3, "seeds and users"), (1, "users")])
def test_several_models_are_corrected_for_their_number(num_seeds, over):
    seeds = range(num_seeds)
    runs = [evaluation(f"a{seed}", 0.5, seed=seed) for seed in seeds]
    for i, mean in enumerate((0.8, 0.5, 0.52)):
        change = f"train.lr=0.{i + 1}"
        runs += [evaluation(f"m{i}-{seed}", mean, change, seed=10 * i + seed) for seed in seeds]
    findings = find(aggregate(runs), QUICK, progress=False)
    for name in NAMES:
        found = [differences[name] for differences in findings.differences.values()]
        assert [d.p_holm for d in found] == holm([d.p for d in found])
    assert f"test over {over}, Holm-corrected" in make_tables(findings)[0].note
    columns = [column.name for column in make_tables(findings)[-1].columns]
    assert columns[-2:] == ["test over", "p (Holm)"]


def test_records(findings, runs):
    records = findings.records()
    names = [column.name for column in records.columns]
    rows = [dict(zip(names, row)) for row in records.rows]
    assert len(rows) == 3 * 5 + 2 * 3 * 4
    row = next(r for r in rows if (r["run"], r["metric"]) == (BETTER, "ndcg@9"))
    assert (row["grouping"], row["users"], row["pairs"]) == ("all", 50, 60)
    estimate = findings.overall.estimates[1]["ndcg@9"]
    assert (row["value"], row["low"], row["high"]) == estimate
    difference = findings.differences[BETTER]["ndcg@9"]
    assert row["difference"] == difference.value
    assert (row["p"], row["p_holm"]) == (difference.p, difference.p_holm)
    assert row["p_over"] == "seeds and users"
    base = next(r for r in rows if (r["run"], r["metric"]) == (BASE, "ndcg@9"))
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
        *((f"base{seed}", BASE, seed) for seed in (0, 1, 2)),
        *((f"better{seed}", BETTER, seed) for seed in (3, 4, 5)),
        ("single", "single", 6),
    ]
    assert data["runs"][3]["metrics"]["coverage@9"] == 0.8
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
    assert overall.note.split("; ") == [
        "intervals are over users, of these runs alone where models have fewer than 3 seeds",
        f"* differs from {BASE} (p < 0.05, t-test over seeds and users)",
        "with fewer than 3 seeds of both models there is no star, and p is of a paired "
        "permutation test over users, of these runs alone",
        "no held-out pairs of cold items",
    ]
    assert [table.title.split()[0] for table in groups] == ["recall@9", "ndcg@9"]
    estimate = findings.groups[0].estimates[1]["ndcg@9"]
    cell = groups[1].rows[1][1]
    assert (cell.value, *cell.interval) == estimate
    assert groups[1].columns[1].name == "1 to 4 (20 users, 21 pairs)"
    assert deviations.rows[0][1].spread > 0
    assert deviations.rows[2][1].spread is None
    assert len(comparisons.rows) == 8
    difference = findings.differences["single"]["ndcg@5"]
    assert comparisons.rows[5][:2] == ["single", "ndcg@5"]
    assert comparisons.rows[5][3:] == [difference.p, "users", difference.p_holm]
    assert comparisons.rows[0][4] == "seeds and users"


def test_tables_of_some_metrics(findings):
    overall, *groups, deviations, comparisons = make_tables(findings, ["ndcg", "coverage"])
    shown = ["ndcg@5", "ndcg@9", "coverage@9"]
    assert [column.name for column in overall.columns[1:]] == shown
    assert [column.name for column in deviations.columns[1:]] == shown
    assert [table.title.split()[0] for table in groups] == ["ndcg@9"]
    assert {row[1] for row in comparisons.rows} == {"ndcg@5", "ndcg@9"}


def test_one_run_has_no_more_than_its_figures(runs):
    findings = find(runs[2:], QUICK, progress=False)
    overall, *groups = make_tables(findings)
    assert overall.note == (
        "intervals are over users, of these runs alone; no held-out pairs of cold items"
    )
    assert len(groups) == 2
    assert "p" not in findings.to_dict()["figures"][0]


def test_two_models_need_no_correction(runs):
    findings = find(runs[:2], Sampling(100, confidence=0.99), progress=False)
    tables = make_tables(findings)
    assert tables[0].note.split("; ")[:2] == [
        "intervals are over seeds and users",
        f"* differs from {BASE} (p < 0.01, t-test over seeds and users)",
    ]
    assert tables[0].title.endswith("99% intervals")
    assert [column.name for column in tables[-1].columns] == [
        *("run", "metric", "difference", "p", "test over")
    ]


def test_mistakes(findings, runs):
    with pytest.raises(
        InputError, match="'auc' is unknown; expected some of recall, ndcg, coverage"
    ):
        make_tables(findings, ["auc"])
    with pytest.raises(InputError, match="test: is 'z'; expected one of 'permutation'"):
        find(runs, Sampling(10, test="z"), progress=False)
    with pytest.raises(InputError, match="no runs to compare; expected at least one"):
        find([], progress=False)
