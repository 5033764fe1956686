import logging

import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import InputError
from mentor_pyg.transforms import CompactFeatures
from mentor_pyg.transforms.compact_features import principal_axes
from mentor_pyg.typing import ITEM

ITEMS, WIDTH, RANK = 30, 20, 5
MASK = torch.arange(ITEMS) % 7 != 3


@pytest.fixture
def data():
    """Visual features of rank five, textual ones of full rank; the second rows are zero."""
    torch.manual_seed(0)
    data = HeteroData()
    visual = torch.randn(ITEMS, RANK) @ torch.randn(RANK, WIDTH)
    visual[1] = visual[~MASK] = 0
    data[ITEM].x_visual, data[ITEM].mask_visual = visual, MASK.clone()
    data[ITEM].x_textual = torch.randn(ITEMS, 9) + 2
    data[ITEM].x_textual[1] = 0
    return data


def compact(data, *args, **kwargs):
    """Visual and textual features afterwards."""
    store = CompactFeatures(*args, **kwargs)(data)[ITEM]
    return store.x_visual, store.x_textual


def products(x):
    return x.double() @ x.double().t()


def truncated(x, channels):
    """The closest matrix of a rank, by SVD."""
    u, s, vh = torch.linalg.svd(x.double(), full_matrices=False)
    return (u[:, :channels] * s[:channels]) @ vh[:channels]


