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
        ({"seed": -1}, "-1"),
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
