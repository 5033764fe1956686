"""Divides interactions into training, validation and test pairs."""

from fractions import Fraction
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from mentor_pyg._util.option_words import Words
from mentor_pyg._util.ranks import rank_in_group, size_of_group
from mentor_pyg.choices import SPLITS, SplitMethod
from mentor_pyg.errors import InputError
from mentor_pyg.options import Seed, checked

TRAIN, VAL, TEST = range(len(SPLITS))

NEED_TIME = ("temporal", "leave-last-out")


HeldOut = Annotated[float, Gt(0), Lt(0.5), Words("a share above 0 and below 0.5")]
"""The share of the validation pairs, and of the test pairs."""


def check_split(method: SplitMethod, has_time: bool) -> None:
    """Fails early if these data can't be divided so.

    Raises:
        InputError: If times are needed and there are none.
    """
    if method in NEED_TIME and not has_time:
        raise InputError(
            f"split: '{method}' goes by time, which the interactions don't have; "
            "expected a column of times, or the split 'user' or 'random'"
        )


@checked
def split(
    user: np.ndarray,
    time: np.ndarray | None = None,
    method: SplitMethod = "user",
    held_out: HeldOut = 0.1,
    seed: Seed = 0,
) -> np.ndarray:
    r"""A label for each pair: 0 training, 1 validation, 2 test.

    =================== =====================================================================
    ``user``            of each user's n pairs, at random, :math:`\max(1, \lfloor hn \rfloor)`
                        for validation and
                        :math:`\max(1, \lfloor 2hn \rfloor - \lfloor hn \rfloor)` for test,
                        as in the published splits of Amazon (h = 0.1 is 8:1:1)
    ``random``          the same shares of all pairs, at random
    ``temporal``        the latest pairs of all are for test, those before for validation;
                        pairs of the same time stay together
    ``leave-last-out``  each user's last pair is for test, the last but one for validation
    =================== =====================================================================

    A user with one pair keeps it for training, one with two has none for validation.

    Args:
        user: Row number of each pair's user [n].
        time: When each pair was [n]; the order of the pairs decides between equal times.
        method: One of the above.
        held_out: The share h of validation pairs and of test pairs.
        seed: Of the random choices.

    Returns:
        Labels [n], int64.

    Raises:
        InputError: If an argument can't be used or leaves one of the three without pairs.
    """
    check_split(method, time is not None)
    rng = np.random.default_rng(seed)
    if method == "temporal":
        assert time is not None
        label = _cut(time, held_out)
    elif method == "random":
        label = _hold_out(np.zeros_like(user), rng.random(len(user)), held_out)
    elif method == "user":
        label = _hold_out(user, rng.random(len(user)), held_out)
    else:
        assert time is not None
        size = size_of_group(user)
        last = size - 1 - rank_in_group(user, time)
        label = _label(last, size, np.ones_like(user), np.ones_like(user))
    for number, name in enumerate(SPLITS):
        if not (label == number).any():
            raise InputError(
                f"split: '{method}' of {len(user)} pairs leaves no {name} pairs; "
                "expected more interactions, or another split"
            )
    return label


def _share(held_out: float) -> Fraction:
    """The share that is meant: 3/20 by 0.15 and 1/3 by 1 / 3, which no float is."""
    simple = Fraction(float(held_out)).limit_denominator(10**6)
    return simple if float(simple) == held_out else Fraction(str(held_out))


def _hold_out(group: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Labels by which the first of each group are test pairs, the next validation pairs."""
    h, size = _share(share), size_of_group(group)
    sizes, inverse = np.unique(size, return_inverse=True)
    val = np.array([n * h // 1 for n in sizes.tolist()], dtype=np.int64)[inverse]
    both = np.array([n * 2 * h // 1 for n in sizes.tolist()], dtype=np.int64)[inverse]
    return _label(rank_in_group(group, order), size, np.maximum(1, val), np.maximum(1, both - val))


def _label(rank: np.ndarray, size: np.ndarray, val: np.ndarray, test: np.ndarray) -> np.ndarray:
    test = np.where(size >= 2, test, 0)
    val = np.where(size >= 3, val, 0)
    return np.where(rank < test, TEST, np.where(rank < test + val, VAL, TRAIN))


def _cut(time: np.ndarray, share: float) -> np.ndarray:
    h, ordered, n = _share(share), np.sort(time), len(time)
    first_val, first_test = ordered[[int(n * (1 - 2 * h)), int(n * (1 - h))]]
    return np.where(time >= first_test, TEST, np.where(time >= first_val, VAL, TRAIN))
