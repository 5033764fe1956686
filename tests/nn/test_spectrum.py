import math

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn.spectrum import SpectrumFusion


def fourier(size):
    """The orthonormal Fourier transform as a matrix."""
    n = torch.arange(size, dtype=torch.float64)
    angle = -2 * math.pi * torch.outer(n, n) / size
    return torch.polar(torch.full_like(angle, size**-0.5), angle)


def full(half, size):
    """A filter of a real signal's spectrum, whose upper half mirrors the lower."""
    return torch.stack([half[k] if k < len(half) else half[size - k].conj() for k in range(size)])


@pytest.mark.parametrize("size", [8, 5])
def test_equals_fourier_matrices(size):
    torch.manual_seed(0)
    fusion = SpectrumFusion(2, size).double()
    mask = torch.tensor([True, True, False, False])
    x = {"a": torch.randn(4, size).double(), "b": torch.randn(4, size).double()}
    x["b"][~mask] = 0
    filtered, fused = fusion(x, {"a": None, "b": mask})
    matrix = fourier(size)
    back = matrix.conj()
    filters = torch.view_as_complex(fusion.weight.detach())
    # A real signal has real values at the ends of its spectrum; irfft drops the rest of them:
    ends = {0} | ({size // 2} if size % 2 == 0 else set())
    a, b = (h.to(matrix.dtype) @ matrix for h in x.values())
    for z, c, ours in ((a, filters[0], filtered["a"]), (b, filters[1], filtered["b"])):
        torch.testing.assert_close(ours, inverse(z, c, size, ends, back))
    product = torch.where(mask[:, None], a * b, a)
    torch.testing.assert_close(fused, inverse(product, filters[2], size, ends, back))


def inverse(z, c, size, ends, back):
    z = z * full(c, size)
    z[:, list(ends)] = z[:, list(ends)].real.to(z.dtype)
    return (z @ back).real


def test_an_item_without_content_is_zero():
    fusion = SpectrumFusion(2, 6)
    mask = torch.tensor([True, False])
    x = {m: torch.randn(2, 6) * mask[:, None] for m in "ab"}
    filtered, fused = fusion(x, {"a": mask, "b": mask})
    assert fused[0].any()
    assert not fused[1].any()
    assert not filtered["a"][1].any()


def test_other_modalities_are_refused():
    x = {"a": torch.randn(3, 4), "b": torch.randn(3, 4), "c": torch.randn(3, 4)}
    with pytest.raises(InputError, match="features of 3 modalities; expected 2"):
        SpectrumFusion(2, 4)(x, dict.fromkeys(x))
    with pytest.raises(InputError, match=r"'b' has shape \[1, 4\]; expected \[3, 4\]"):
        SpectrumFusion(3, 4)(x | {"b": x["b"][:1]}, dict.fromkeys(x))


def test_features_of_another_width_are_refused():
    """Of 2 and 3 columns there are as many frequencies."""
    with pytest.raises(InputError, match=r"'a' has shape \[5, 3\]; expected \[I, 2\]"):
        SpectrumFusion(1, 2)({"a": torch.randn(5, 3)}, {"a": None})
    with pytest.raises(InputError, match=r"'a' has shape \[1\]; expected \[5\]"):
        SpectrumFusion(1, 2)({"a": torch.randn(5, 2)}, {"a": torch.ones(1, dtype=torch.bool)})
