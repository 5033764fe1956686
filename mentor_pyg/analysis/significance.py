"""Whether two models differ by more than chance, user by user."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mentor_pyg.analysis.intervals import DEFAULT, Sampling, blocks, mean_intervals
from mentor_pyg.analysis.per_user import UserMetrics
from mentor_pyg.errors import InputError
from mentor_pyg.extras import optional


class Comparison(NamedTuple):
    """A metric of one model against another's.

    Attributes:
        metric: Its name.
        difference: Of the means.
        low, high: Confidence interval of the difference.
        p: Two-sided p-value of the paired test.
    """

    metric: str
    difference: float
    low: float
    high: float
    p: float


def compare(a: UserMetrics, b: UserMetrics, sampling: Sampling = DEFAULT) -> list[Comparison]:
    """How ``b`` differs from ``a`` in every metric, over the same users.

    Args:
        a: The baseline.
        b: The other model.
        sampling: How to sample and test.

    Raises:
        InputError: If users or metrics aren't the same, or there is no such test.
    """
    if a.names != b.names or not np.array_equal(a.users, b.users):
        raise InputError(
            f"{len(a.users)} users with {', '.join(a.names)} and {len(b.users)} with "
            f"{', '.join(b.names)} aren't pairs; expected the same users and metrics"
        )
    difference = b.values - a.values
    intervals = mean_intervals(difference, sampling)
    p_values = paired_test(difference, sampling.test, sampling.seed).tolist()
    return [Comparison(name, *i, p) for name, i, p in zip(a.names, intervals, p_values)]


def paired_test(difference: np.ndarray, test: str = "permutation", seed: int = 0) -> np.ndarray:
    """Two-sided p-values of the hypothesis that pairs differ by chance alone.

    ===============  ==================================================================
    ``permutation``  10,000 random flips of the signs of the users' differences. It
                     supposes no distribution and tests the mean itself, and it needs
                     no further package.
    ``t``            paired t-test; the mean of many users is all but normal
    ``wilcoxon``     Wilcoxon's signed-rank test, of ranks and without zeros: it may
                     see a difference other than that of the means
    ===============  ==================================================================

    The last two need SciPy (``pip install 'mentor_pyg[stats]'``).

    Args:
        difference: Differences of n pairs in M metrics [n, M].
        test: One of them.
        seed: Of the permutations.

    Returns:
        p-values [M], 1 where no pair differs.

    Raises:
        InputError: If there is no such test, or it needs a package that is missing.
    """
    if test not in TESTS:
        raise InputError(f"test '{test}' is unknown; expected one of {', '.join(TESTS)}")
    p_values = np.ones(difference.shape[1])
    differs = difference.any(axis=0)
    if differs.any():
        p_values[differs] = TESTS[test](difference[:, differs], seed)
    return p_values


def _sign_flips(difference: np.ndarray, seed: int, num_flips: int = 10_000) -> np.ndarray:
    difference = difference[difference.any(axis=1)]  # the others' signs change nothing
    total = difference.sum(axis=0)
    # Sums that are equal but for rounding count as equal:
    extreme = np.abs(total) - 1e-9 * np.abs(difference).sum(axis=0)
    rng = np.random.default_rng(seed)
    n = len(difference)
    as_extreme = np.zeros(len(total))
    for size in blocks(num_flips, n):
        random = np.frombuffer(rng.bytes(size * -(-n // 8)), np.uint8).reshape(size, -1)
        flipped = np.unpackbits(random, axis=1, count=n).astype(np.float64)
        sums = total - 2 * flipped @ difference
        as_extreme += (np.abs(sums) >= extreme).sum(axis=0)
    return (as_extreme + 1) / (num_flips + 1)  # what was found is one of the ways


def _t(difference: np.ndarray, seed: int) -> np.ndarray:
    if len(difference) < 2:
        raise InputError(f"t-test of {len(difference)} user; expected 2 or more")
    return optional("scipy.stats").ttest_1samp(difference, 0, axis=0).pvalue


def _wilcoxon(difference: np.ndarray, seed: int) -> np.ndarray:
    wilcoxon = optional("scipy.stats").wilcoxon
    return np.array([wilcoxon(column).pvalue for column in difference.T])


TESTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "permutation": _sign_flips,
    "t": _t,
    "wilcoxon": _wilcoxon,
}


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's step-down method."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(factors * np.asarray(p_values)[order]).clip(max=1)
    return corrected.tolist()
