"""Contracts on training: what a model must learn, and on what it must not depend."""

import math
import tempfile
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.evaluation.metrics import evaluate
from mentor_pyg.testing.subject import (
    QUICK,
    Subject,
    contract,
    embeddings,
    expect,
    expect_equal,
    tiny_data,
)
from mentor_pyg.training.checkpoint import Checkpoint
from mentor_pyg.training.config import FitResult, TrainConfig
from mentor_pyg.training.fitting import fit
from mentor_pyg.training.trainer import Trainer
from mentor_pyg.typing import INTERACTS, ITEM, USER

CHECKERBOARD = TrainConfig(epochs=40, batch_size=256, lr=1e-2, monitor="recall@1", ks=(1,))


def checkerboard(size: int = 40) -> HeteroData:
    """Users like the items of their own parity; the pair of user u and item u is held out."""
    user, item = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    likes = (user + item) % 2 == 0
    data = HeteroData()
    data[USER].num_nodes = data[ITEM].num_nodes = size
    parity = torch.eye(2)[torch.arange(size) % 2]
    noise = torch.rand(size, 6, generator=torch.Generator().manual_seed(0))
    data[ITEM].x_visual = torch.cat([parity, noise], dim=1)
    data[INTERACTS].edge_index = (likes & (user != item)).nonzero().t().contiguous()
    diagonal = torch.arange(size).repeat(2, 1)
    data[INTERACTS].val_edge_label_index = data[INTERACTS].test_edge_label_index = diagonal
    return data


@contract
def check_learns_checkerboard(subject: Subject) -> None:
    """The single held-out item of each user must be ranked first."""
    subject = subject.on(checkerboard())
    model = subject.build()
    fit(model, subject.data, CHECKERBOARD, progress=False)
    recall = evaluate(model, subject.data, "test", ks=(1,))["recall@1"]
    expect(recall == 1.0, f"expected to learn a checkerboard, recall@1 of 1 (got {recall:.3f})")


@contract
def check_determinism(subject: Subject) -> None:
    """Equal seeds give equal losses and weights, and different seeds different ones."""
    runs = [_train(subject, seed) for seed in (1, 1, 2)]
    losses = [_without_times(result) for _, result in runs]
    expect(losses[0] == losses[1], "expected equal losses with equal seeds")
    differ = losses[0] != losses[2] or subject.is_solved
    expect(differ, "expected different losses with different seeds")
    states = [model.state_dict() for model, _ in runs]
    expect_equal(states[0], states[1], "expected equal weights with equal seeds")


@contract
def check_resuming(subject: Subject) -> None:
    """A run that is resumed within an epoch ends like an uninterrupted run."""
    whole, expected = _train(subject)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        stopped = subject.build(seed=5)
        try:
            checkpoint: Checkpoint = _StoppingCheckpoint(path)
            fit(stopped, subject.data, QUICK, progress=False, checkpoint=checkpoint)
        except _Stop:
            torch.rand(7)  # advances the global generator in between
        resumed = subject.build(seed=6)
        checkpoint = Checkpoint(path, {})
        result = fit(
            resumed, subject.data, QUICK, progress=False, checkpoint=checkpoint, resume=True
        )
    message = "expected a run resumed within an epoch to end like an uninterrupted one"
    expect(_without_times(result) == _without_times(expected), f"{message}; the losses differ")
    expect_equal(whole.state_dict(), resumed.state_dict(), message)


@contract
def check_no_leak(subject: Subject) -> None:
    """Validation and test pairs do not influence weights or embeddings."""
    other = copy(subject.raw)
    store = other[INTERACTS]
    for split in ("val_edge_label_index", "test_edge_label_index"):
        user, item = store[split]
        store[split] = torch.stack([user, (item + 1) % other[ITEM].num_nodes])
    trained = []
    for each in (subject, subject.on(other)):
        trainer = Trainer(each.build(), each.data, QUICK, progress=False)
        for _ in range(2):
            trainer.train_epoch()
        trained.append(trainer.model.state_dict() | embeddings(trainer.model, each.data))
    message = "expected weights and embeddings that don't depend on validation and test pairs"
    expect_equal(trained[0], trained[1], message)


@contract
def check_modalities(subject: Subject) -> None:
    """One and three modalities are supported, with any names."""
    for channels in ({"visual": 6}, {"a": 4, "b": 5, "c": 6}):
        each = subject.on(tiny_data(tuple(channels.items())))
        model, result = _train(each)
        names = ", ".join(channels)
        expect_finite(model, each, result, f"with the modalities {names}")


@contract
def check_missing_content(subject: Subject) -> None:
    """Items without content, and users and items without training pairs, are supported."""
    raw = masked(subject.raw, 0.0)
    user, item = raw[INTERACTS].edge_index
    raw[INTERACTS].edge_index = raw[INTERACTS].edge_index[:, (item != 7) & (user != 3)]
    each = subject.on(raw)
    model, result = _train(each)
    expect_finite(model, each, result, "with missing content and cold users and items")


def masked(raw: HeteroData, value: float) -> HeteroData:
    """Removes each modality of some items, whose rows are filled with a value."""
    raw = copy(raw)
    generator = torch.Generator().manual_seed(0)
    for key in [key for key in raw[ITEM] if key.startswith("x_")]:
        mask = torch.rand(raw[ITEM].num_nodes, generator=generator) > 0.4
        raw[ITEM][key] = raw[ITEM][key].masked_fill(~mask.unsqueeze(1), value)
        raw[ITEM][f"mask_{key[2:]}"] = mask
    return raw


def expect_finite(model: Any, subject: Subject, result: FitResult, when: str) -> None:
    values = [x for row in result.history for x in row.values()]
    expect(all(map(math.isfinite, values)), f"expected finite losses {when}")
    for kind, x in embeddings(model, subject.data).items():
        expect(x.isfinite().all(), f"expected finite embeddings of each {kind} {when}")


def _train(subject: Subject, seed: int = 0) -> tuple[Any, FitResult]:
    model = subject.build()
    return model, fit(model, subject.data, replace(QUICK, seed=seed), progress=False)


def _without_times(result: FitResult) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


class _Stop(Exception):
    pass


class _StoppingCheckpoint(Checkpoint):
    """Saves after each step, and fails after the second."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {}, minutes=-1.0)
        self.left = 2

    def save(self, state: Mapping[str, Any]) -> None:
        super().save(state)
        self.left -= 1
        if self.left == 0:
            raise _Stop
