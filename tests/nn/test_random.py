import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn.random import dropout, subset, uniform


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,), (7, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype(shape, dtype):
    draws = uniform(shape, torch.empty(0, dtype=dtype))
    assert draws.shape == shape
    assert draws.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_has_draws_of_float32(dtype):
    half, single = (
        uniform((9999,), torch.empty(0, dtype=d), torch.Generator().manual_seed(0))
        for d in (dtype, torch.float32)
    )
    assert torch.equal(half, single)


def test_draws_are_uniform_and_independent():
    torch.manual_seed(0)
    draws = uniform((400_000,), torch.empty(0))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = draws.mul(64).long().bincount(minlength=64)
    expected = draws.numel() / 64
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 110  # 63 degrees of freedom: one in 10,000 lies above 112
    for lag in (1, 2, 3, 4):  # draws of the same 64 bits, and the next
        pairs = torch.stack([draws[:-lag], draws[lag:]])
        assert pairs.corrcoef()[0, 1].abs() < 0.01


def test_a_generator_decides_the_draws():
    def draw(seed):
        return uniform((9, 5), torch.empty(0), torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout(p):
    torch.manual_seed(0)
    x = torch.full((500, 100), 2.0)
    out = dropout(x, p)
    assert set(out.unique().tolist()) == {0.0, (x[0, :1] / (1 - p)).item()}
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.01)


def test_dropout_of_nothing_and_of_all():
    x = torch.randn(4, 3)
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 0.5, training=False), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(4, 3))


def test_subset():
    x = torch.arange(100, 120)
    assert torch.equal(subset(x), x)
    assert torch.equal(subset(x, 20), x)
    few = subset(x, 5)
    assert len(few.unique()) == 5
    assert torch.isin(few, x).all()
    torch.manual_seed(0)
    assert torch.equal(torch.stack([subset(x, 5) for _ in range(200)]).unique(), x)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_dropout_of_more_than_all_is_refused(p):
    with pytest.raises(InputError, match=r"dropout\.p: is .*; expected at least 0 and at most 1"):
        dropout(torch.ones(3), p)
