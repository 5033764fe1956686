"""Ranked lists, metrics and neighbours against loops over all pairs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from mentor_pyg import top_k
from mentor_pyg.evaluation.metrics import Evaluator
from mentor_pyg.evaluation.ranking import SeenItems
from mentor_pyg.transforms.knn import cosine_knn
from mentor_pyg.typing import INTERACTS, ITEM, USER

SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 3), st.floats(0, 1), st.data(), SEEDS)
def test_top_k_equals_a_sort(num_users, num_items, largest, density, data, seed):
    """Small whole numbers have many ties, which are in the order that is drawn once."""
    rng = np.random.default_rng(seed)
    k = data.draw(st.integers(1, num_items))
    scores = rng.integers(0, largest + 1, (num_users, num_items))
    is_seen = rng.random((num_users, num_items)) < density
    seen = SeenItems(torch.from_numpy(np.argwhere(is_seen).T.copy()), num_users)
    users = torch.from_numpy(rng.integers(0, num_users, 4))
    lists = top_k(torch.from_numpy(scores).float(), torch.eye(num_items), users, k, seen)
    order = torch.randperm(num_items, generator=torch.Generator().manual_seed(0)).tolist()
    place = {item: position for position, item in enumerate(order)}
    for user, found in zip(users.tolist(), lists.tolist()):
        left = [item for item in range(num_items) if not is_seen[user, item]]
        best = sorted(left, key=lambda item: (-scores[user, item], place[item]))[:k]
        assert found == best + [-1] * (k - len(best))


def naive_metrics(ranked, relevant, k):
    """The metrics of one user at k, by their definitions."""
    hits = [item in relevant for item in ranked[:k]]
    ideal = sum(1 / math.log2(n + 2) for n in range(min(k, len(relevant))))
    precisions = [sum(hits[: n + 1]) / (n + 1) for n, is_hit in enumerate(hits) if is_hit]
    return {
        "recall": sum(hits) / len(relevant),
        "precision": sum(hits) / k,
        "ndcg": sum(1 / math.log2(n + 2) for n, is_hit in enumerate(hits) if is_hit) / ideal,
        "map": sum(precisions) / min(k, len(relevant)),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
        "hit_ratio": float(any(hits)),
    }


@given(st.integers(1, 8), st.integers(2, 14), st.floats(0.1, 1), st.data(), SEEDS)
def test_metrics_equal_loops(num_users, num_items, density, data, seed):
    """Many items are seen in training, so that lists end early."""
    rng = np.random.default_rng(seed)
    ks = data.draw(st.lists(st.integers(1, num_items), min_size=1, max_size=3, unique=True))
    kind = rng.random((num_users, num_items))
    is_train, is_test = kind < 0.8 * density, kind > 1 - 0.4 * density
    is_train[0, 0], is_test[0, 0], is_train[0, 1], is_test[0, 1] = True, False, False, True
    is_train &= ~is_test
    graph = HeteroData()
    graph[USER].num_nodes, graph[ITEM].num_nodes = num_users, num_items
    graph[INTERACTS].edge_index = torch.from_numpy(np.argwhere(is_train).T.copy())
    graph[INTERACTS].test_edge_label_index = torch.from_numpy(np.argwhere(is_test).T.copy())
    scores = rng.permuted(np.tile(np.arange(num_items), (num_users, 1)), axis=1)
    evaluator = Evaluator(graph, "test", ks)
    found = evaluator(torch.from_numpy(scores).float(), torch.eye(num_items))
    users = [u for u in range(num_users) if is_train[u].any() and is_test[u].any()]
    assert evaluator.users.tolist() == users
    ranked = {
        u: sorted(np.flatnonzero(~is_train[u]).tolist(), key=lambda i: -scores[u, i]) for u in users
    }
    for k in ks:
        each = [naive_metrics(ranked[u], set(np.flatnonzero(is_test[u])), k) for u in users]
        for name in each[0]:
            mean = sum(values[name] for values in each) / len(each)
            assert found[f"{name}@{k}"] == pytest.approx(mean, abs=1e-6), name
        listed = {item for u in users for item in ranked[u][:k]}
        assert found[f"coverage@{k}"] == pytest.approx(len(listed) / num_items, abs=1e-6)
    assert len(found) == 7 * len(ks)


@given(st.integers(2, 25), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.data(), SEEDS)
def test_neighbours_are_those_of_all_cosines(num_rows, width, largest, self_loops, data, seed):
    """Rows of small whole numbers, of many scales: some are zero, and some have one direction."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-largest, largest + 1, (num_rows, width)) * (rng.random((num_rows, 1)) < 0.9)
    x = x * 10.0 ** rng.integers(-8, 12, (num_rows, 1))
    mask = rng.random(num_rows) < data.draw(st.sampled_from([0.6, 1.0]))
    valid = np.flatnonzero(mask & x.any(axis=1))
    k = data.draw(st.integers(1, 6))
    features, present = torch.from_numpy(x).float(), torch.from_numpy(mask)
    if k >= len(valid):
        with pytest.raises(ValueError, match="expected"):
            cosine_knn(features, k, self_loops, "torch", present)
        return
    (neighbor, row), similarity = cosine_knn(features, k, self_loops, "torch", present)
    unit = x[valid] / np.linalg.norm(x[valid], axis=1, keepdims=True)
    cosine = np.full((num_rows, num_rows), -np.inf)
    cosine[np.ix_(valid, valid)] = unit @ unit.T
    assert row.tolist() == np.repeat(valid, k).tolist()
    for own in valid:
        found = neighbor[row == own].tolist()
        values = similarity[row == own].numpy()
        others = [r for r in valid if r != own]
        best = sorted(cosine[others, own], reverse=True)[: k - self_loops]
        assert len(set(found)) == k
        assert (own in found) == self_loops
        assert (not self_loops) or found[0] == own
        np.testing.assert_allclose(values[self_loops:], best, atol=2e-6)
        np.testing.assert_allclose(values, cosine[found, own], atol=2e-6)
