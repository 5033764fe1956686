"""Contracts on embeddings, losses and gradients."""

import random
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.evaluation.metrics import top_k
from mentor_pyg.evaluation.ranking import SeenItems
from mentor_pyg.testing.device import FakeCuda
from mentor_pyg.testing.learning import masked
from mentor_pyg.testing.subject import (
    Subject,
    all_losses,
    backward,
    contract,
    embeddings,
    expect,
    expect_equal,
    gradients,
    snapshot,
)
from mentor_pyg.typing import INTERACTS, ITEM, USER, Batch, modalities

LARGEST_GRADIENT = 1e3


@contract
def check_embeddings(subject: Subject) -> None:
    """Embeddings are matrices of equal width, with a row per user and per item."""
    data, found = subject.data, embeddings(subject.build(), subject.data)
    for kind, x in found.items():
        shape = list(x.shape)
        expect(
            x.dim() == 2 and len(x) == data[kind].num_nodes,
            f"expected embeddings [{data[kind].num_nodes}, C] of each {kind} (got {shape})",
        )
        expect(x.is_floating_point() and x.isfinite().all(), "expected finite embeddings")
    widths = [x.size(1) for x in found.values()]
    expect(widths[0] == widths[1], f"expected embeddings of one width (got {widths})")


@contract
def check_single_users(subject: Subject) -> None:
    """Ranking all users at once gives the same lists as ranking them one by one."""
    data = subject.data
    user, item = embeddings(subject.build(), data).values()
    seen = SeenItems(data[INTERACTS].edge_index, data[USER].num_nodes)
    users = torch.arange(data[USER].num_nodes)
    together = top_k(user, item, users, 10, seen)
    single = torch.cat([top_k(user, item, u[None], 10, seen) for u in users])
    expect(torch.equal(together, single), "expected the same lists for users one by one")


@contract
def check_evaluation(subject: Subject) -> None:
    """``forward`` in evaluation mode is deterministic and has no side effects."""
    model = subject.build().eval()
    before, drawn = snapshot(model.state_dict()), _random_states()
    first = snapshot(embeddings(model, subject.data))
    second = embeddings(model, subject.data)
    expect_equal(first, second, "expected 'forward' to give the same twice in evaluation mode")
    for x in second.values():
        x.detach().add_(1)
    message = "expected 'forward' to change no parameters and to return none of them"
    expect_equal(before, model.state_dict(), message)
    expect(drawn == _random_states(), "expected 'forward' to draw nothing in evaluation mode")
    expect(not model.training, "expected 'forward' to leave the mode as it was")


@contract
def check_unchanged_data(subject: Subject) -> None:
    """Losses and embeddings do not change the data or the batch."""
    batch = subject.batch()
    before = snapshot(_tensors(subject.data) | batch._asdict())
    model = subject.build()
    backward(all_losses(model, subject.data, batch))
    embeddings(model, subject.data)
    after = _tensors(subject.data) | batch._asdict()
    expect_equal(before, after, "expected the model not to change data and batch")


@contract
def check_losses(subject: Subject) -> None:
    """Losses are finite scalars by name, even for a batch of a single triple."""
    if subject.is_solved:
        return
    for size in (128, 1):
        losses = all_losses(subject.build(), subject.data, subject.batch(size))
        expect(losses, "expected at least one loss term")
        for name, loss in losses.items():
            what = f"the term '{name}' of {size} triple{'s' if size > 1 else ''}"
            expect(loss.shape == (), f"expected {what} to be a scalar (got {list(loss.shape)})")
            expect(loss.isfinite(), f"expected {what} to be finite (got {loss.item()})")


