"""Runs that differ by nothing but their seed, taken together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mentor_pyg._util.hashes import fingerprint
from mentor_pyg.analysis.runs import RunEvaluation
from mentor_pyg.evaluation.per_user import UserMetrics, mean_over_runs
from mentor_pyg.runs.config import RunConfig


@dataclass(frozen=True)
class SeedGroup:
    """Runs of one configuration.

    Attributes:
        name: The first run's, with the number of runs if there are several.
        runs: The runs.
        mean: Every metric's mean over the seeds.
        std: Its standard deviation, with n - 1 degrees of freedom; empty for one seed.
        overall: Metrics of single users for each seed.
        groups: The same by grouping and group.
    """

    name: str
    runs: tuple[RunEvaluation, ...]
    mean: dict[str, float]
    std: dict[str, float]
    overall: list[UserMetrics]
    groups: dict[str, dict[str, list[UserMetrics]]]


def aggregate(runs: Sequence[RunEvaluation]) -> list[SeedGroup]:
    """Groups of runs with the same configuration, in the order of their first ones.

    Runs with the same seed, too, are averaged: they say nothing about other seeds.

    Args:
        runs: Evaluations on the same data and split.
    """
    by_config: dict[str, list[RunEvaluation]] = {}
    for run in runs:
        by_config.setdefault(without_seed(run.config), []).append(run)
    names = [run.name for run in runs]
    return [_seed_group(group, names) for group in by_config.values()]


def without_seed(config: RunConfig) -> str:
    """A key of a configuration but for its seed and the preset's name."""
    plain = config.to_dict()
    del plain["preset"], plain["train"]["seed"]
    return fingerprint(_ordered(plain))


def mean_and_std(
    runs: Sequence[Mapping[str, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Means and standard deviations, with n - 1 degrees of freedom, of metrics by name.

    The deviations are empty for a single run.
    """
    values = np.array([list(run.values()) for run in runs])
    mean = dict(zip(runs[0], values.mean(axis=0).tolist()))
    std = dict(zip(runs[0], values.std(axis=0, ddof=1).tolist())) if len(runs) > 1 else {}
    return mean, std


def _seed_group(runs: Sequence[RunEvaluation], names: Sequence[str]) -> SeedGroup:
    first = runs[0]
    name = first.name if names.count(first.name) == 1 else str(first.folder)
    seeds = [run.config.train.seed for run in runs]

    def by_seed(values: Sequence[Any]) -> list[list[Any]]:
        return [[v for v, s in zip(values, seeds) if s == seed] for seed in dict.fromkeys(seeds)]

    def users_by_seed(metrics: Sequence[UserMetrics]) -> list[UserMetrics]:
        return [mean_over_runs(same) for same in by_seed(metrics)]

    mean, std = mean_and_std([mean_and_std(same)[0] for same in by_seed([r.metrics for r in runs])])
    return SeedGroup(
        name=name if len(runs) == 1 else f"{name} ({len(runs)} runs)",
        runs=tuple(runs),
        mean=mean,
        std=std,
        overall=users_by_seed([run.overall for run in runs]),
        groups={
            grouping: {
                label: users_by_seed([run.groups[grouping][label] for run in runs])
                for label in groups
            }
            for grouping, groups in first.groups.items()
        },
    )


def _ordered(value: Any) -> Any:
    """Mappings as sorted pairs, since the order of settings changes nothing."""
    if isinstance(value, Mapping):
        return sorted((key, _ordered(entry)) for key, entry in value.items())
    return value
