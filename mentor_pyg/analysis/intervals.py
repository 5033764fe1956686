"""Confidence intervals of means over users."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mentor_pyg.analysis.per_user import UserMetrics
from mentor_pyg.errors import InputError

BLOCK_ENTRIES = 2**20
"""Users times resamples in a block; 8 MiB each for draws, counts and weights."""


class Estimate(NamedTuple):
    """A mean and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sampling:
    """What intervals and tests depend on beside the figures.

    Attributes:
        num_resamples: Bootstrap samples of users.
        confidence: Of the intervals; differences with p below one minus it are marked.
        seed: Of samples and permutations.
        test: See :func:`~mentor_pyg.analysis.paired_test`.

    Raises:
        InputError: If a number is out of range.
    """

    num_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    test: str = "permutation"

    def __post_init__(self) -> None:
        if self.num_resamples < 1:
            raise InputError(f"{self.num_resamples} resamples; expected 1 or more")
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence {self.confidence}; expected more than 0, less than 1")
        if self.seed < 0:
            raise InputError(f"seed {self.seed}; expected 0 or more")


DEFAULT = Sampling()


def blocks(total: int, width: int) -> Iterator[int]:
    """Sizes of blocks of rows of a given width that sum up to ``total``."""
    size = max(1, BLOCK_ENTRIES // max(1, width))
    while total > 0:
        yield min(size, total)
        total -= size


def resampled_means(values: np.ndarray, num_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means of samples of the rows, drawn with replacement.

    Args:
        values: [n, M].
        num_resamples: Number of samples R.
        rng: Draws them, row by row.

    Returns:
        Means [R, M].
    """
    n = len(values)
    means = []
    for size in blocks(num_resamples, n):
        draws = rng.integers(n, size=(size, n))
        draws += n * np.arange(size)[:, None]
        # How often each row was drawn makes one matrix product of all the means.
        times = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
        means.append(times.astype(values.dtype) @ values / n)
    return np.concatenate(means)


def mean_intervals(values: np.ndarray, sampling: Sampling = DEFAULT) -> list[Estimate]:
    """Means of the columns with percentile bootstrap intervals over the rows.

    Args:
        values: [n, M].
        sampling: How to sample.
    """
    rng = np.random.default_rng(sampling.seed)
    means = resampled_means(values, sampling.num_resamples, rng)
    tail = (1 - sampling.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0).tolist()
    return [Estimate(*bounds) for bounds in zip(values.mean(axis=0).tolist(), low, high)]


def bootstrap(metrics: UserMetrics, sampling: Sampling = DEFAULT) -> dict[str, Estimate]:
    """:func:`mean_intervals` of every metric, by name."""
    return dict(zip(metrics.names, mean_intervals(metrics.values, sampling)))
