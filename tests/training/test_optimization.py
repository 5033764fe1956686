"""Optimisers, schedules, clipping and accumulation of gradients."""

import functools
from dataclasses import replace

import pytest
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR, ReduceLROnPlateau
from training.conftest import CONFIG
from training.test_batches import batches

from mentor_pyg import Batch, InputError
from mentor_pyg.nn.models import MMSSL, LightGCN, SLMRec
from mentor_pyg.training import Callback
from mentor_pyg.typing import Objective


class Rates(Callback):
    """The learning rate of every step."""

    def __init__(self):
        self.seen = []

    def on_step_start(self, trainer):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_a_class_a_function_or_an_optimiser(data, train):
    expected = train(replace(CONFIG, lr=0.5, optimizer="sgd"))[1]
    assert train(replace(CONFIG, lr=0.5), optimizer=SGD)[1] == expected
    make = functools.partial(SGD, lr=0.5, fused=True)
    assert train(optimizer=make)[1] == expected
    model = LightGCN.from_data(data)
    assert train(model=model, optimizer=make(model.parameters()))[1] == expected
    assert train()[1] != expected


@pytest.mark.parametrize(
    ("name", "cls"), {"adam": Adam, "adamw": AdamW, "sgd": SGD, "adagrad": Adagrad}.items()
)
def test_optimisers_by_name(train, name, cls):
    config = replace(CONFIG, epochs=1)
    make = functools.partial(cls, lr=CONFIG.lr, weight_decay=0.1, fused=True)
    expected = train(config, optimizer=make)[1]
    assert train(replace(config, optimizer=name, weight_decay=0.1))[1] == expected


def test_an_objective_keeps_its_optimiser(data, train):
    class Two(LightGCN):
        def objectives(self):
            user, item = self.embedding.user, self.embedding.item
            return [
                Objective(self.losses, [user], Adagrad, {"lr": 0.1}),
                Objective(self.losses, [item]),
            ]

    seen = []

    class Kinds(Callback):
        def on_fit_start(self, trainer):
            seen.extend(type(optimizer) for optimizer in trainer.optimizers)

    train(replace(CONFIG, epochs=1), Two, optimizer=SGD, callbacks=[Kinds()])
    assert seen == [Adagrad, SGD]
    model = Two.from_data(data)
    with pytest.raises(InputError, match="one instance is given, but Two has 2 objectives"):
        train(model=model, optimizer=SGD(model.parameters()))


@pytest.mark.parametrize("options", [{"optimizer": SGD}, {"config": {"optimizer": "sgd"}}])
def test_an_optimiser_that_nothing_uses_is_refused(train, options):
    config = replace(CONFIG, **options.pop("config", {}))
    with pytest.raises(InputError, match="the objectives of SLMRec have their own"):
        train(config, SLMRec, **options)


def test_what_is_no_optimiser_or_schedule_is_refused(data, train):
    with pytest.raises(InputError, match=r"optimizer: made a list; expected a torch.optim"):
        train(optimizer=list)
    with pytest.raises(InputError, match=r"scheduler: made a int; expected a torch.optim"):
        train(scheduler=lambda optimizer: 3)
    other = LightGCN.from_data(data)
    with pytest.raises(InputError, match="holds tensors that aren't parameters of this LightGCN"):
        train(optimizer=SGD(other.parameters()))


def test_an_optimiser_that_has_worked_needs_a_warm_start(data, train):
    model = LightGCN.from_data(data)
    optimizer = Adam(model.parameters(), lr=1e-2)
    train(model=model, optimizer=optimizer)
    with pytest.raises(InputError, match=r"has taken steps, .*; expected reset=False"):
        train(model=model, optimizer=optimizer)
    train(model=model, optimizer=optimizer, reset=False)


def test_accumulated_batches_are_one_large_batch(data, train):
    parts = batches(data, 50)[:4]
    halves = [Batch(*map(torch.cat, zip(*pair))) for pair in (parts[:2], parts[2:])]
    config = replace(CONFIG, optimizer="sgd", lr=1.0, epochs=2)
    expected, history = train(config, sampler=halves)
    found, again = train(replace(config, accumulate=2), sampler=parts)
    assert again[-1]["bpr"] == pytest.approx(history[-1]["bpr"], rel=1e-5)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)
    three = [Batch(*map(torch.cat, zip(*parts[:3]))), parts[3]]
    expected, _ = train(config, sampler=three)
    found, _ = train(replace(config, accumulate=3), sampler=parts)  # the last one is alone
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)


