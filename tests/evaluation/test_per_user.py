import csv

import numpy as np
import pytest
import torch

from mentor_pyg import Evaluator
from mentor_pyg.evaluation import UserMetrics, mean_over_runs, write_user_metrics
from mentor_pyg.evaluation.per_user import user_metrics
from mentor_pyg.typing import INTERACTS, ITEM, USER

KS = (3, 8)


@pytest.fixture
def ranked(tiny):
    """An evaluator whose first user has no training pairs, lists, and both as plain values."""
    store = tiny[INTERACTS]
    store.edge_index = store.edge_index[:, store.edge_index[0] != 0]
    evaluator = Evaluator(tiny, "test", KS)
    generator = torch.Generator().manual_seed(0)
    sizes = tiny[USER].num_nodes, tiny[ITEM].num_nodes
    embeddings = [torch.randn(n, 4, generator=generator) for n in sizes]
    return evaluator, evaluator.rank(*embeddings), embeddings


def naive(lists, relevant, k):
    """The definitions, for a list of items and the set of a user's relevant ones."""
    hits = [item in relevant for item in lists[:k]]
    gains = [hit / np.log2(rank + 1) for rank, hit in enumerate(hits, 1)]
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    precisions = [sum(hits[:rank]) / rank for rank, hit in enumerate(hits, 1) if hit]
    return {
        f"recall@{k}": sum(hits) / len(relevant),
        f"ndcg@{k}": sum(gains) / ideal,
        f"precision@{k}": sum(hits) / k,
        f"map@{k}": sum(precisions) / min(k, len(relevant)),
        f"mrr@{k}": 1 / (hits.index(True) + 1) if any(hits) else 0,
        f"hit_ratio@{k}": float(any(hits)),
    }


def check(metrics, evaluator, lists, pairs):
    """Compares with a loop over users; ``pairs`` are those that count."""
    relevant = {}
    for row, item in pairs:
        relevant.setdefault(row, set()).add(item)
    assert metrics.users.tolist() == evaluator.users[sorted(relevant)].tolist()
    assert metrics.num_pairs == len(pairs)
    for i, row in enumerate(sorted(relevant)):
        for k in KS:
            for name, value in naive(lists[row].tolist(), relevant[row], k).items():
                assert metrics[name][i] == pytest.approx(value, abs=1e-6)


def test_values_equal_a_loop_and_their_means_the_evaluator(ranked):
    evaluator, lists, embeddings = ranked
    metrics = user_metrics(evaluator, lists)
    assert 0 not in metrics.users
    check(metrics, evaluator, lists, evaluator.label_index.t().tolist())
    expected = evaluator(*embeddings)
    assert metrics.mean()["recall@8"] > 0
    coverage = {name for name in expected if name.startswith("coverage")}
    assert expected.keys() - metrics.mean().keys() == coverage
    assert metrics.mean() == pytest.approx({n: expected[n] for n in metrics.names}, abs=1e-6)
    assert evaluator.measure(lists) == expected


def test_values_of_some_pairs(ranked):
    evaluator, lists, _ = ranked
    pairs = evaluator.label_index[1] % 3 == 0
    metrics = user_metrics(evaluator, lists, pairs)
    assert 0 < len(metrics.users) < len(evaluator.users)
    check(metrics, evaluator, lists, evaluator.label_index[:, pairs].t().tolist())


def test_no_pairs_at_all(ranked):
    evaluator, lists, _ = ranked
    metrics = user_metrics(evaluator, lists, torch.zeros_like(evaluator.label_index[0]).bool())
    assert metrics.values.shape == (0, 12)


def test_mean_over_runs(ranked):
    evaluator, lists, _ = ranked
    one, two = user_metrics(evaluator, lists), user_metrics(evaluator, lists.flip(1))
    mean = mean_over_runs([one, two])
    assert not np.array_equal(one.values, two.values)
    assert np.allclose(mean["mrr@3"], (one["mrr@3"] + two["mrr@3"]) / 2)
    assert mean.users.tolist() == one.users.tolist()


def test_file_has_original_ids(tmp_path):
    values = np.array([[0.5, 1 / 3], [0.0, 1.0]])
    metrics = UserMetrics(np.array([1, 2]), ("recall@1", "ndcg@1"), values, 2)
    ids = ["zero", 'a,"b"', "Ünal"]
    write_user_metrics(tmp_path / "users.csv", {"runs/a": metrics, "runs/b": metrics}, ids)
    with open(tmp_path / "users.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["run", "user", "recall@1", "ndcg@1"]
    assert rows[1:3] == [["runs/a", 'a,"b"', "0.5", "0.3333333"], ["runs/a", "Ünal", "0", "1"]]
    assert [row[0] for row in rows[3:]] == ["runs/b", "runs/b"]


@pytest.mark.parametrize("safe", [False, True])
def test_file_for_spreadsheets(tmp_path, safe):
    metrics = UserMetrics(np.array([0]), ("recall@1",), np.array([[0.5]]), 1)
    write_user_metrics(tmp_path / "users.csv", {"a": metrics}, ["@SUM(1)"], safe)
    written = (tmp_path / "users.csv").read_text().splitlines()[1]
    assert written == ("a,'@SUM(1),0.5" if safe else "a,@SUM(1),0.5")
