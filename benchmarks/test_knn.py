"""Exact kNN graphs, against the matrix product alone and other libraries."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.transforms import cosine_knn
from mentor_pyg.typing import ITEM

K = 10
FEW = 1000
"""Items for torch_cluster, whose CPU kernel takes minutes for all."""


def bare_product(x):
    for rows in x.split(2048):
        rows @ x.t()


@pytest.mark.parametrize("way", ["ours", "matrix product alone", "faiss"])
def test_knn(measure, dataset, size, device, way):
    x = dataset[0][ITEM].x_visual.to(device)
    group = f"kNN graph, 4096-d ({size}, {device})"
    if way == "matrix product alone":
        measure(lambda: bare_product(F.normalize(x)), group, rounds=3)
        return
    if way == "faiss":
        pytest.importorskip("faiss")
    backend = {"ours": "torch", "faiss": "faiss"}[way]
    edge_index, _ = measure(lambda: cosine_knn(x, K, backend=backend), group, rounds=3)
    assert same_neighbors(edge_index, cosine_knn(x, K, backend="torch")[0]) > 0.999


@pytest.mark.parametrize("way", ["ours", "torch_cluster"])
def test_knn_of_few(measure, dataset, size, device, way):
    if size != "baby":
        pytest.skip("the same items at every size")
    if importlib.util.find_spec("torch_cluster") is None:
        pytest.skip("torch_cluster isn't installed")
    x = dataset[0][ITEM].x_visual[:FEW].to(device)
    backend = {"ours": "torch", "torch_cluster": "torch_cluster"}[way]
    group = f"kNN graph of {FEW} items, 4096-d ({device})"
    edge_index, _ = measure(lambda: cosine_knn(x, K, backend=backend), group, rounds=3)
    assert same_neighbors(edge_index, cosine_knn(x, K, backend="torch")[0]) > 0.999


def same_neighbors(edges, others):
    """Share of edges that both have; ties may fall either way."""
    count = int(others.max()) + 1
    return torch.isin(edges[0] * count + edges[1], others[0] * count + others[1]).float().mean()