def test_gradients_are_clipped(train):
    norms = []

    class Norms(Callback):
        def on_step_end(self, trainer, losses):
            grads = [p.grad for p in trainer.model.parameters()]
            norms.append(float(torch.nn.utils.get_total_norm(grads)))

    train(callbacks=[Norms()])
    with pytest.raises(InputError, match=r"\.max_grad_norm: is 0; expected more than 0"):
        train(max_grad_norm=0)
    limit = min(norms) / 2
    for options in ({"max_grad_norm": limit}, {"config": replace(CONFIG, max_grad_norm=limit)}):
        norms.clear()
        train(callbacks=[Norms()], **options)
        assert norms == pytest.approx([limit] * len(norms), rel=1e-4)


def test_schedules_go_on_after_an_epoch_or_a_step(train):
    rates = Rates()
    train(scheduler=lambda o: ExponentialLR(o, 0.5), callbacks=[rates])
    assert rates.seen == pytest.approx([1e-2] * 6 + [5e-3] * 6 + [2.5e-3] * 6)
    rates = Rates()
    config = replace(CONFIG, scheduler_interval="step", epochs=1)
    train(config, scheduler=lambda o: ExponentialLR(o, 0.5), callbacks=[rates])
    assert rates.seen == pytest.approx([1e-2 / 2**i for i in range(6)])


def test_cosine_ends_at_zero(train):
    rates = Rates()
    train(replace(CONFIG, scheduler="cosine"), callbacks=[rates])
    assert rates.seen[::6] == pytest.approx([1e-2, 7.5e-3, 2.5e-3])
    rates = Rates()
    config = replace(CONFIG, scheduler="cosine", scheduler_interval="step", accumulate=2)
    train(config, callbacks=[rates])
    assert len(rates.seen) == 9
    assert rates.seen[-1] == pytest.approx(1e-2 * (1 + torch.tensor(torch.pi * 8 / 9).cos()) / 2)
    with pytest.raises(InputError, match=r"sampler without a length .*; expected .*'epoch'"):
        train(replace(config, epochs=1), sampler=iter([]))


def test_a_plateau_is_one_of_the_monitored_metric(train):
    rates, config = Rates(), replace(CONFIG, epochs=6, eval_every=2)
    # No validation is better by a whole unit than the first:
    make = functools.partial(
        ReduceLROnPlateau, mode="max", patience=0, threshold=1.0, threshold_mode="abs"
    )
    train(config, scheduler=make, callbacks=[rates])
    assert rates.seen[::6] == pytest.approx([1e-2] * 4 + [1e-3] * 2)
    with pytest.raises(InputError, match=r"has mode 'min'; expected 'max', since a higher"):
        train(scheduler=ReduceLROnPlateau)
    with pytest.raises(InputError, match=r"needs a validation; expected .* 'epoch'"):
        train(replace(CONFIG, scheduler="plateau", scheduler_interval="step"))


def no_schedule():
    return None


SCHEDULES = {
    "cosine": ({"scheduler": "cosine"}, no_schedule),
    "plateau": ({"scheduler": "plateau"}, no_schedule),
    "lambda": ({}, lambda: lambda o: LambdaLR(o, lambda epoch: 1 / (1 + epoch))),
    "one cycle": (
        {"scheduler_interval": "step"},
        lambda: lambda o: OneCycleLR(o, 0.1, total_steps=18),
    ),
}


@pytest.mark.parametrize("after", [3, 8])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_resumed(resumes, name, after):
    settings, make = SCHEDULES[name]
    resumes(after, replace(CONFIG, **settings), scheduler=make)


@pytest.mark.parametrize(
    "make", [SGD, functools.partial(torch.optim.LBFGS, max_iter=2), torch.optim.NAdam]
)
def test_any_optimiser_is_resumed(resumes, make):
    resumes(9, replace(CONFIG, lr=0.1, accumulate=2), optimizer=lambda: make)


def test_several_objectives_with_all_at_once(resumes):
    config = replace(CONFIG, accumulate=2, max_grad_norm=0.1, num_negatives=2, scheduler="cosine")
    resumes(5, config, MMSSL)
