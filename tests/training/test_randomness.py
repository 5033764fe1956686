"""A training has random numbers of its own."""

import random

import numpy as np
import pytest
import torch
from training.conftest import CONFIG, Stop, StoppingCheckpoint

from mentor_pyg.nn.models import LightGCN
from mentor_pyg.training import Checkpoint, Trainer
from mentor_pyg.training.randomness import RandomStream, derived_seed

CPU = torch.device("cpu")


class Noisy(LightGCN):
    """Draws from all three global generators in every step."""

    def losses(self, data, batch):
        drawn = random.gauss(0, 1) + np.random.standard_normal() + float(torch.rand(()))  # noqa: NPY002
        return {name: (1 + drawn) * loss for name, loss in super().losses(data, batch).items()}


def draws():
    """A number of each global generator."""
    return random.gauss(0, 1), np.random.standard_normal(), float(torch.rand(()))  # noqa: NPY002


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    draws()  # so that a normal number is kept back


def test_the_generators_of_the_caller_are_as_they_were(data, train, tmp_path):
    seed_all(5)
    expected = draws()
    checkpoint = Checkpoint(tmp_path / "last.pt", {})
    for options in ({}, {"checkpoint": checkpoint}, {"checkpoint": checkpoint, "resume": True}):
        model = Noisy.from_data(data)
        seed_all(5)
        train(model=model, **options)
        assert draws() == expected
    seed_all(5)
    Trainer(model, data, CONFIG, progress=False).train_epoch()
    assert draws() == expected


def test_and_so_they_are_after_a_failure(data, train, tmp_path):
    seed_all(5)
    expected, model = draws(), Noisy.from_data(data)
    seed_all(5)
    with pytest.raises(Stop):
        train(model=model, checkpoint=StoppingCheckpoint(tmp_path / "last.pt", 3))
    assert draws() == expected


def test_numbers_depend_on_the_seed_alone(train):
    histories = []
    for seed in (1, 2):
        seed_all(seed)
        histories.append(train(model_class=Noisy)[1])
    assert histories[0] == histories[1]


@pytest.mark.parametrize("after", [4, 7])  # six steps and a save an epoch
def test_all_generators_are_resumed(resumes, after):
    resumes(after, model_class=Noisy)


def test_parameters_and_batches_have_streams_of_their_own(data):
    trainer = Trainer(LightGCN.from_data(data), data, CONFIG, progress=False)
    seeds = [trainer.sampler.generator.initial_seed(), CONFIG.seed]
    assert seeds[0] != seeds[1]
    assert len({derived_seed(seed, stream) for seed in (0, 1, 2) for stream in (1, 2)}) == 6


def test_streams_may_be_nested():
    stream = RandomStream(3, CPU)
    with stream:
        first = draws()
        with stream:
            second = draws()
    again = RandomStream(3, CPU)
    with again:
        assert [draws(), draws()] == [first, second]
