"""Negatives of a whole epoch, against rejection in a Python loop."""

import random

import pytest
import torch

from mentor_pyg.training.sampler import NegativeSampler
from mentor_pyg.typing import INTERACTS, ITEM, USER


def loop(edge_index, num_items):
    seen = {}
    pairs = edge_index.t().tolist()
    for user, item in pairs:
        seen.setdefault(user, set()).add(item)
    negatives = []
    for user, _ in pairs:
        while (item := random.randrange(num_items)) in seen[user]:
            pass
        negatives.append(item)
    return torch.tensor(negatives)


@pytest.mark.parametrize("way", ["ours", "loop"])
def test_sampling(measure, dataset, size, device, way):
    data = dataset[0].to(device)
    edge_index, num_items = data[INTERACTS].edge_index, data[ITEM].num_nodes
    sampler = NegativeSampler(edge_index, data[USER].num_nodes, num_items)
    ways = {"ours": lambda: sampler(edge_index[0]), "loop": lambda: loop(edge_index, num_items)}
    negatives = measure(ways[way], f"a negative for every pair ({size}, {device})", rounds=9)
    keys = edge_index[0] * num_items
    assert not torch.isin(keys + negatives.to(device), keys + edge_index[1]).any()
