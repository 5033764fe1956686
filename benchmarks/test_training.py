"""A training step with the mathematics of preset ``released``, and epochs of ``paper``."""

import copy
import dataclasses

import pytest
import torch
from reference import ReleasedStep

from mentor_pyg.training.trainer import Trainer


def optimise(model, losses):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step():
        optimizer.zero_grad()
        terms = losses()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("way", ["ours, fp32", "ours, bf16", "dense"])
def test_step(measure, setting, size, device, way):
    if way == "dense" and size != "baby":
        pytest.skip("takes 30 GB")
    group = f"step, preset released ({size}, {device})"
    precision = way.removeprefix("ours, ") if way != "dense" else "fp32"
    ours = setting("released", precision=precision)
    if size == "baby":
        same = copy.deepcopy(ours.model)
        data = ours.data.clone()
        for name in ("visual", "textual"):
            data["item"][f"x_{name}"] = data["item"][f"x_{name}"].float()
        dense = ReleasedStep(same, data)
        assert_equal_terms(ours, dense, precision)
    losses = ours.losses if way != "dense" else lambda: dense.losses(ours.batch)
    measure(optimise(ours.model if way != "dense" else same, losses), group, rounds=9)


def assert_equal_terms(ours, dense, precision):
    """All terms agree but for the random noise and masks."""
    tolerance = 1e-5 if precision == "fp32" else 1e-2
    with torch.no_grad():
        terms, others = ours.losses(), dense.losses(ours.batch)
    for name, other in others.items():
        loose = name in ("mask", "contrast")
        assert terms[name].item() == pytest.approx(other.item(), rel=1e-2 if loose else tolerance)


@pytest.mark.parametrize("way", ["ours, fp32", "ours, bf16"])
def test_epoch(measure, setting, size, device, way):
    ours = setting("paper", precision=way.removeprefix("ours, "))
    config = dataclasses.replace(ours.config.train, lr=1e-3)
    trainer = Trainer(ours.model, ours.data, config, progress=False)
    terms = measure(
        trainer.train_epoch, f"epoch, preset paper ({size}, {device})", rounds=1, warmup=0
    )
    assert terms["bpr"] < 0.6  # an untrained model has log 2
