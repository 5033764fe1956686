import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.analysis import Sampling, UserMetrics, bootstrap
from mentor_pyg.analysis.intervals import mean_intervals, resampled_means


@pytest.fixture
def values():
    return np.random.default_rng(1).random((17, 3))


@pytest.fixture(params=[1, 50, 2**20], ids=lambda n: f"block={n}")
def block(request, monkeypatch):
    monkeypatch.setattr("mentor_pyg.analysis.intervals.BLOCK_ENTRIES", request.param)


def test_means_equal_a_loop_with_the_same_generator(values, block):
    found = resampled_means(values, 40, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    expected = [values[rng.integers(17, size=17)].mean(axis=0) for _ in range(40)]
    assert np.allclose(found, expected, rtol=1e-12)


def test_intervals_are_percentiles(values):
    means = resampled_means(values, 500, np.random.default_rng(3))
    for j, estimate in enumerate(mean_intervals(values, Sampling(500, 0.8, seed=3))):
        assert estimate.value == pytest.approx(values[:, j].mean())
        assert estimate.low == pytest.approx(np.quantile(means[:, j], 0.1))
        assert estimate.high == pytest.approx(np.quantile(means[:, j], 0.9))


def test_intervals_hold_the_mean_as_often_as_they_say():
    """200 samples of 100 from a skewed distribution with mean 1, in intervals of 90%."""
    samples = np.random.default_rng(0).exponential(size=(100, 200))
    held = [e.low <= 1 <= e.high for e in mean_intervals(samples, Sampling(500, 0.9))]
    assert 0.84 <= np.mean(held) <= 0.95


def test_seeds(values):
    first, again, other = (mean_intervals(values, Sampling(50, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_of_metrics_by_name(values):
    metrics = UserMetrics(np.arange(17), ("a", "b", "c"), values, 17)
    found = bootstrap(metrics, Sampling(50))
    assert list(found) == ["a", "b", "c"]
    assert list(found.values()) == mean_intervals(values, Sampling(50))


@pytest.mark.parametrize(
    "options", [{"num_resamples": 0}, {"confidence": 0}, {"confidence": 1}, {"seed": -1}]
)
def test_numbers_out_of_range(options):
    with pytest.raises(InputError, match="; expected "):
        Sampling(**options)
