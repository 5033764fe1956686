"""Variance of a metric's mean over seeds and users."""

from typing import NamedTuple

import numpy as np

MIN_SEEDS = 3
"""Minimum number of runs to estimate the variance over seeds."""


class MeanVariance(NamedTuple):
    """Means of M metrics, or of their differences, with variances.

    Attributes:
        mean: The means [M].
        variance: Estimated variances of the means [M].
        df: Degrees of freedom of the variances [M].
        over_seeds: Whether variances are over seeds and users. Otherwise they are over users
            only, and conclusions hold for these runs only.
    """

    mean: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    over_seeds: bool


def mean_variance(values: np.ndarray, baseline: np.ndarray | None = None) -> MeanVariance:
    r"""Mean over seeds and users, minus a baseline's if given, with its variance.

    Both seeds and users are random samples. The value of user u in the run of seed s is

    .. math::
        x_{su} = \mu + \alpha_s + \beta_u + \varepsilon_{su}

    and for the difference D of two models, with S and S' seeds and n users,

    .. math::
        \operatorname{Var}(D) = \frac{\sigma_\alpha^2 + \sigma_\varepsilon^2 / n}{S}
        + \frac{\sigma_{\alpha'}^2 + \sigma_{\varepsilon'}^2 / n}{S'}
        + \frac{\sigma_{\beta' - \beta}^2}{n}

    The first two terms are estimated by the variance of the runs' means. The last is the
    variance of the users' mean differences minus its noise, and at least 0. The degrees of
    freedom follow `Satterthwaite <https://doi.org/10.2307/3002019>`_, so with few seeds the
    test is close to Welch's t-test of the runs' means. For two random factors see `Clark, 1973
    <https://doi.org/10.1016/S0022-5371(73)80014-3>`_; for seeds, `Bouthillier et al., 2021
    <https://arxiv.org/abs/2103.03098>`_.

    With fewer than three seeds on a side, only the variance over users is used.

    Args:
        values: Values of each seed, user and metric [S, n, M].
        baseline: Values of a baseline on the same users [S', n, M].
    """
    sides = [values] if baseline is None else [values, baseline]
    by_user = values.mean(axis=0) - (0 if baseline is None else baseline.mean(axis=0))
    n = len(by_user)
    mean = by_user.mean(axis=0)
    over_seeds = all(len(side) >= MIN_SEEDS for side in sides)
    if n < 2:  # a single user gives no variance
        return MeanVariance(mean, np.full_like(mean, np.inf), np.ones_like(mean), over_seeds)
    of_users = by_user.var(axis=0, ddof=1) / n
    parts = []
    if over_seeds:
        for side in sides:
            parts.append((side.mean(axis=1).var(axis=0, ddof=1) / len(side), len(side) - 1))
            of_users = of_users - _noise(side)
    parts.append((of_users.clip(min=0), n - 1))
    variance = np.sum([part for part, _ in parts], axis=0)
    squares = np.sum([part**2 / df for part, df in parts], axis=0)
    df = np.divide(variance**2, squares, out=np.full_like(mean, n - 1), where=squares > 0)
    return MeanVariance(mean, variance, df, over_seeds)


def _noise(values: np.ndarray) -> np.ndarray:
    """Residual part [M] of the variance of the users' mean, due neither to users nor seeds."""
    num_seeds, n, _ = values.shape
    expected = values.mean(axis=0) - values.mean(axis=(0, 1))
    squares = sum(((run - run.mean(axis=0) - expected) ** 2).sum(axis=0) for run in values)
    return squares / ((num_seeds - 1) * (n - 1) * num_seeds * n)
