from fractions import Fraction

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.preparation import split

METHODS = ["user", "random", "temporal", "leave-last-out"]


def users_of(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def counts(label, user=None):
    """Training, validation and test pairs, of each user if these are given."""
    if user is None:
        return np.bincount(label, minlength=3).tolist()
    return [counts(label[user == u]) for u in range(user.max() + 1)]


def test_the_published_rule():
    """Sizes as counted in the published splits of Amazon Baby and Sports, user by user."""
    published = {
        5: [3, 1, 1],
        9: [7, 1, 1],
        10: [8, 1, 1],
        14: [12, 1, 1],
        15: [12, 1, 2],
        19: [16, 1, 2],
        20: [16, 2, 2],
        25: [20, 2, 3],
        29: [24, 2, 3],
        30: [24, 3, 3],
    }
    user = users_of(list(published))
    assert counts(split(user), user) == list(published.values())


@pytest.mark.parametrize("n", range(3, 120))
def test_shares_of_a_user_are_whole_numbers(n):
    """The arithmetic of floats gives what that of integers gives."""
    user = users_of([n])
    val, test = max(1, n // 10), max(1, n // 5 - n // 10)
    assert counts(split(user)) == [n - val - test, val, test]


@pytest.mark.parametrize("method", ["user", "leave-last-out"])
def test_users_with_few_pairs_keep_one_for_training(method):
    user = users_of([1, 2, 3])
    label = split(user, np.arange(6.0), method)
    assert counts(label, user) == [[1, 0, 0], [1, 0, 1], [1, 1, 1]]


def test_leave_last_out_goes_by_time_then_order():
    user = np.array([0, 1, 0, 1, 0, 1, 0])
    time = np.array([9.0, 5, 1, 5, 8, 5, 7])
    assert split(user, time, "leave-last-out").tolist() == [2, 0, 0, 1, 1, 2, 0]


def test_temporal_cuts_the_time_line():
    rng = np.random.default_rng(0)
    user, time = rng.integers(20, size=1000), rng.integers(300, size=1000).astype(float)
    label = split(user, time, "temporal")
    train, val, test = (time[label == number] for number in range(3))
    assert train.max() < val.min() <= val.max() < test.min()
    assert counts(label) == pytest.approx([800, 100, 100], abs=10)


@pytest.mark.parametrize("share", ["0.1", "0.15", "0.2", "0.3", "0.4"])
def test_shares_of_the_time_line_are_whole_numbers(share):
    h = Fraction(share)
    for n in range(10, 200):
        label = split(np.zeros(n, int), np.arange(n), "temporal", float(share))
        first_val, first_test = int(n * (1 - 2 * h)), int(n * (1 - h))
        assert counts(label) == [first_val, first_test - first_val, n - first_test]


@pytest.mark.parametrize(
    ("share", "n", "expected"),
    [
        (0.15, 300, [210, 45, 45]),
        (0.29, 100, [42, 29, 29]),
        (1 / 3, 300, [100, 100, 100]),
        (1 / 67, 6700, [6500, 100, 100]),
        (0.012345, 10**5, [97531, 1234, 1235]),
    ],
)
@pytest.mark.parametrize("method", ["user", "random"])
def test_shares_are_exact(share, n, expected, method):
    assert counts(split(users_of([n]), method=method, held_out=share)) == expected


@pytest.mark.parametrize("start", [1609459200123456789, -(2**63), 2**63 - 80])
def test_integer_times_keep_all_digits(start):
    time = start + np.arange(80, dtype=np.int64)[::-1]
    user = np.arange(80) // 8
    label = split(user, time, "leave-last-out")
    assert label.reshape(10, 8).tolist() == 10 * [[2, 1, 0, 0, 0, 0, 0, 0]]
    assert counts(split(user, time, "temporal")) == [64, 8, 8]


def test_random_takes_shares_of_all():
    user = users_of([1] * 1000)
    assert counts(split(user, method="random")) == [800, 100, 100]
    assert counts(split(user, method="random", held_out=0.25)) == [500, 250, 250]


@pytest.mark.parametrize("method", ["user", "random"])
def test_the_seed_decides(method):
    user = users_of([30] * 20)
    first, again, other = (split(user, method=method, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_random_choices_are_uniform():
    """Each position of a user's list is held out as often as any other."""
    user = users_of([10] * 4000)
    label = split(user).reshape(4000, 10)
    assert (label == 2).mean(0) == pytest.approx(np.full(10, 0.1), abs=0.025)
    assert (label == 1).mean(0) == pytest.approx(np.full(10, 0.1), abs=0.025)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"method": "best"}, "'best'"),
        ({"method": "temporal"}, "by time"),
        ({"method": "leave-last-out"}, "by time"),
        ({"held_out": 0.5}, "0.5"),
        ({"held_out": 0.0}, "0.0"),
        ({"held_out": float("nan")}, "held_out: is nan"),
        ({"seed": -1}, "-1"),
        ({"seed": 1.5}, "seed: is 1.5"),
        ({"method": "temporal", "time": np.zeros(20)}, "no train pairs"),
    ],
)
def test_bad_arguments(arguments, fragment):
    with pytest.raises(InputError, match=fragment):
        split(users_of([20]), **arguments)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_pairs(method):
    with pytest.raises(InputError, match="leaves no"):
        split(users_of([2]), np.arange(2.0), method)
