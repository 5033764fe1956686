"""Significance of differences between two models, over seeds and users."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mentor_pyg.choices import PairedTest
from mentor_pyg.errors import InputError, shown
from mentor_pyg.evaluation.intervals import DEFAULT, Sampling, t_quantile
from mentor_pyg.evaluation.per_user import UserMetrics
from mentor_pyg.evaluation.variance import MeanVariance, mean_variance
from mentor_pyg.options import Count, Seed, checked

BLOCK_ENTRIES = 2**20
"""Users times permutations per block; 8 MiB of signs."""


class Difference(NamedTuple):
    """Difference between two models in one metric.

    Attributes:
        metric: Name of the metric.
        value: Difference of the means.
        low, high: Confidence interval.
        p: Two-sided p-value.
        over_seeds: Whether interval and p-value are over seeds and users, and thus apply to the
            models. Otherwise they are over users and apply to these runs only.
        p_holm: p-value with Holm's correction for the number of tested models.
    """

    metric: str
    value: float
    low: float
    high: float
    p: float
    over_seeds: bool
    p_holm: float = math.nan

    def is_significant(self, alpha: float) -> bool:
        """Whether the models differ significantly; always False with too few seeds."""
        return self.over_seeds and self.p_holm < alpha


Runs = UserMetrics | Sequence[UserMetrics]
"""Metrics of the same users, for one or several seeds."""


def metric_differences(a: Runs, b: Runs, sampling: Sampling = DEFAULT) -> list[Difference]:
    """Tests how model ``b`` differs from model ``a`` in each metric, over the same users.

    With three or more seeds of both, this is a t-test with the variance of
    :func:`~mentor_pyg.evaluation.mean_variance`: if the models are equal, other seeds and users
    give p < 0.05 in about 5 % of cases. This does not hold for a test over users only, since
    two runs of one model with different seeds do rank differently for some users.

    With fewer seeds, no conclusion about the models is possible. The p-value is then that of
    :func:`paired_test` over the users of these runs.

    Args:
        a: The baseline.
        b: The other model.
        sampling: Sets the confidence level and the paired test.

    Raises:
        InputError: If users or metrics differ, or the test is unknown.
    """
    a, b = (_listed(x) for x in (a, b))
    for other in (*a, *b):
        if other.names != a[0].names or not np.array_equal(other.users, a[0].users):
            raise InputError(
                f"{len(a[0].users)} users with {', '.join(a[0].names)} and {len(other.users)} "
                f"with {', '.join(other.names)} can't be paired; expected equal users and metrics"
            )
    of_a, of_b = (np.stack([run.values for run in runs]) for runs in (a, b))
    found = mean_variance(of_b, of_a)
    if found.over_seeds:
        p_values = _t_test(found)
    else:
        difference = of_b.mean(axis=0) - of_a.mean(axis=0)
        p_values = paired_test(difference, sampling.test, sampling.seed, sampling.num_resamples)
    reach = t_quantile(found.df, sampling.confidence) * np.sqrt(found.variance)
    low, high = (found.mean - reach).clip(min=-1), (found.mean + reach).clip(max=1)
    return [
        Difference(name, float(mean), float(start), float(end), float(p), found.over_seeds)
        for name, mean, start, end, p in zip(a[0].names, found.mean, low, high, p_values)
    ]


def _listed(runs: Runs) -> list[UserMetrics]:
    listed = [runs] if isinstance(runs, UserMetrics) else runs
    if not isinstance(listed, Sequence) or not listed:
        raise InputError(f"runs to compare: are {shown(runs)}; expected metrics of one or more")
    return list(listed)


def _t_test(found: MeanVariance) -> np.ndarray:
    from scipy.special import stdtr  # slow to import

    size = np.abs(found.mean)
    unsure = np.sqrt(found.variance)
    t = np.divide(size, unsure, out=np.where(size > 0, np.inf, 0.0), where=unsure > 0)
    return 2 * stdtr(found.df, -t)


@checked
def paired_test(
    difference: np.ndarray,
    test: PairedTest = "permutation",
    seed: Seed = 0,
    num_flips: Count = 10_000,
) -> np.ndarray:
    """Two-sided p-values under the hypothesis that pairs differ by chance only.

    This compares two runs over all users; it does not cover the variation between seeds.

    ===============  ==================================================================
    ``permutation``  random flips of the signs of the users' differences; tests the mean
                     without assuming a distribution
    ``t``            paired t-test; the mean over many users is nearly normal
    ``wilcoxon``     Wilcoxon's signed-rank test without zeros; it may detect
                     differences other than that of the means
    ===============  ==================================================================

    Args:
        difference: Differences of n pairs in M metrics [n, M].
        test: Name of the test.
        seed: Seed of the permutations.
        num_flips: Number of permutations.

    Returns:
        p-values [M]; 1 where no pair differs.

    Raises:
        InputError: If the test is unknown, or a difference is not finite.
    """
    if difference.ndim != 2 or not np.isfinite(difference).all():
        raise InputError(
            f"differences: have shape {list(difference.shape)}, "
            f"{int((~np.isfinite(difference)).sum())} of them not finite; expected a matrix of "
            "finite ones, one row for each user"
        )
    p_values = np.ones(difference.shape[1])
    differs = difference.any(axis=0)
    if differs.any():
        p_values[differs] = TESTS[test](difference[:, differs], seed, num_flips)
    return p_values


def _sign_flips(difference: np.ndarray, seed: int, num_flips: int) -> np.ndarray:
    difference = difference[difference.any(axis=1)]  # signs of zeros do not matter
    total = difference.sum(axis=0)
    # Sums that are equal up to rounding count as equal.
    extreme = np.abs(total) - 1e-9 * np.abs(difference).sum(axis=0)
    rng = np.random.default_rng(seed)
    n = len(difference)
    as_extreme = np.zeros(len(total))
    for size in _blocks(num_flips, n):
        random = np.frombuffer(rng.bytes(size * -(-n // 8)), np.uint8).reshape(size, -1)
        flipped = np.unpackbits(random, axis=1, count=n).astype(np.float64)
        sums = total - 2 * flipped @ difference
        as_extreme += (np.abs(sums) >= extreme).sum(axis=0)
    return (as_extreme + 1) / (num_flips + 1)  # the observed signs count as one permutation


def _blocks(total: int, width: int) -> Iterator[int]:
    """Sizes of blocks of rows of the given width, which sum up to ``total``."""
    size = max(1, BLOCK_ENTRIES // max(1, width))
    while total > 0:
        yield min(size, total)
        total -= size


def _t(difference: np.ndarray, seed: int, num_flips: int) -> np.ndarray:
    if len(difference) < 2:
        raise InputError(f"t-test of {len(difference)} user; expected 2 or more")
    return _t_test(mean_variance(difference[None]))


def _wilcoxon(difference: np.ndarray, seed: int, num_flips: int) -> np.ndarray:
    from scipy.stats import wilcoxon  # slow to import

    return np.array([wilcoxon(column).pvalue for column in difference.T])


TESTS: dict[PairedTest, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "permutation": _sign_flips,
    "t": _t,
    "wilcoxon": _wilcoxon,
}


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for multiple testing by Holm's step-down method."""
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(factors * np.asarray(p_values)[order]).clip(max=1)
    return corrected.tolist()
