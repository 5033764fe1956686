import numpy as np
import pytest
from scipy import stats

from mentor_pyg.evaluation import mean_variance


@pytest.fixture
def runs():
    """Two models with 3 and 4 seeds on 30 users, two metrics."""
    rng = np.random.default_rng(0)
    users = rng.random((30, 2))
    return [users + 0.1 * rng.normal(size=(s, 1, 2)) + rng.normal(size=(s, 30, 2)) for s in (3, 4)]


def naive_variance(sides, metric):
    """With loops over seeds and users, from the definitions."""
    n = sides[0].shape[1]
    of_seeds, noise = 0.0, 0.0
    for side in (side[..., metric] for side in sides):
        num_seeds = len(side)
        of_seeds += np.var([run.mean() for run in side], ddof=1) / num_seeds
        squares = 0.0
        for s in range(num_seeds):
            for u in range(n):
                fitted = side[s].mean() + side[:, u].mean() - side.mean()
                squares += (side[s, u] - fitted) ** 2
        noise += squares / ((num_seeds - 1) * (n - 1)) / num_seeds / n
    by_user = sum(sign * side[..., metric].mean(axis=0) for sign, side in zip((1, -1), sides))
    return of_seeds + max(by_user.var(ddof=1) / n - noise, 0)


@pytest.mark.parametrize("sides", [1, 2])
def test_equals_naive_loops(runs, sides):
    found = mean_variance(*runs[:sides])
    assert found.over_seeds
    assert found.variance == pytest.approx([naive_variance(runs[:sides], m) for m in (0, 1)])
    mean = runs[0].mean(axis=(0, 1)) - (runs[1].mean(axis=(0, 1)) if sides == 2 else 0)
    assert found.mean == pytest.approx(mean)


def test_without_differences_between_users_it_is_the_test_of_welch(runs):
    levels = [side.mean(axis=1, keepdims=True).repeat(30, axis=1) for side in runs]
    found = mean_variance(*levels)
    expected = stats.ttest_ind(levels[0][:, 0], levels[1][:, 0], equal_var=False)
    assert found.df == pytest.approx(expected.df)
    assert found.mean / np.sqrt(found.variance) == pytest.approx(expected.statistic)


def test_with_few_seeds_it_is_over_users(runs):
    found = mean_variance(runs[0][:2], runs[1])
    by_user = runs[0][:2].mean(axis=0) - runs[1].mean(axis=0)
    assert not found.over_seeds
    assert np.sqrt(found.variance) == pytest.approx(stats.sem(by_user))
    assert found.df.tolist() == [29, 29]


def test_equal_runs_and_single_users():
    same = np.full((3, 5, 1), 0.5)
    assert mean_variance(same, same)[:3] == (0, 0, 4)
    assert mean_variance(same[:, :1]).variance == np.inf


@pytest.mark.parametrize("sides", [1, 2])
def test_two_users_are_enough(runs, sides):
    few = [run[:, :2] for run in runs[:sides]]
    expected = [naive_variance(few, metric) for metric in (0, 1)]
    assert mean_variance(*few).variance == pytest.approx(expected)
