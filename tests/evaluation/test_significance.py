import itertools

import numpy as np
import pytest
from scipy import stats

from mentor_pyg import InputError
from mentor_pyg.evaluation import (
    Sampling,
    UserMetrics,
    holm,
    metric_differences,
    paired_test,
)
from mentor_pyg.evaluation.significance import TESTS


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
    monkeypatch.setattr("mentor_pyg.evaluation.significance.BLOCK_ENTRIES", block)
    exact = np.array([exact_p(column) for column in difference.T])
    assert exact.min() < 0.01
    assert exact.max() > 0.2
    deviation = np.sqrt(exact * (1 - exact) / 10_000)
    assert (np.abs(paired_test(difference) - exact) < 4 * deviation + 1e-4).all()


@pytest.mark.parametrize("options", [{}, {"num_flips": 99}, {"num_flips": 1}])
def test_no_p_value_is_below_that_of_what_was_found(options):
    """It is one of the ways to flip the signs, beside those that were drawn."""
    clear = np.linspace(1, 2, 100)[:, None]
    assert paired_test(clear, **options) == 1 / (options.get("num_flips", 10_000) + 1)


def test_p_value_of_a_metric_depends_on_its_own_differences_only(difference):
    """Not on those of larger metrics, nor on users without a difference."""
    expected = paired_test(difference, seed=0, num_flips=10_000)
    assert np.array_equal(paired_test(difference), expected)
    assert not np.array_equal(paired_test(difference, seed=1), expected)
    larger = np.c_[difference, 1e9 * difference[:, 0]]
    assert np.array_equal(paired_test(larger), [*expected, expected[0]])
    longer = np.r_[np.zeros((7, 4)), difference]
    assert np.array_equal(paired_test(longer), expected)


def test_permutation_holds_its_level():
    """Of 400 samples without a difference, 5% have p < 0.05."""
    skewed = np.random.default_rng(0).exponential(size=(2, 60, 400))
    share = (paired_test(skewed[0] - skewed[1]) < 0.05).mean()
    assert 0.025 < share < 0.08


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_against_scipy(difference, test):
    a = np.random.default_rng(1).random(difference.shape)
    pair = stats.ttest_rel if test == "t" else stats.wilcoxon
    expected = [pair(x, y).pvalue for x, y in zip(a.T, (a + difference).T)]
    found = paired_test(difference, test)
    assert found[[0, 1, 3]] == pytest.approx(np.array(expected)[[0, 1, 3]])
    assert 0 < found[2] <= 1  # with ties, rounding decides what is equal


def test_all_tests_agree_on_many_users():
    difference = np.random.default_rng(4).normal(0.06, 1, (1000, 1))
    found = [paired_test(difference, test).item() for test in TESTS]
    assert found == pytest.approx([found[0]] * 3, abs=0.03)
    assert found[0] < 0.2


@pytest.mark.parametrize("test", TESTS)
def test_no_difference_at_all(test):
    difference = np.zeros((6, 2))
    difference[:, 1] = [1, 2, 3, 4, 5, 6]
    p_values = paired_test(difference, test)
    assert p_values[0] == 1
    assert p_values[1] < 0.1


def metrics(values, names=("x", "y"), first=0):
    return UserMetrics(np.arange(first, first + len(values)), names, values, len(values))


def test_runs_are_compared_over_users():
    rng = np.random.default_rng(2)
    a = rng.random((50, 2))
    b = a + np.array([0.3, 0.0]) + 0.1 * rng.normal(size=(50, 2))
    x, y = metric_differences(metrics(a), metrics(b), Sampling(2000, confidence=0.9, seed=9))
    interval = stats.ttest_1samp(b - a, 0).confidence_interval(0.9)
    assert x[:4] == ("x", *(pytest.approx(v) for v in ((b - a)[:, 0].mean(), *np.c_[interval][0])))
    assert [x.p, y.p] == paired_test(b - a, seed=9, num_flips=2000).tolist()
    assert x.p < 0.001 < 0.01 < y.p
    assert not x.over_seeds
    back = metric_differences([metrics(b)], [metrics(a)], Sampling(2000, seed=9))
    assert [c.value for c in back] == pytest.approx([-x.value, -y.value])
    assert [c.p for c in back] == [x.p, y.p]


