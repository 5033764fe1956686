"""Samplers of others: whatever gives batches, of the whole graph or of a part of it."""

from dataclasses import replace

import pytest
import torch
from training.conftest import CONFIG, Stop, StoppingCheckpoint

from mentor_pyg import Batch, InputError
from mentor_pyg.nn.models import LightGCN
from mentor_pyg.training import BPRSampler, Checkpoint, Trainer


def batches(data, size=64, seed=0):
    return list(BPRSampler(data, size, torch.Generator().manual_seed(seed)))


class Own:
    """Batches in an order of its own, which it draws from the global generator."""

    def __init__(self, data):
        self.batches = batches(data)

    def __iter__(self):
        yield from (self.batches[i] for i in torch.randperm(len(self.batches)).tolist())


class Resumable(Own):
    """Knows its place and its length."""

    order, done = (), 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        if not self.done:
            self.order = torch.randperm(len(self)).tolist()
        for i in self.order[self.done :]:
            self.done += 1
            yield self.batches[i]
        self.done = 0

    def state_dict(self):
        return {"order": list(self.order), "done": self.done}

    def load_state_dict(self, state):
        self.order, self.done = state["order"], state["done"]


def test_batches_of_another_sampler_give_the_numbers_of_the_first(data, train):
    first = Trainer(LightGCN.from_data(data), data, CONFIG, progress=False).sampler
    epoch = list(first)
    config = replace(CONFIG, epochs=1)
    expected = train(config)[1]
    assert train(config, sampler=epoch)[1] == expected
    assert train(config, sampler=[(data, batch) for batch in epoch])[1] == expected
    assert train(config, sampler=iter(epoch))[1] == expected
    loader = torch.utils.data.DataLoader(epoch, batch_size=None)
    assert train(config, sampler=loader)[1] == expected


def test_a_batch_may_come_with_a_graph_of_its_own(data, train):
    other, seen = data.clone(), []

    class Observed(LightGCN):
        def losses(self, data, batch):
            seen.append(data)
            return super().losses(data, batch)

    first, second = batches(data)[:2]
    train(replace(CONFIG, epochs=1), Observed, sampler=[first, (other, second)])
    assert seen[0] is data
    assert seen[1] is other


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("after", [1, 2, 3, 8])
def test_a_sampler_with_a_state_is_resumed_within_an_epoch(data, resumes, after, accumulate):
    config = replace(CONFIG, accumulate=accumulate)
    resumes(after, config, sampler=lambda: Resumable(data))


def test_others_are_resumed_after_the_last_epoch(data, resumes, tmp_path, train):
    resumes(2, sampler=lambda: Own(data))
    with pytest.raises(Stop):
        train(sampler=Own(data), checkpoint=StoppingCheckpoint(tmp_path / "a.pt", 1))
    state = Checkpoint(tmp_path / "a.pt", {}).load()
    assert (state["step"], len(state["result"]["history"])) == (0, 1)


def test_ctrl_c_ends_at_once_where_nothing_can_be_saved(data, train, tmp_path):
    checkpoint = Checkpoint(tmp_path / "last.pt", {}, minutes=60)

    class Interrupted(Own):
        def __iter__(self):
            for i, batch in enumerate(super().__iter__()):
                checkpoint.is_interrupted = i == 1
                yield batch

    with pytest.raises(KeyboardInterrupt):
        train(sampler=Interrupted(data), checkpoint=checkpoint)
    assert not checkpoint.path.exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: (b for b in batches(data)), "a generator ends after one epoch of 3"),
        (lambda data: 5, "sampler: is a int; expected an iterable of batches"),
        (lambda data: [], "epoch 1: the sampler gave no batch; expected at least one"),
        (lambda data: [data], "batch: the subgraph has no 'src_index'"),
        (lambda data: [tuple(batches(data)[0])], "sampler: gave a tuple; expected a Batch"),
        (lambda data: ["all"], "sampler: gave a str; expected a Batch, or a pair"),
    ],
)
def test_what_is_no_sampler_is_refused(data, train, make, message):
    with pytest.raises(InputError, match=message):
        train(sampler=make(data))


def test_the_state_of_another_sampler_is_refused(data, train, tmp_path):
    checkpoint = Checkpoint(tmp_path / "last.pt", {})
    train(sampler=Resumable(data), checkpoint=checkpoint)
    for other in (None, Own(data)):
        with pytest.raises(InputError, match=r"last\.pt: sampler .*; expected "):
            train(sampler=other, checkpoint=checkpoint, resume=True)


def test_batches_go_to_the_device_of_the_model(data):
    from mentor_pyg.training.batches import groups

    ((pair,),) = groups([batches(data)[0]], 2, 0, data, torch.device("meta"))
    assert isinstance(pair[1], Batch)
    assert {ids.device.type for ids in pair[1]} == {"meta"}
