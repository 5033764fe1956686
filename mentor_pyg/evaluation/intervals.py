"""Confidence intervals of metrics, which are means over users and seeds."""

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
"""By so much metrics in float32 may be above 1."""


class Estimate(NamedTuple):
    """A mean and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@checked
@dataclass(frozen=True)
class Sampling:
    """What intervals and tests depend on beside the figures.

    Attributes:
        num_resamples: Random flips of signs in the permutation test.
        confidence: Of the intervals; differences with p below one minus it are marked.
        seed: Of the permutations.
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
    """What Student's t exceeds on neither side in that share of the cases."""
    from scipy.special import stdtrit  # here, since its import takes its time

    return stdtrit(df, (1 + confidence) / 2)


def mean_intervals(values: np.ndarray, sampling: Sampling = DEFAULT) -> list[Estimate]:
    r"""Means of metrics over users, and over seeds if there are three or more.

    Metrics lie between 0 and 1, most users have 0, and groups may be small. A bootstrap's
    interval collapses where nobody happens to have a hit; `Wilson's score interval
    <https://doi.org/10.1080/01621459.1927.10502953>`_ doesn't. It is that of a share of n
    users. A metric of mean m, whose mean has the variance V, is taken for a share of
    :math:`n_e = m (1 - m) / V` users, as of samples from surveys (Korn and Graubard,
    Survey Methodology 24, 1998):

    .. math::
        \frac{1}{1 + t^2 / n_e} \left( m + \frac{t^2}{2 n_e}
        \pm t \sqrt{V + \frac{t^2}{4 n_e^2}} \right)

    with the quantile t of Student's distribution. V is that of
    :func:`~mentor_pyg.evaluation.mean_variance` plus :math:`m (1 - m) / n^2`, as if
    there was one user more with the variance of a hit, since few users may all be equal by
    chance.

    Args:
        values: From 0 to 1, of users and M metrics [n, M], or of seeds, too [S, n, M].
        sampling: The confidence.

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
        raise InputError("values aren't all from 0 to 1; expected metrics")
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
    """:func:`mean_intervals` of every metric of a model, by name.

    Args:
        seeds: Metrics of the same users, for each seed.
        sampling: The confidence.
    """
    if not seeds:
        raise InputError("metrics: of no seed; expected those of 1 or more")
    values = np.stack([metrics.values for metrics in seeds])
    return dict(zip(seeds[0].names, mean_intervals(values, sampling)))
