"""What stands in rows of missing features changes nothing, in any transform."""

from copy import copy

import pytest
import torch

from mentor_pyg.serving.new_items import ItemContent
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN
from mentor_pyg.typing import ITEM, modalities

TRANSFORMS = [
    ItemKNN(k=5, cache=False),
    CompactFeatures(channels=3),
    CompactFeatures(dtype="float16"),
    ContentVariant(noise={"visual": 0.5}),
    ContentVariant(missing={"visual": 0.3}),
    ContentVariant(early_fusion=True),
]


@pytest.fixture
def masks():
    generator = torch.Generator().manual_seed(0)
    return {m: torch.rand(40, generator=generator) > 0.3 for m in ("visual", "textual")}


def filled(data, masks, value):
    data = copy(data)
    for m, mask in masks.items():
        data[ITEM][f"mask_{m}"] = mask
        data[ITEM][f"x_{m}"] = data[ITEM][f"x_{m}"].masked_fill(~mask[:, None], value)
    return data


def read(data):
    """Present features, their masks, and all graphs."""
    for m in modalities(data):
        mask = data[ITEM].get(f"mask_{m}", torch.ones(40, dtype=torch.bool))
        yield from (mask, data[ITEM][f"x_{m}"][mask])
    for edge_type in data.edge_types[2:]:
        yield from (data[edge_type].edge_index, data[edge_type].edge_weight)


@pytest.mark.parametrize("value", [1e9, float("nan")])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_masked_rows_are_not_read(tiny, masks, transform, value):
    expected = list(read(transform(filled(tiny, masks, 0.0))))
    found = list(read(transform(filled(tiny, masks, value))))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_nor_for_the_axes_of_new_items(tiny, masks):
    compact = CompactFeatures(channels=3)
    clean, broken = (
        ItemContent(filled(tiny, masks, value), compact=compact).axes for value in (0.0, 1e9)
    )
    for m, axes in clean.items():
        assert torch.equal(broken[m], axes)
