"""How far the mean of some seeds and users may be from that of all seeds and users."""

from typing import NamedTuple

import numpy as np

MIN_SEEDS = 3
"""From fewer runs, the deviation over seeds isn't estimated."""


class MeanVariance(NamedTuple):
    """The means of M metrics, or the differences of such means.

    Attributes:
        mean: The means [M].
        variance: Estimated variances of the means [M].
        df: Degrees of freedom of the variances [M].
        over_seeds: Whether the variances are those over seeds and users; if not, they are
            over users alone, and what follows holds for these runs.
    """

    mean: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    over_seeds: bool


def mean_variance(values: np.ndarray, baseline: np.ndarray | None = None) -> MeanVariance:
    r"""The mean over seeds and users, less a baseline's, with its variance.

    Seeds and users are both samples: another seed gives another model, and another user
    another value. The value of user u in the run of seed s is

    .. math::
        x_{su} = \mu + \alpha_s + \beta_u + \varepsilon_{su}

    and for the difference D of two models, with S and S' seeds and n users,

    .. math::
        \operatorname{Var}(D) = \frac{\sigma_\alpha^2 + \sigma_\varepsilon^2 / n}{S}
        + \frac{\sigma_{\alpha'}^2 + \sigma_{\varepsilon'}^2 / n}{S'}
        + \frac{\sigma_{\beta' - \beta}^2}{n}

    The first two terms are estimated by the variance of the runs' means. The last is the
    variance of the users' mean differences, less the noise in it, and at least 0. The
    degrees of freedom of the sum are those of `Satterthwaite
    <https://doi.org/10.2307/3002019>`_, so that with few seeds the test is nearly Welch's
    t-test of the runs' means. For two random factors see `Clark, 1973
    <https://doi.org/10.1016/S0022-5371(73)80014-3>`_; for seeds, `Bouthillier et al., 2021
    <https://arxiv.org/abs/2103.03098>`_.

    With fewer than three seeds on a side, only the users' variance is taken.

    Args:
        values: Of each seed, user and metric [S, n, M].
        baseline: Those of a baseline on the same users [S', n, M].
    """
    sides = [values] if baseline is None else [values, baseline]
    by_user = values.mean(axis=0) - (0 if baseline is None else baseline.mean(axis=0))
    n = len(by_user)
    mean = by_user.mean(axis=0)
    over_seeds = all(len(side) >= MIN_SEEDS for side in sides)
    if n < 2:  # one user says nothing about the others
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
    """The part [M] of the variance of the users' mean that is neither theirs nor the seeds'."""
    num_seeds, n, _ = values.shape
    expected = values.mean(axis=0) - values.mean(axis=(0, 1))
    squares = sum(((run - run.mean(axis=0) - expected) ** 2).sum(axis=0) for run in values)
    return squares / ((num_seeds - 1) * (n - 1) * num_seeds * n)
