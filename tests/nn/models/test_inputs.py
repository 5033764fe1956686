"""What is wrong with the data is told in one line."""

from copy import copy

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import models
from mentor_pyg.nn.models.inputs import content, item_adjacency, user_adjacency, user_item_graph
from mentor_pyg.testing import add_graphs
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import COOCCURS, ITEM, USER, similar


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
        model.encode(data)
    del data[ITEM].x_textual
    with pytest.raises(InputError, match=r"the items have no features; expected at least one"):
        models.VBPR.from_data(data)


def test_later_shapes_are_looked_at_alone(data):
    model = models.VBPR.from_data(data)
    with pytest.raises(InputError, match=r"'x_visual' has shape \[39, 12\]"):
        model.encode(with_value(data, "x_visual", data[ITEM].x_visual[:-1]))


def test_missing_transforms_are_named(tiny):
    with pytest.raises(InputError, match=r"no 'adjacency'; expected one made by LightGCNNorm"):
        user_item_graph(tiny)
    with pytest.raises(InputError, match=r"no item graph 'similar_visual'; expected .* ItemKNN"):
        item_adjacency(tiny, similar("visual"))
    with pytest.raises(InputError, match=r"no user graph .*; expected .* UserCooccurrence"):
        user_adjacency(tiny)
    tiny[COOCCURS].edge_index = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(InputError, match=r"user graph has no 'adjacency'; .* UserCooccurrence"):
        user_adjacency(tiny)


def test_graphs_of_other_data_are_refused(data):
    data[ITEM].num_nodes += 1
    with pytest.raises(InputError, match=r"the data has .* \[100, 100\]; expected \[101, 101\]"):
        user_item_graph(data)
    with pytest.raises(
        InputError, match=r"'similar_visual' has .* \[40, 40\]; expected \[41, 41\]"
    ):
        item_adjacency(data, similar("visual"))
    data[USER].num_nodes += 1
    with pytest.raises(InputError, match=r"user graph has .* \[60, 60\]; expected \[61, 61\]"):
        user_adjacency(data)


def test_item_graphs_of_fewer_items_are_refused(data):
    """Whose product would be added to the wrong rows, or to all."""
    for name in ("FREEDOM", "SMORE", "LATTICE", "MENTOR"):
        model = getattr(models, name).from_data(data)
        wrong, small = copy(data), copy(data)
        small[ITEM].num_nodes = 39
        small[ITEM].x_visual, small[ITEM].x_textual = (
            small[ITEM].x_visual[:39],
            small[ITEM].x_textual[:39],
        )
        graph = ItemKNN(k=5, cache=False)(small)[similar("visual")].adjacency
        wrong[similar("visual")].adjacency = graph
        with pytest.raises(InputError, match=r"\[39, 39\]; expected \[40, 40\]"):
            model.encode(wrong)


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
    encode = torch.compile(model.encode, fullgraph=True, backend="aot_eager")
    encode(data)[1].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
