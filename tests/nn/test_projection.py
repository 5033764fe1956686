import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import ContentProjection, ModalityProjections

WIDTHS = {"b": 3, "a": 2, "c": 4}


def features(num_items=5):
    torch.manual_seed(0)
    return {m: torch.randn(num_items, width) for m, width in WIDTHS.items()}


def test_equals_a_product_with_the_concatenated_features():
    projection, x = ContentProjection(WIDTHS, 6), features()
    mask = {"a": None, "b": torch.tensor([True, False, True, False, True]), "c": None}
    out = projection(x, mask)
    together = torch.cat([x["a"], x["b"] * mask["b"][:, None], x["c"]], dim=1)
    torch.testing.assert_close(out, together @ projection.weight.t())


def test_what_is_missing_never_matters():
    projection, x = ContentProjection({"a": 2}, 6), {"a": torch.randn(3, 2)}
    mask = {"a": torch.tensor([True, False, True])}
    before = projection(x, mask)
    x["a"][1] = 1e9
    assert torch.equal(projection(x, mask), before)
    assert torch.equal(before[1], torch.zeros(6))


def test_half_precision_features():
    projection, x = ContentProjection(WIDTHS, 6), features()
    mask = dict.fromkeys(WIDTHS)
    half = {m: value.half() for m, value in x.items()}
    out = projection(half, mask)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, projection(x, mask), atol=1e-2, rtol=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert projection(x, mask).dtype == torch.float32


def test_needs_a_modality():
    with pytest.raises(ValueError, match="at least one modality"):
        ContentProjection({}, 6)


def test_projections_equal_products_modality_by_modality():
    projections, x = ModalityProjections(WIDTHS, 6), features()
    assert projections.modalities == ["a", "b", "c"]
    for linear in projections.linears:
        torch.nn.init.normal_(linear.bias)
    mask = {"a": None, "b": torch.tensor([True, False, True, False, True]), "c": None}
    x["b"][~mask["b"]] = 1e9
    out = projections(x, mask)
    assert list(out) == ["a", "b", "c"]
    for name, linear in zip("abc", projections.linears):
        for item, row in enumerate(x[name]):
            expected = linear.weight @ row + linear.bias
            if name == "b" and not mask["b"][item]:
                expected = torch.zeros(6)
            torch.testing.assert_close(out[name][item], expected)


def test_projections_of_half_precision_features_and_without_bias():
    projections, x = ModalityProjections(WIDTHS, 6, bias=False), features()
    mask = dict.fromkeys(WIDTHS)
    half = projections({m: value.half() for m, value in x.items()}, mask)
    with torch.autocast("cpu", torch.bfloat16):
        cast = projections(x, mask)
    for name, expected in projections(x, mask).items():
        assert half[name].dtype == cast[name].dtype == torch.float32
        torch.testing.assert_close(half[name], expected, atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(cast[name], expected, atol=5e-2, rtol=5e-2)
    assert all(linear.bias is None for linear in projections.linears)


def test_projections_need_a_modality():
    with pytest.raises(ValueError, match="at least one modality"):
        ModalityProjections({}, 6)


def test_masks_and_features_of_others_are_refused():
    x = {"a": torch.randn(3, 4)}
    for layer in (ContentProjection({"a": 4}, 2), ModalityProjections({"a": 4}, 2)):
        with pytest.raises(InputError, match=r"'mask' has shape \[1\]; expected \[3\]"):
            layer(x, {"a": torch.ones(1, dtype=torch.bool)})
        with pytest.raises(InputError, match=r"'x' has shape \[3, 3\]; expected \[I, 4\]"):
            layer({"a": x["a"][:, 1:]}, {"a": None})
