from dataclasses import replace

import pytest
import torch
from training.conftest import CONFIG, Stop, StoppingCheckpoint

from mentor_pyg import InputError
from mentor_pyg.nn.models import LightGCN
from mentor_pyg.training import Callback, Checkpoint

EVENTS = ("fit_start", "epoch_start", "step_start", "step_end", "epoch_end", "fit_end")


class Diary(Callback):
    """Notes every event; raises an error at one of them."""

    def __init__(self, fails_at=None):
        self.events, self.fails_at = [], fails_at

    def note(self, name, trainer):
        self.events.append((name, trainer.epoch, trainer.step, len(trainer.result.history)))
        if name == self.fails_at:
            raise RuntimeError(name)

    def on_fit_start(self, trainer):
        self.note("fit_start", trainer)

    def on_epoch_start(self, trainer):
        self.note("epoch_start", trainer)

    def on_step_start(self, trainer):
        self.note("step_start", trainer)

    def on_step_end(self, trainer, losses):
        assert not any(loss.requires_grad for loss in losses.values())
        assert losses.keys() == {"bpr", "reg"}
        self.note("step_end", trainer)

    def on_epoch_end(self, trainer):
        assert trainer.is_best == (trainer.result.best_epoch == trainer.epoch)
        self.note("epoch_end", trainer)

    def on_fit_end(self, trainer):
        self.note("fit_end", trainer)


class Counter(Callback):
    """Counts all steps of a training, however often it is resumed."""

    def __init__(self):
        self.count = 0

    def on_step_end(self, trainer, losses):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_events_come_in_order(train):
    diary = Diary()
    train(replace(CONFIG, batch_size=200, epochs=2), callbacks=[diary])
    steps = [("step_start", 0), ("step_end", 1), ("step_start", 1), ("step_end", 2)]
    expected = [("fit_start", 0, 0, 0)]
    for epoch in (1, 2):
        expected += [("epoch_start", epoch, 0, epoch - 1)]
        expected += [(name, epoch, step, epoch - 1) for name, step in steps]
        expected += [("epoch_end", epoch, 0, epoch)]
    assert diary.events == [*expected, ("fit_end", 2, 0, 2)]


def test_what_is_no_callback_is_refused(train):
    for found, name in ((Counter, "Counter"), (print, "print"), (3, "int")):
        with pytest.raises(InputError, match=f"callbacks: {name} is no Callback; expected"):
            train(callbacks=[found])


def test_a_callback_changes_no_number(train):
    assert train(callbacks=[Diary(), Counter()])[1] == train()[1]


def test_losses_of_accumulated_batches_are_their_mean(train):
    class Losses(Callback):
        def on_step_end(self, trainer, losses):
            seen.append({name: loss.item() for name, loss in losses.items()})

    seen = []
    _, (row,) = train(replace(CONFIG, epochs=1, accumulate=6), callbacks=[Losses()])
    assert seen == [pytest.approx({name: row[name] for name in ("bpr", "reg")})]  # of all six


@pytest.mark.parametrize("event", EVENTS)
def test_an_error_of_a_callback_ends_the_training(train, event):
    before, failing, after = Diary(), Diary(event), Diary()
    with pytest.raises(RuntimeError, match=event):
        train(callbacks=[before, failing, after])
    assert before.events[-1][0] == "fit_end"
    started = bool(after.events)
    assert started == (event != "fit_start")
    assert not started or after.events[-1][0] == "fit_end"


def test_callbacks_draw_random_numbers_of_the_training(data, train):
    class Drawing(Callback):
        def __init__(self):
            self.drawn = []

        def on_epoch_end(self, trainer):
            self.drawn.append(torch.rand(()).item())

    first, second = Drawing(), Drawing()
    for seed, drawing in enumerate((first, second)):
        model = LightGCN.from_data(data)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        train(model=model, callbacks=[drawing])
        assert torch.equal(torch.get_rng_state(), before)
    assert first.drawn == second.drawn
    assert len(set(first.drawn)) == 3


def test_a_callback_may_stop_the_training(train):
    class Enough(Callback):
        def on_epoch_end(self, trainer):
            trainer.should_stop = trainer.epoch == 2

    assert len(train(callbacks=[Enough()])[1]) == 2


def test_a_resumed_epoch_begins_where_it_was(train, tmp_path):
    diary, path = Diary(), tmp_path / "last.pt"
    with pytest.raises(Stop):
        train(checkpoint=StoppingCheckpoint(path, 9))  # six steps and a save an epoch
    train(checkpoint=Checkpoint(path, {}), resume=True, callbacks=[diary])
    assert diary.events[1] == ("epoch_start", 2, 2, 1)


@pytest.mark.parametrize("after", [3, 7])
def test_states_of_callbacks_are_resumed(train, tmp_path, after):
    path, counters = tmp_path / "last.pt", [Counter(), Counter(), Counter()]
    counters[1].count = 100
    with pytest.raises(Stop):
        train(checkpoint=StoppingCheckpoint(path, after), callbacks=counters[:2])
    checkpoint, again = Checkpoint(path, {}), [Counter(), Counter(), Diary()]
    train(checkpoint=checkpoint, resume=True, callbacks=again)
    assert [counter.count for counter in again[:2]] == [18, 118]
    with pytest.raises(InputError, match="callbacks is 'Counter 2'; expected the callbacks that"):
        train(checkpoint=checkpoint, resume=True, callbacks=again[:1])


def test_the_weights_at_the_end_are_the_best(data, train):
    seen = []

    class Weights(Callback):
        def on_fit_end(self, trainer):
            best = trainer.best_state.items()
            now = trainer.model.state_dict()
            seen.append(all(bool((now[name] == value).all()) for name, value in best))

    train(callbacks=[Weights()], model=LightGCN.from_data(data))
    assert seen == [True]
