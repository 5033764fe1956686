"""Contracts on renumbered, added and sampled users and items."""

from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.serving.new_items import append_copies
from mentor_pyg.testing.subject import Subject, all_losses, contract, embeddings, expect
from mentor_pyg.typing import ITEM, USER, Batch


@contract
def check_relabelling(subject: Subject) -> None:
    """Renumbering users and items does not change their embeddings, or, if a model is solved, the
    scores of their pairs.

    Parameters are permuted as well, and the state of an epoch is rebuilt, or the model solved.
    """
    generator = torch.Generator().manual_seed(0)
    new = {k: torch.randperm(subject.raw[k].num_nodes, generator=generator) for k in (USER, ITEM)}
    other = subject.on(_renumbered(subject.raw, new))
    model, relabelled = subject.build(), other.build(seed=1)
    relabelled.load_state_dict(_renumbered_state(subject, model.state_dict(), new))
    for each, data in ((model, subject.data), (relabelled, other.data)):
        torch.manual_seed(0)
        all_losses(each, data, subject.batch()) if subject.is_solved else each.start_epoch(data)
    expected, found = embeddings(model, subject.data), embeddings(relabelled, other.data)
    if subject.is_solved:
        scores, other_scores = (x[USER] @ x[ITEM].t() for x in (expected, found))
        expect(
            _close(other_scores[new[USER]][:, new[ITEM]], scores),
            "expected the same scores after renumbering",
        )
        return
    for kind, x in found.items():
        expect(
            _close(x[new[kind]], expected[kind]),
            f"expected the same embeddings of each {kind} after renumbering",
        )


@contract
def check_new_items(subject: Subject) -> None:
    """A model that embeds items from content embeds new items, without changing others."""
    if not subject.cls.uses_content:
        return
    model, rows = subject.build(), torch.arange(5)
    before = embeddings(model, subject.data)
    num_items = subject.raw[ITEM].num_nodes
    after = embeddings(model, append_copies(subject.data, rows))
    expect(
        len(after[ITEM]) == num_items + len(rows),
        f"expected an embedding of each of {num_items + len(rows)} items, new ones included "
        f"(got {len(after[ITEM])}), since 'uses_content' is set",
    )
    for kind, x in before.items():
        same = _close(after[kind][: len(x)], x)
        expect(same, f"expected new items not to change the embeddings of each {kind}")
    new = after[ITEM][num_items:]
    expect(new.isfinite().all() and new.ne(0).any(dim=1).all(), "expected new items' embeddings")


@contract
def check_sampled_parts(subject: Subject) -> None:
    """A sampled subgraph, in another order and with ``n_id``, gives the embeddings of its
    nodes, or is rejected if the model needs the whole graph."""
    model, generator = subject.build(), torch.Generator().manual_seed(0)
    model.start_epoch(subject.data)
    n_id = {k: torch.randperm(subject.raw[k].num_nodes, generator=generator) for k in (USER, ITEM)}
    part = _sampled(subject.data, n_id)
    if subject.cls.whole_graph:
        try:
            embeddings(model, part)
        except InputError:
            return
        raise AssertionError("expected an InputError for a subgraph, since 'whole_graph' is set")
    expected, found = embeddings(model, subject.data), embeddings(model, part)
    for kind, x in found.items():
        expect(
            _close(x, expected[kind][n_id[kind]]),
            f"expected the rows of each {kind} of a sampled graph by its 'n_id'",
        )


