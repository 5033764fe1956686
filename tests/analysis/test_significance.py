import itertools
import sys

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.analysis import TESTS, Sampling, UserMetrics, compare, holm, paired_test
from mentor_pyg.analysis.intervals import mean_intervals


@pytest.fixture
def difference():
    """Small samples: clear, faint, with ties and zeros, and of one sign."""
    rng = np.random.default_rng(0)
    ties = np.array([1, 1, 0, -1, 1, 1, 0, 1, 1, -1]) / 3
    return np.stack([rng.normal(0.8, 1, 10), rng.normal(0.1, 1, 10), ties, rng.random(10)], 1)


def exact_p(column):
    """The share of all flips whose sum is at least as far from zero."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(column))))
    return (np.abs(signs @ column) >= abs(column.sum()) - 1e-12).mean()


@pytest.mark.parametrize("block", [1, 64, 2**20])
def test_permutation_equals_enumeration(difference, monkeypatch, block):
    monkeypatch.setattr("mentor_pyg.analysis.intervals.BLOCK_ENTRIES", block)
    exact = np.array([exact_p(column) for column in difference.T])
    assert exact.min() < 0.01
    assert exact.max() > 0.2
    deviation = np.sqrt(exact * (1 - exact) / 10_000)
    assert (np.abs(paired_test(difference) - exact) < 4 * deviation + 1e-4).all()


def test_permutation_holds_its_level():
    """Of 400 samples without a difference, 5% have p < 0.05."""
    skewed = np.random.default_rng(0).exponential(size=(2, 60, 400))
    share = (paired_test(skewed[0] - skewed[1]) < 0.05).mean()
    assert 0.025 < share < 0.08


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_against_scipy(difference, test):
    stats = pytest.importorskip("scipy.stats")
    a = np.random.default_rng(1).random(difference.shape)
    pair = stats.ttest_rel if test == "t" else stats.wilcoxon
    expected = [pair(x, y).pvalue for x, y in zip(a.T, (a + difference).T)]
    found = paired_test(difference, test)
    assert found[[0, 1, 3]] == pytest.approx(np.array(expected)[[0, 1, 3]])
    assert 0 < found[2] <= 1  # with ties, rounding decides what is equal


def test_all_tests_agree_on_many_users():
    pytest.importorskip("scipy")
    difference = np.random.default_rng(4).normal(0.06, 1, (1000, 1))
    found = [paired_test(difference, test).item() for test in TESTS]
    assert found == pytest.approx([found[0]] * 3, abs=0.03)
    assert found[0] < 0.2


@pytest.mark.parametrize("test", TESTS)
def test_no_difference_at_all(test):
    if test != "permutation":
        pytest.importorskip("scipy")
    difference = np.zeros((6, 2))
    difference[:, 1] = [1, 2, 3, 4, 5, 6]
    p_values = paired_test(difference, test)
    assert p_values[0] == 1
    assert p_values[1] < 0.1


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_without_scipy(difference, test, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        InputError, match=r"scipy isn't installed; .*pip install 'mentor_pyg\[stats\]'"
    ):
        paired_test(difference, test)
    assert paired_test(difference)[0] < 0.5


def metrics(values, names=("x", "y"), first=0):
    return UserMetrics(np.arange(first, first + len(values)), names, values, len(values))


def test_compare():
    rng = np.random.default_rng(2)
    a = rng.random((50, 2))
    b = a + np.array([0.3, 0.0]) + 0.1 * rng.normal(size=(50, 2))
    x, y = compare(metrics(a), metrics(b), Sampling(300, seed=9))
    intervals = mean_intervals(b - a, Sampling(300, seed=9))
    assert x[:4] == ("x", *intervals[0])
    assert y[:4] == ("y", *intervals[1])
    assert 0 < x.low < x.difference == pytest.approx((b - a)[:, 0].mean())
    assert x.p == pytest.approx(1e-4, rel=1e-3)
    assert y.p > 0.01
    back = compare(metrics(b), metrics(a), Sampling(seed=9))
    assert [c.difference for c in back] == pytest.approx([-x.difference, -y.difference])
    assert [c.p for c in back] == [x.p, y.p]


@pytest.mark.parametrize("options", [{"names": ("x", "z")}, {"first": 1}])
def test_compare_needs_pairs(options):
    values = np.zeros((4, 2))
    with pytest.raises(InputError, match="aren't pairs; expected the same users and metrics"):
        compare(metrics(values), metrics(values, **options))


def test_mistakes(difference):
    with pytest.raises(InputError, match="test 'z' is unknown; expected one of permutation, t"):
        paired_test(difference, "z")
    with pytest.raises(InputError, match="t-test of 1 user; expected 2 or more"):
        paired_test(difference[:1], "t")


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.2 times 4, 3, 2, 1; none may be below the one before.
    assert holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
