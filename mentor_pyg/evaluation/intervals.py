"""Confidence intervals of metrics over users and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Gt, Lt

from mentor_pyg.choices import PairedTest
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.per_user import UserMetrics
from mentor_pyg.evaluation.variance import mean_variance
from mentor_pyg.options import Count, Seed, checked

ROUNDING = 1e-6
"""Tolerance for metrics above 1, which are computed in float32."""


class Estimate(NamedTuple):
    """A mean and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@checked
@dataclass(frozen=True)
class Sampling:
    """Settings of intervals and tests.

    Attributes:
        num_resamples: Number of sign flips in the permutation test.
        confidence: Confidence level; differences with p below one minus it are marked.
        seed: Seed of the permutations.
        test: See :func:`~mentor_pyg.evaluation.paired_test`.

    Raises:
        InputError: If a number is out of range.
    """

    num_resamples: Count = 10_000
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.95
    seed: Seed = 0
    test: PairedTest = "permutation"


DEFAULT = Sampling()


def t_quantile(df: np.ndarray, confidence: float) -> np.ndarray:
    """Two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # slow to import

    return stdtrit(df, (1 + confidence) / 2)


def mean_intervals(values: np.ndarray, sampling: Sampling = DEFAULT) -> list[Estimate]:
    r"""Means of metrics with confidence intervals over users, and over seeds if there are at
    least three.

    Metrics lie between 0 and 1, most users have 0, and groups may be small. A bootstrap
    interval collapses if no user has a hit; `Wilson's score interval
    <https://doi.org/10.1080/01621459.1927.10502953>`_ for proportions does not. A metric of
    mean m, whose mean has variance V, is treated as a proportion of :math:`n_e = m (1 - m) / V`
    users, as in survey sampling (Korn and Graubard, Survey Methodology 24, 1998):

    .. math::
        \frac{1}{1 + t^2 / n_e} \left( m + \frac{t^2}{2 n_e}
        \pm t \sqrt{V + \frac{t^2}{4 n_e^2}} \right)

    with Student's quantile t. V is the variance of
    :func:`~mentor_pyg.evaluation.mean_variance` plus :math:`m (1 - m) / n^2`. This adds one
    user with the variance of a hit, since a few users may be equal by chance.

    Args:
        values: Values in [0, 1] of n users and M metrics [n, M], or of S seeds as well
            [S, n, M].
        sampling: Sets the confidence level.

    Raises:
        InputError: If there are no users, or a value is out of range.
    """
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or 0 in values.shape[:2]:
        raise InputError(
            f"metrics: have shape {list(values.shape)}; expected seeds, users and metrics, "
            "1 or more of each"
        )
    if not ((values >= 0) & (values <= 1 + ROUNDING)).all():
        raise InputError("metrics: are not all from 0 to 1; expected values in this range")
    found = mean_variance(values)
    n = values.shape[1]
    binary = (found.mean * (1 - found.mean)).clip(min=0)
    variance = found.variance + binary / n**2
    size = np.divide(binary, variance, out=np.full_like(binary, n), where=variance > 0)
    weight = size / t_quantile(found.df, sampling.confidence) ** 2
    middle = (weight * found.mean + 0.5) / (weight + 1)
    reach = np.sqrt(weight * binary + 0.25) / (weight + 1)
    bounds = zip(found.mean, (middle - reach).clip(min=0), (middle + reach).clip(max=1))
    return [Estimate(*map(float, estimate)) for estimate in bounds]


def metric_intervals(
    seeds: Sequence[UserMetrics], sampling: Sampling = DEFAULT
) -> dict[str, Estimate]:
    """:func:`mean_intervals` of a model's metrics, by name.

    Args:
        seeds: Metrics of the same users, one entry per seed.
        sampling: Sets the confidence level.
    """
    if not seeds:
        raise InputError("metrics: there are no seeds; expected at least one")
    values = np.stack([metrics.values for metrics in seeds])
    return dict(zip(seeds[0].names, mean_intervals(values, sampling)))
