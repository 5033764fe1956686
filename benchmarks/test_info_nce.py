"""Full InfoNCE, forward and backward, against the dense formula."""

import pytest
import torch
from reference import dense_info_nce

from mentor_pyg.nn import info_nce

TAU = 0.2
WAYS = {
    "ours, float32": (info_nce, torch.float32),
    "ours, bfloat16": (info_nce, torch.bfloat16),
    "dense, float32": (dense_info_nce, torch.float32),
}


def run(function, views):
    leaves = [x.detach().requires_grad_() for x in views]
    loss = function(*leaves, TAU)
    loss.backward()
    return loss.detach().float(), *(x.grad.float() for x in leaves)


@pytest.fixture
def views(size, device):
    rows = {"baby": 19445, "sports": 35598}[size]
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(rows, 128, generator=generator) for _ in range(2))
    return [first.to(device), (first + second).to(device)]


@pytest.mark.parametrize("way", WAYS)
def test_info_nce(measure, views, size, device, way):
    function, dtype = WAYS[way]
    if size == "sports" and function is dense_info_nce:
        pytest.skip("takes 30 GB")
    converted = [x.to(dtype) for x in views]
    group = f"InfoNCE of all users, forward and backward ({size}, {device})"
    results = measure(lambda: run(function, converted), group)
    if function is not dense_info_nce:
        tolerance = 1e-5 if dtype == torch.float32 else 1e-2
        few = [x[:2000] for x in converted]
        for ours, other in zip(run(info_nce, few), run(dense_info_nce, [x.float() for x in few])):
            assert (ours - other).norm() <= tolerance * other.norm()
    assert all(x.isfinite().all() for x in results)
