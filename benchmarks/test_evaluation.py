"""Full ranking with all metrics, against a loop over users."""

import math
from collections import Counter

import pytest
import torch

from mentor_pyg.evaluation.metrics import Evaluator
from mentor_pyg.typing import INTERACTS, ITEM, USER

KS = (10, 20)


@pytest.fixture
def embeddings(dataset, device):
    data = dataset[0].to(device)
    generator = torch.Generator().manual_seed(0)
    counts = data[USER].num_nodes, data[ITEM].num_nodes
    return data, [torch.randn(n, 128, generator=generator).to(device) for n in counts]


def loop(data, user_emb, item_emb):
    """All metrics, user by user."""
    seen, held_out = {}, {}
    for pairs, lists in (("edge_index", seen), ("test_edge_label_index", held_out)):
        for user, item in data[INTERACTS][pairs].t().tolist():
            lists.setdefault(user, []).append(item)
    sums, recommended = Counter(), {k: set() for k in KS}
    for user, wanted in held_out.items():
        scores = item_emb @ user_emb[user]
        scores[seen[user]] = -torch.inf
        ranked = scores.topk(max(KS)).indices.tolist()
        for k in KS:
            recommended[k].update(ranked[:k])
            for name, value in metrics_of(ranked[:k], set(wanted), k).items():
                sums[f"{name}@{k}"] += value / len(held_out)
    coverage = {f"coverage@{k}": len(recommended[k]) / item_emb.size(0) for k in KS}
    return {**sums, **coverage}


def metrics_of(ranked, wanted, k):
    ranks = [rank for rank, item in enumerate(ranked, 1) if item in wanted]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
    return {
        "recall": len(ranks) / len(wanted),
        "precision": len(ranks) / k,
        "hit_ratio": float(bool(ranks)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
        "map": sum(hits / rank for hits, rank in enumerate(ranks, 1)) / min(k, len(wanted)),
    }


@pytest.mark.parametrize("way", ["ours", "loop"])
def test_evaluation(measure, embeddings, size, device, way):
    data, (user_emb, item_emb) = embeddings
    evaluator = Evaluator(data, "test")
    ours = way == "ours"
    function = (lambda: evaluator(user_emb, item_emb)) if ours else None
    function = function or (lambda: loop(data, user_emb, item_emb))
    group = f"evaluation of all users ({size}, {device})"
    metrics = measure(function, group, rounds=10 if ours else 3, warmup=int(ours))
    if ours:
        expected = loop(data, user_emb, item_emb)
        assert metrics == pytest.approx(expected, rel=1e-5)
