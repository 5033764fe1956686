"""What is wrong with the data is told in one line."""

from copy import copy

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn import models
from mentor_pyg.nn.models.inputs import (
    content,
    content_widths,
    interactions,
    item_adjacency,
    nodes,
    user_adjacency,
)
from mentor_pyg.testing import add_graphs
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import COOCCURS, INTERACTS, ITEM, USER, similar


@pytest.fixture
def data(tiny):
    return add_graphs(tiny)


def with_value(data, key, value):
    data = copy(data)
    data[ITEM][key] = value
    return data


def broken(x, value):
    x = x.clone()
    x[3, 1] = value
    return x


@pytest.mark.parametrize(
    ("key", "change", "found"),
    [
        ("x_visual", lambda x: x[:-1], r"has shape \[39, 12\]"),
        ("x_visual", lambda x: torch.cat([x, x]), r"has shape \[80, 12\]"),
        ("x_visual", lambda x: x[:, 0], r"has shape \[40\]"),
        ("x_visual", lambda x: x.long(), r"dtype torch.int64"),
        (
            "x_visual",
            lambda x: broken(x, float("nan")),
            r"row 3 of 'x_visual' isn't finite \(1 rows",
        ),
        ("x_visual", lambda x: broken(x, float("-inf")), r"row 3 of 'x_visual' isn't finite"),
        ("mask_visual", lambda x: x[:-1, 0] > 0, r"has shape \[39\]"),
        ("mask_visual", lambda x: (x[:, 0] > 0).long(), r"dtype torch.int64"),
    ],
)
@pytest.mark.parametrize("name", ["MENTOR", "VBPR"])
def test_features_that_dont_fit_are_refused(data, name, key, change, found):
    wrong = with_value(data, key, change(data[ITEM].x_visual))
    with pytest.raises(InputError, match=rf"^data: .*{found}.*; expected [^\n]*$"):
        getattr(models, name).from_data(wrong)


def test_features_are_needed_and_those_of_the_training(data):
    model = models.VBPR.from_data(data)
    del data[ITEM].x_visual
    with pytest.raises(InputError, match=r"no 'x_visual'; expected .*, found textual"):
        model(data)
    del data[ITEM].x_textual
    with pytest.raises(InputError, match=r"the items have no features; expected at least one"):
        models.VBPR.from_data(data)


def test_later_shapes_are_looked_at_alone(data):
    model = models.VBPR.from_data(data)
    with pytest.raises(InputError, match=r"'x_visual' has shape \[39, 12\]"):
        model(with_value(data, "x_visual", data[ITEM].x_visual[:-1]))


def test_missing_transforms_are_named(tiny):
    with pytest.raises(InputError, match=r"no 'adjacency'; expected one made by LightGCNNorm"):
        interactions(tiny)
    with pytest.raises(InputError, match=r"no item graph 'similar_visual'; expected .* ItemKNN"):
        item_adjacency(tiny, similar("visual"))
    with pytest.raises(InputError, match=r"no user graph .*; expected .* UserCooccurrence"):
        user_adjacency(tiny)
    tiny[COOCCURS].edge_index = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(InputError, match=r"user graph has no 'adjacency'; .* UserCooccurrence"):
        user_adjacency(tiny)


def test_graphs_of_other_data_are_refused(data):
    for edge_type in data.edge_types:  # of weights that fit one could build the graphs again
        for key in ("norm", "edge_weight"):
            data[edge_type].pop(key, None)
    data[ITEM].num_nodes += 1
    with pytest.raises(InputError, match=r"the data has .* \[60, 40\] of .*; expected \[60, 41\]"):
        interactions(data)
    with pytest.raises(
        InputError, match=r"'similar_visual' has .* \[40, 40\] of .*; expected \[41, 41\]"
    ):
        item_adjacency(data, similar("visual"))
    data[USER].num_nodes += 1
    with pytest.raises(InputError, match=r"the data has .* \[60, 40\] of .*; expected \[61, 41\]"):
        interactions(data)
    with pytest.raises(
        InputError, match=r"user graph has .* \[60, 60\] of .*; expected \[61, 61\]"
    ):
        user_adjacency(data)