def assert_close(x, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(x / scale, expected / scale, rtol=0, atol=2e-6)


@pytest.mark.parametrize("channels", [RANK, RANK + 1, WIDTH - 1])
def test_inner_products_stay_as_soon_as_channels_reach_the_rank(data, channels):
    x, _ = compact(data, channels)
    assert x.shape == (ITEMS, channels)
    assert_close(products(x), products(data[ITEM].x_visual))


@pytest.mark.parametrize("modality", ["visual", "textual"])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_else_they_are_those_of_the_best_approximation(data, modality, channels):
    raw = data[ITEM][f"x_{modality}"]
    x = dict(zip(("visual", "textual"), compact(data, channels)))[modality]
    expected = truncated(raw, channels)
    assert not torch.allclose(expected, raw.double(), atol=0.1)
    assert_close(products(x), products(expected))
    # Its columns stand at right angles, the longest first:
    lengths = torch.linalg.svdvals(raw.double())[:channels]
    assert_close(x.double().t() @ x.double(), lengths.square().diag())


def test_fewer_items_than_channels(data):
    raw = torch.randn(6, 50)
    data[ITEM].x_visual = raw
    del data[ITEM].mask_visual
    x, _ = compact(data, 10)
    assert x.shape == (6, 10)
    assert_close(products(x), products(raw))


@pytest.mark.parametrize("num_items", [12, 60])  # fewer than columns, and more
def test_best_approximation_with_signs_of_its_own(num_items):
    torch.manual_seed(0)
    x = torch.randn(num_items, 40) * torch.linspace(3, 0.1, 40)
    axes, kept = principal_axes(x, 7)
    torch.testing.assert_close(axes.t() @ axes, torch.eye(7), atol=1e-5, rtol=0)
    assert_close(x @ axes @ axes.t(), truncated(x, 7).float())
    lengths = torch.linalg.svdvals(x).square()
    assert kept == pytest.approx((lengths[:7].sum() / lengths.sum()).item(), rel=1e-5)
    assert (axes.amax(dim=0) == axes.abs().amax(dim=0)).all()


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scale_of_features_does_not_matter(data, scale):
    expected = products(truncated(scale * data[ITEM].x_visual, 3))
    data[ITEM].x_visual *= scale
    assert_close(products(compact(data, 3)[0]), expected)


@pytest.mark.parametrize("channels", [3, 7])
def test_zero_rows_stay_zero(data, channels):
    there = torch.arange(ITEMS) != 1
    for x, expected in zip(compact(data, channels), (there & MASK, there)):
        assert torch.equal(x.any(dim=1), expected)


def test_features_of_zeros(data):
    data[ITEM].x_visual.zero_()
    assert torch.equal(compact(data, 4)[0], torch.zeros(ITEMS, 4))


@pytest.mark.parametrize(
    ("channels", "changed"), [(8, [True, True]), (9, [True, False]), (WIDTH, [False, False])]
)
def test_modalities_without_more_columns_stay_as_they_are(data, channels, changed):
    before = [data[ITEM].x_visual, data[ITEM].x_textual]
    assert [a is not b for a, b in zip(compact(data, channels), before)] == changed


@pytest.mark.parametrize("given", [torch.float16, torch.float32, torch.float64])
def test_dtype_stays_if_none_is_named(data, given):
    data[ITEM].x_visual = data[ITEM].x_visual.to(given)
    expected = products(truncated(data[ITEM].x_visual, 3))
    x, _ = compact(data, 3)
    assert x.dtype == given
    tolerance = 2e-3 if given == torch.float16 else 2e-6
    assert (products(x) - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_dtype(data, name):
    dtype = getattr(torch, name)
    raw = data[ITEM].x_visual, data[ITEM].x_textual
    for x, before in zip(compact(data, dtype=name), raw):
        assert torch.equal(x, before.to(dtype))
        assert x.dtype == dtype


def test_channels_and_dtype_together(data):
    wide, narrow = compact(data, 4), compact(data, 4, "bfloat16")
    for x, other in zip(narrow, wide):
        assert x.dtype == torch.bfloat16
        assert torch.equal(x, other.bfloat16())  # rounded last


def test_nothing_asked_nothing_done(data):
    visual, textual = compact(data)
    assert visual is data[ITEM].x_visual
    assert textual is data[ITEM].x_textual


def test_masks_stay(data):
    store = CompactFeatures(4, "float16")(data)[ITEM]
    assert torch.equal(store.mask_visual, MASK)
    assert store.mask_visual.dtype == torch.bool
    assert sorted(store.keys()) == ["mask_visual", "x_textual", "x_visual"]


def test_data_given_stay_as_they_are(data):
    store = data[ITEM]
    before = store.x_visual, store.x_visual.clone()
    out = CompactFeatures(4, "float16")(data)
    assert out is not data
    assert store.x_visual is before[0]
    assert torch.equal(*before)


def test_log_tells_what_is_kept(data, caplog):
    with caplog.at_level(logging.INFO, logger="mentor_pyg"):
        compact(data, 2)
        compact(data, 9)
    lines = []
    for modality, width, channels in (("textual", 9, 2), ("visual", 20, 2), ("visual", 20, 9)):
        squares = torch.linalg.svdvals(data[ITEM][f"x_{modality}"].double()).square()
        share = squares[:channels].sum() / squares.sum()
        head = f"{modality}: {width} to {channels} columns"
        lines.append(f"{head}, {share:.2%} of the squared length kept")
    assert caplog.messages == lines
    assert lines[-1].endswith(" 100.00% of the squared length kept")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels: is 0; expected at least 1"),
        ({"channels": -3}, "channels: is -3; expected at least 1"),
        ({"dtype": "float64"}, "dtype: is 'float64'; expected one of"),
        ({"dtype": "half"}, r"dtype: is 'half'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        CompactFeatures(**options)


def test_repr():
    assert repr(CompactFeatures()) == "CompactFeatures(channels=None, dtype=None)"
    expected = "CompactFeatures(channels=8, dtype='float16')"
    assert repr(CompactFeatures(8, "float16")) == expected


@pytest.mark.parametrize("channels", [None, 3, WIDTH])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_later_rows_are_projected_as_the_others_were(data, channels, dtype):
    raw = data[ITEM].x_visual.clone()
    transform = CompactFeatures(channels, dtype)
    axes = transform.axes(raw)
    x = transform(data)[ITEM].x_visual
    assert torch.equal(transform.project(raw[4:7], axes), x[4:7])
    assert (axes is None) == (channels != 3)
    middle = transform.project((raw[4:5] + raw[6:7]) / 2, axes)
    torch.testing.assert_close(middle, (x[4:5] + x[6:7]) / 2, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_scale_makes_no_difference_to_the_axes(scale):
    x = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    (axes, kept), (others, share) = principal_axes(x, 3), principal_axes(scale * x, 3)
    torch.testing.assert_close(axes, others, rtol=1e-4, atol=1e-4)
    assert kept == pytest.approx(share)


@pytest.mark.parametrize(
    ("value", "message"),
    [(1e5, r"features reach 1e\+05, which float16 cannot"), (1e-9, "at most 1e-09 zero")],
)
def test_features_that_a_dtype_does_not_hold_are_refused(value, message):
    x = torch.ones(3, 2)
    x[1] = value
    with pytest.raises(InputError, match=f"^CompactFeatures: .*{message}"):
        CompactFeatures(dtype="float16").project(x, None)
    assert CompactFeatures(dtype="bfloat16").project(x, None).dtype == torch.bfloat16
