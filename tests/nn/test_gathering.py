import math

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn.gathering import ContentGathering
from mentor_pyg.nn.graph import user_item_adjacency

USERS, ITEMS = 9, 6
CHANNELS = {"b": 3, "a": 4}


@pytest.fixture
def given():
    """Features, masks, pairs and the matrix; user 2 and item 1 have no pairs."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.rand(USERS, ITEMS, generator=generator) < 0.5
    pairs[2], pairs[:, 1] = False, False
    x = {m: torch.rand(ITEMS, d, generator=generator) for m, d in CHANNELS.items()}
    mask = {"a": None, "b": torch.arange(ITEMS) != 3}
    return x, mask, pairs, user_item_adjacency(pairs.nonzero().t(), USERS, ITEMS)


def equal(found, expected):
    return [torch.equal(a, b) for a, b in zip(found, expected, strict=True)]


def test_equals_loops(given):
    x, mask, pairs, adj = given
    layer = ContentGathering(CHANNELS, 5)
    found = layer(x, mask, adj)
    assert [tuple(x.shape) for x in found] == [(USERS, 2, 5), (ITEMS, 2, 5)]
    for m, name in enumerate(["a", "b"]):
        linear = layer.projections.linears[m]
        projected = [
            torch.zeros(5) if mask[name] is not None and not mask[name][i] else linear(x[name][i])
            for i in range(ITEMS)
        ]
        user, item = torch.zeros(USERS, 5), torch.zeros(ITEMS, 5)
        for u, i in pairs.nonzero().tolist():
            user[u] += projected[i] / math.sqrt(pairs[u].sum())
        for u, i in pairs.nonzero().tolist():
            item[i] += user[u] / math.sqrt(pairs[:, i].sum())
        torch.testing.assert_close(found[0][:, m], user)
        torch.testing.assert_close(found[1][:, m], item)


def test_garbage_in_missing_rows_has_no_effect(given):
    x, mask, _, adj = given
    layer = ContentGathering(CHANNELS, 5)
    expected = layer(x, mask, adj)
    x["b"][3] = torch.nan
    assert equal(layer(x, mask, adj), expected) == [True, True]


def test_reset_draws_afresh(given):
    x, mask, _, adj = given
    layer = ContentGathering(CHANNELS, 5)
    before = layer(x, mask, adj)
    layer.reset_parameters()
    assert equal(layer(x, mask, adj), before) == [False, False]


def test_dropout_is_for_training_alone(given):
    x, mask, _, adj = given
    layer = ContentGathering(CHANNELS, 5, dropout=0.5)
    assert equal(layer(x, mask, adj), layer(x, mask, adj)) == [False, False]
    layer.eval()
    assert equal(layer(x, mask, adj), layer(x, mask, adj)) == [True, True]


def test_without_modalities():
    with pytest.raises(ValueError, match="at least one modality"):
        ContentGathering({}, 5)


def test_weights_of_the_graph_make_no_difference(given):
    x, mask, pairs, adj = given
    weighted = user_item_adjacency(
        pairs.nonzero().t(), USERS, ITEMS, torch.rand(int(pairs.sum())) + 0.1
    )
    layer = ContentGathering(CHANNELS, 5)
    torch.testing.assert_close(layer(x, mask, weighted), layer(x, mask, adj))


def test_masks_of_other_items_are_refused(given):
    x, mask, _, adj = given
    with pytest.raises(InputError, match=r"'mask' has shape \[1\]; expected \[6\]"):
        ContentGathering(CHANNELS, 5)(x, mask | {"b": torch.ones(1, dtype=torch.bool)}, adj)