@contract
def check_autocast(subject: Subject) -> None:
    """Under autocast to bfloat16, losses are float32, since they are summed over an epoch."""
    if subject.is_solved:
        return
    model = subject.build()
    with torch.autocast("cpu", torch.bfloat16):
        losses = all_losses(model, subject.data, subject.batch())
    for name, loss in losses.items():
        expect(
            loss.dtype == torch.float32,
            f"expected the term '{name}' to be float32 under autocast (got {loss.dtype})",
        )
    backward(losses)
    for name, grad in gradients(model).items():
        expect(grad.isfinite().all(), f"expected finite gradients of '{name}' under autocast")


@contract
def check_half_precision(subject: Subject) -> None:
    """Features may be stored in half precision."""
    raw = copy(subject.raw)
    for m in modalities(raw):
        raw[ITEM][f"x_{m}"] = raw[ITEM][f"x_{m}"].half()
    each = subject.on(raw)
    expected, found = (embeddings(s.build(), s.data) for s in (subject, each))
    for kind, x in found.items():
        close = x.dtype == expected[kind].dtype and x.shape == expected[kind].shape
        expect(close, f"expected embeddings of each {kind} as with features in single precision")
    backward(all_losses(each.build(), each.data, each.batch()))


@contract
def check_gradients(subject: Subject) -> None:
    """Every parameter receives a gradient."""
    if subject.is_solved:
        return
    model = subject.build()
    backward(all_losses(model, subject.data, subject.batch()))
    found = gradients(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            reached = name in found and found[name].ne(0).any()
            expect(reached, f"expected a gradient of the parameter '{name}'")


@contract
def check_zero_features(subject: Subject) -> None:
    """Rows of zeros, which have no direction, do not cause large gradients."""
    raw = copy(subject.raw)
    for m in modalities(raw):
        x = raw[ITEM][f"x_{m}"].clone()
        x[::3] = 0
        raw[ITEM][f"x_{m}"] = x
    each = subject.on(raw)
    model = each.build()
    backward(all_losses(model, each.data, each.batch()))
    for name, grad in gradients(model).items():
        largest = grad.abs().max().item()
        expect(
            largest < LARGEST_GRADIENT,
            f"expected moderate gradients of '{name}' with features of zero (got {largest:.1e})",
        )


@contract
def check_masked_values(subject: Subject) -> None:
    """Values in masked rows, even NaN, have no effect."""
    expected = _computed(subject.on(masked(subject.raw, 0.0)))
    for value in (1e9, float("nan")):
        found = _computed(subject.on(masked(subject.raw, value)))
        expect_equal(expected, found, f"expected {value} in masked rows to change nothing")


@contract
def check_devices(subject: Subject) -> None:
    """All tensors of a model are on the device of its parameters and the data."""
    model, batch = subject.build(), subject.batch()
    with FakeCuda():
        model, data = model.to("cuda"), copy(subject.data).to("cuda")
        batch = Batch(*(x.to("cuda") for x in batch))
        model.reset_parameters()
        backward(all_losses(model, data, batch))
        found = dict(model.named_parameters()) | gradients(model)
        found |= dict(model.named_buffers()) | embeddings(model, data)
        for name, x in found.items():
            expect(x.device.type == "cuda", f"expected '{name}' on the GPU (got {x.device})")


def _computed(subject: Subject) -> dict[str, Tensor]:
    """Embeddings, losses and gradients with a fixed seed, by name."""
    model = subject.build()
    torch.manual_seed(0)
    losses = all_losses(model, subject.data, subject.batch())
    backward(losses)
    return embeddings(model, subject.data) | snapshot(losses) | gradients(model)


def _tensors(data: HeteroData) -> dict[str, Tensor]:
    found = {}
    for store in data.stores:
        for key, value in store.items():
            parts = value if isinstance(value, tuple) else (value,)
            for i, x in enumerate(parts):
                if isinstance(x, Tensor):
                    found[f"{store._key} {key} {i}"] = x
    return found


def _random_states() -> tuple[Any, ...]:
    legacy = np.random.get_state()  # noqa: NPY002
    return random.getstate(), str(legacy), torch.get_rng_state().tolist()