@contract
def check_losses_of_sampled_parts(subject: Subject) -> None:
    """The loss terms of triples are the same in a sampled subgraph that holds the whole graph in
    another order, or it is rejected. Terms that are drawn at random are left out."""
    if subject.is_solved:
        return
    model, generator = subject.build(), torch.Generator().manual_seed(0)
    n_id = {k: torch.randperm(subject.raw[k].num_nodes, generator=generator) for k in (USER, ITEM)}
    place, batch = {k: rows.argsort() for k, rows in n_id.items()}, subject.batch()
    moved = Batch(place[USER][batch.user], place[ITEM][batch.pos_item], place[ITEM][batch.neg_item])
    model.start_epoch(subject.data)
    first, second = (_seeded_losses(model, seed, subject.data, batch) for seed in (0, 1))
    try:
        found = _seeded_losses(model, 0, _sampled(subject.data, n_id), moved)
    except InputError:
        return
    for name, value in first.items():
        if torch.equal(value, second[name]):
            expect(
                _close(found[name], value),
                f"expected '{name}' of a sampled graph to be that of the whole, or a refusal "
                f"(got {float(found[name])} and {float(value)})",
            )


@torch.no_grad()
def _seeded_losses(model: Any, seed: int, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    losses: dict[str, Tensor] = model.losses(data, batch)
    return losses


def _sampled(data: HeteroData, n_id: dict[str, Tensor]) -> HeteroData:
    """All of ``data`` in a random order, as a loader might sample it."""
    part = copy(data)
    for node_type, rows in n_id.items():
        for key, value in data[node_type].items():
            if data[node_type].is_node_attr(key):
                part[node_type][key] = value[rows]
        part[node_type].n_id = rows
    place = {node_type: rows.argsort() for node_type, rows in n_id.items()}
    for edge_type in data.edge_types:
        store, order = data[edge_type], torch.randperm(data[edge_type].edge_index.size(1))
        for key, value in store.items():
            if key == "edge_index":
                source, target = value[:, order]
                ends = place[edge_type[0]][source], place[edge_type[2]][target]
                part[edge_type].edge_index = torch.stack(ends)
            elif isinstance(value, Tensor) and value.shape == order.shape:
                part[edge_type][key] = value[order]
    return part


def grown(raw: HeteroData, users: int = 0, items: int = 0) -> HeteroData:
    """Adds users, and items with features of existing ones, without interactions."""
    raw = copy(raw)
    num_items = raw[ITEM].num_nodes
    for key, value in list(raw[ITEM].items()):
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == num_items:
            raw[ITEM][key] = torch.cat([value, value[:items]])
    raw[USER].num_nodes = raw[USER].num_nodes + users
    raw[ITEM].num_nodes = num_items + items
    return raw


def _renumbered(raw: HeteroData, new: dict[str, Tensor]) -> HeteroData:
    """Renames user u to ``new["user"][u]``, and items likewise."""
    raw = copy(raw)
    old_item = new[ITEM].argsort()
    for key, value in list(raw[ITEM].items()):
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == len(old_item):
            raw[ITEM][key] = value[old_item]
    for edge_type in raw.edge_types:
        store = raw[edge_type]
        for key in [key for key in store if key.endswith("index")]:
            source, target = store[key]
            store[key] = torch.stack([new[edge_type[0]][source], new[edge_type[2]][target]])
    return raw


def _renumbered_state(
    subject: Subject, state: dict[str, Tensor], new: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Permutes users and items in a state.

    A dimension belongs to users, items or both (users first) if it grows with their number.
    Integers may be indices of items and are left unchanged.
    """
    more_users = _shapes(subject.on(grown(subject.raw, users=1)))
    more_items = _shapes(subject.on(grown(subject.raw, items=1)))
    old_user, old_item = new[USER].argsort(), new[ITEM].argsort()
    orders = {
        (1, 0): old_user,
        (0, 1): old_item,
        (1, 1): torch.cat([old_user, len(old_user) + old_item]),
    }
    renumbered = {}
    for name, value in state.items():
        if value.is_floating_point():
            for dim, size in enumerate(value.shape):
                growth = (more_users[name][dim] - size, more_items[name][dim] - size)
                if growth in orders:
                    value = value.index_select(dim, orders[growth])
        renumbered[name] = value
    return renumbered


def _close(ours: Tensor, theirs: Tensor) -> bool:
    """Whether they are equal up to rounding, since sums are computed in another order."""
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def _shapes(subject: Subject) -> dict[str, Any]:
    return {name: x.shape for name, x in subject.build().state_dict().items()}
