import numpy as np
import pytest
from scipy import stats

from mentor_pyg import InputError
from mentor_pyg.evaluation import (
    Sampling,
    UserMetrics,
    mean_intervals,
    mean_variance,
    metric_intervals,
)


def share_that_holds(values, mean, confidence=0.95):
    """Of samples [n, R] or [S, n, R] with a known mean."""
    found = mean_intervals(values, Sampling(confidence=confidence))
    return np.mean([e.low <= mean <= e.high for e in found])


def test_of_a_share_it_is_the_interval_of_wilson():
    for hits, n in ((0, 2000), (40, 2000), (1000, 2000)):
        values = np.repeat([1.0, 0.0], [hits, n - hits])[:, None]
        (found,) = mean_intervals(values, Sampling(confidence=0.9))
        expected = stats.binomtest(hits, n).proportion_ci(0.9, method="wilson")
        assert found.value == hits / n
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=2e-3)


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 6])
@pytest.mark.parametrize("n", [2, 3, 40])
def test_equals_the_formula(num_seeds, n):
    """With one user more, who has the variance of a hit."""
    values = np.random.default_rng(n).random((num_seeds, n, 2)) ** 3
    found = mean_variance(values)
    for metric, estimate in enumerate(mean_intervals(values, Sampling(confidence=0.8))):
        m = values[..., metric].mean()
        variance = found.variance[metric] + m * (1 - m) / n**2
        size, t = m * (1 - m) / variance, stats.t.ppf(0.9, found.df[metric])
        middle = (m + t**2 / (2 * size)) / (1 + t**2 / size)
        reach = t * np.sqrt(variance + t**2 / (4 * size**2)) / (1 + t**2 / size)
        assert estimate == pytest.approx((m, middle - reach, middle + reach))


def test_defaults_are_what_the_tables_say():
    assert Sampling() == Sampling(10_000, 0.95, 0, "permutation")
    values = np.random.default_rng(0).random((9, 1))
    assert mean_intervals(values) == mean_intervals(values, Sampling(confidence=0.95))
    assert mean_intervals(values[:, :0]) == []


@pytest.mark.parametrize("n", [5, 20, 50, 500])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_intervals_of_small_groups_hold_hits(n, rate):
    """20 users of whom one in 20 has a hit: percentiles of a bootstrap hold 62 % there."""
    hits = np.random.default_rng(0).random((n, 1000)) < rate
    assert share_that_holds(hits.astype(float), rate) > 0.9


@pytest.mark.parametrize(("n", "low"), [(20, 0.91), (500, 0.93)])
def test_intervals_hold_means_of_other_metrics(n, low):
    """NDCG of a tenth of the users with a hit somewhere among 20."""
    rng = np.random.default_rng(1)
    gain = 1 / np.log2(rng.integers(2, 22, (n, 1000)))
    values = gain * (rng.random((n, 1000)) < 0.1)
    mean = 0.1 * np.mean(1 / np.log2(np.arange(2, 22)))
    assert low < share_that_holds(values, mean) < 0.99
    assert share_that_holds(values, mean, confidence=0.5) < 0.7


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_intervals_hold_what_seeds_change(num_seeds):
    """Other seeds change the mean by 0.02, which 500 users alone wouldn't show."""
    rng = np.random.default_rng(2)
    levels = 0.2 + 0.02 * rng.normal(size=(num_seeds, 1, 300))
    values = (rng.random((num_seeds, 500, 300)) < levels).astype(float)
    assert share_that_holds(values, 0.2) > 0.91
    assert share_that_holds(values.mean(axis=0), 0.2) < 0.91  # as before: over users alone


def test_edges():
    assert mean_intervals(np.array([[0.0], [0.0]]))[0][:2] == (0.0, 0.0)
    assert mean_intervals(np.ones((40, 1)))[0].high == 1
    value, low, high = mean_intervals(np.array([[0.5]]))[0]  # one user: nothing is known
    assert (value, low, high) == (0.5, pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))
    assert mean_intervals(np.full((9, 1), 1 + 5e-7))[0].high == 1  # metrics are float32
    for shape in ((0, 2), (0, 4, 2), (4,)):
        with pytest.raises(InputError, match=r"metrics: have shape .*; expected seeds, users and"):
            mean_intervals(np.zeros(shape))
    with pytest.raises(InputError, match="metrics: there are no seeds; expected at least one"):
        metric_intervals([])
    for value in (np.nan, -0.1, 1.5):
        with pytest.raises(InputError, match="metrics: are not all from 0 to 1; expected"):
            mean_intervals(np.array([[0.2], [value]]))


def test_of_metrics_by_name():
    values = np.random.default_rng(1).random((3, 17, 2))
    seeds = [UserMetrics(np.arange(17), ("a", "b"), run, 17) for run in values]
    found = metric_intervals(seeds, Sampling(confidence=0.8))
    assert list(found) == ["a", "b"]
    assert list(found.values()) == mean_intervals(values, Sampling(confidence=0.8))


@pytest.mark.parametrize(
    "options", [{"num_resamples": 0}, {"confidence": 0}, {"confidence": 1}, {"seed": -1}]
)
def test_numbers_out_of_range(options):
    with pytest.raises(InputError, match="; expected "):
        Sampling(**options)