def test_graphs_are_those_of_the_transforms(data):
    store = data[INTERACTS]
    assert interactions(data) is store.adjacency
    assert interactions(data).shape == (60, 40)
    assert item_adjacency(data, similar("visual")) is data[similar("visual")].adjacency
    assert user_adjacency(data) is data[COOCCURS].adjacency


def test_a_graph_of_other_pairs_is_refused(data):
    """Whose sizes fit."""
    store = data[INTERACTS]
    store.edge_index, num_edges = store.edge_index[:, 1:], store.edge_index.size(1)
    message = rf"\[60, 40\] of {num_edges} edges; expected \[60, 40\] of {num_edges - 1}, as made"
    with pytest.raises(InputError, match=message):
        interactions(data)


def test_nodes_and_widths_are_those_of_the_data(data):
    assert nodes(data) == (60, 40, None, None)
    assert content_widths(data) == {"textual": 8, "visual": 12}
    data[USER].n_id, data[ITEM].n_id = torch.arange(60), torch.arange(40)
    found = nodes(data)
    assert found.user is data[USER].n_id
    assert found.item is data[ITEM].n_id


def other_item_graph(data, num_items):
    """Data whose graph of the pictures is of the first items alone."""
    wrong, other = copy(data), copy(data)
    other[ITEM].num_nodes = num_items
    for key in ("x_visual", "x_textual"):
        other[ITEM][key] = other[ITEM][key][:num_items]
    graph = ItemKNN(k=5, cache=False)(other)[similar("visual")].adjacency
    wrong[similar("visual")].adjacency = graph
    return wrong


@pytest.mark.parametrize("name", ["FREEDOM", "SMORE", "LATTICE", "MENTOR"])
def test_item_graphs_of_fewer_items_are_never_used(data, name):
    """Their product would be added to the wrong rows, or to all."""
    model, wrong = getattr(models, name).from_data(data), other_item_graph(data, 39)
    for ours, theirs in zip(encode(model, wrong), encode(model, data)):
        torch.testing.assert_close(ours, theirs)  # by the edges and weights beside it
    del wrong[similar("visual")].edge_weight
    with pytest.raises(InputError, match=r"\[39, 39\] of .*; expected \[40, 40\]"):
        model(wrong)
    data[similar("visual")].edge_index = data[similar("visual")].edge_index + 1
    data[similar("visual")].adjacency = wrong[similar("visual")].adjacency
    with pytest.raises(InputError, match=r"entries from 1 to 40; .* 0 to 39"):
        model(data)


def test_masked_rows_are_read_by_nobody(tiny):
    mask = torch.arange(40) % 3 > 0
    x = tiny[ITEM].x_visual
    tiny[ITEM].mask_visual = mask
    assert content(tiny, ["visual"])[0]["visual"] is x  # as it is, if all is finite
    x[~mask] = float("nan")
    cleaned = content(tiny, ["visual"])[0]["visual"]
    assert torch.equal(cleaned, x.nan_to_num())
    assert content(tiny, ["visual"])[0]["visual"] is cleaned  # made once
    rows = torch.tensor([0, 1])
    some, present = content(tiny, ["visual"], rows)
    assert torch.equal(some["visual"], cleaned[rows])
    assert present["visual"].tolist() == [False, True]


def test_masked_rows_are_read_by_no_compiled_model(tiny):
    tiny[ITEM].mask_visual = torch.arange(40) % 3 > 0
    tiny[ITEM].x_visual[~tiny[ITEM].mask_visual] = float("nan")
    data = LightGCNNorm()(tiny)
    model = models.VBPR.from_data(data)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(data)[1].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