def draw(rng, users, num_seeds, seed_std, gain=0.0, taste=0.0):
    """Runs of a model: some users like it more, some seeds are better, the rest is noise."""
    mean = users + gain + taste * rng.normal(size=len(users))
    noise = 0.12 * rng.normal(size=(num_seeds, len(users)))
    runs = mean + seed_std * rng.normal(size=(num_seeds, 1)) + noise
    return [metrics(run[:, None], ("recall@20",)) for run in runs]


def share_below(rng, first, second, seed_std, repeats=150, **options):
    """How often two models have p < 0.05, the second with a gain or other tastes."""
    found = []
    for _ in range(repeats):
        users = rng.normal(0.3, 0.2, 200)
        a, b = draw(rng, users, first, seed_std), draw(rng, users, second, seed_std, **options)
        (comparison,) = metric_differences(a, b, Sampling(200))
        found.append(comparison.p < 0.05)
    return np.mean(found)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 5), (3, 5)])
@pytest.mark.parametrize("seed_std", [0, 0.01, 0.05])
@pytest.mark.parametrize("taste", [0, 0.15])
def test_a_model_seldom_differs_from_itself(first, second, seed_std, taste):
    """At most 5 % of the cases, and what chance adds over 300 of them.

    With tastes, these are two models of equal mean over all users there are.
    """
    rng = np.random.default_rng(3)
    assert share_below(rng, first, second, seed_std, repeats=300, taste=taste) < 0.09


def test_over_users_alone_a_model_often_differs_from_itself():
    """This is why runs with fewer than three seeds get no verdict."""
    assert share_below(np.random.default_rng(3), 1, 1, 0.02) > 0.3


@pytest.mark.parametrize(("num_seeds", "gain"), [(3, 0.05), (5, 0.03)])
def test_real_differences_are_found(num_seeds, gain):
    rng = np.random.default_rng(4)
    assert share_below(rng, num_seeds, num_seeds, 0.005, repeats=60, gain=gain) > 0.9


def test_metrics_without_any_difference_over_seeds():
    runs = [metrics(np.full((4, 2), (0.5, 0.1 * seed))) for seed in range(3)]
    (equal, _) = metric_differences(runs, runs)
    assert equal.over_seeds
    assert equal[1:5] == (0, 0, 0, 1)
    better = [metrics(np.full((4, 2), 0.75)) for _ in range(3)]
    assert metric_differences(runs, better)[0][1:5] == (0.25, 0.25, 0.25, 0)


def test_seeds_and_users_give_the_interval_of_the_test():
    rng = np.random.default_rng(5)
    users = rng.random(80)
    a, b = draw(rng, users, 3, 0.01), draw(rng, users, 4, 0.01, gain=0.1)
    (found,) = metric_differences(a, b, Sampling(confidence=0.95))
    assert found.over_seeds
    (edge,) = metric_differences(a, b, Sampling(confidence=1 - found.p))
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-6)
    assert found.low < found.value < found.high
    (same,) = metric_differences(a, a)
    assert (same.value, same.p) == (0, 1)


@pytest.mark.parametrize("options", [{"names": ("x", "z")}, {"first": 1}])
def test_compare_needs_pairs(options):
    values = np.zeros((4, 2))
    with pytest.raises(InputError, match="can't be paired; expected equal users and metrics"):
        metric_differences(metrics(values), metrics(values, **options))


def test_mistakes(difference):
    with pytest.raises(InputError, match="test: is 'z'; expected one of 'permutation', 't'"):
        paired_test(difference, "z")
    with pytest.raises(InputError, match="t-test of 1 user; expected 2 or more"):
        paired_test(difference[:1], "t")


@pytest.mark.parametrize(
    "wrong", [np.full((3, 2), np.nan), np.array([[0.1], [np.inf]]), np.ones(3)]
)
@pytest.mark.parametrize("test", TESTS)
def test_differences_that_are_none(wrong, test):
    with pytest.raises(
        InputError, match=r"differences: have shape .*; expected a matrix of finite"
    ):
        paired_test(wrong, test)


@pytest.mark.parametrize("runs", [[], None, 3])
def test_no_runs_to_compare(runs):
    with pytest.raises(InputError, match=r"runs to compare: are .*; expected metrics of one"):
        metric_differences(metrics(np.zeros((4, 2))), runs)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.2 times 4, 3, 2, 1; none may be below the one before.
    assert holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
