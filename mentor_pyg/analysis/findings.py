"""Intervals and tests of all figures of evaluated runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mentor_pyg._util.progress import progress_bar
from mentor_pyg.analysis.seeds import SeedGroup
from mentor_pyg.analysis.tables import Column, Entry, Table
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.intervals import DEFAULT, Estimate, Sampling, metric_intervals
from mentor_pyg.evaluation.per_user import UserMetrics
from mentor_pyg.evaluation.significance import Difference, holm, metric_differences

RECORD = ("grouping", "group", "users", "pairs", "run", "metric", "value", "low", "high", "std")
AGAINST = ("difference", "difference_low", "difference_high", "p", "p_over", "p_holm")
OVER = {True: "seeds and users", False: "users"}


@dataclass(frozen=True)
class GroupFigures:
    """Metrics of all runs on the same held-out pairs.

    Attributes:
        grouping: One out of ``GROUPINGS``, or "all".
        label: The group's.
        metrics: Those of single users for each seed, by run.
        estimates: Their means with intervals, by run and metric.
    """

    grouping: str
    label: str
    metrics: list[list[UserMetrics]]
    estimates: list[dict[str, Estimate]]

    @property
    def size(self) -> str:
        """How many users and pairs there are, in words."""
        users, pairs = len(self.metrics[0][0].users), self.metrics[0][0].num_pairs
        return f"{users:,} user{'s' * (users != 1)}, {pairs:,} pair{'s' * (pairs != 1)}"


@dataclass(frozen=True)
class Findings:
    """Everything that was found about some runs.

    Attributes:
        runs: The runs.
        sampling: What intervals and tests depend on.
        overall: All held-out pairs.
        groups: Groups of them.
        differences: From the first run, by name of the run and metric.
    """

    runs: Sequence[SeedGroup]
    sampling: Sampling
    overall: GroupFigures
    groups: list[GroupFigures]
    differences: dict[str, dict[str, Difference]]

    def records(self) -> Table:
        """A row for every group, run and metric."""
        rows: list[list[Entry]] = []
        for section in (self.overall, *self.groups):
            whole = section is self.overall
            for run, metrics, estimates in zip(self.runs, section.metrics, section.estimates):
                about: list[Entry] = [
                    section.grouping,
                    section.label,
                    len(metrics[0].users),
                    metrics[0].num_pairs,
                ]
                for name in run.mean if whole else estimates:
                    figures = estimates.get(name, (run.mean[name], None, None))
                    std = run.std.get(name) if whole else None
                    against = self._against(run.name, name) if whole else [None] * len(AGAINST)
                    rows.append([*about, run.name, name, *figures, std, *against])
        return Table([Column(name) for name in RECORD + AGAINST], rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values."""
        first = self.runs[0].runs[0]
        members = [
            {
                "run": run.name,
                "group": group.name,
                "folder": str(run.folder),
                "model": run.config.model,
                "seed": run.config.train.seed,
                "metrics": run.metrics,
            }
            for group in self.runs
            for run in group.runs
        ]
        figures = [
            {name: value for name, value in zip(RECORD + AGAINST, row) if value is not None}
            for row in self.records().rows
        ]
        about = {"dataset": first.dataset, "split": first.split, **asdict(self.sampling)}
        return {**about, "runs": members, "figures": figures}

    def _against(self, run: str, metric: str) -> list[Entry]:
        difference = self.differences.get(run, {}).get(metric)
        if difference is None:
            return [None] * len(AGAINST)
        _, *figures, over_seeds, p_holm = difference
        return [*figures, OVER[over_seeds], p_holm]


def find(
    runs: Sequence[SeedGroup], sampling: Sampling = DEFAULT, progress: bool = True
) -> Findings:
    """Confidence intervals of all figures, and every run against the first.

    Where three or more runs differ by their seed alone, intervals are over seeds and users;
    so are tests if there are as many of both models. Else they are over users, and speak of
    these runs; see :func:`~mentor_pyg.evaluation.metric_differences`. p-values are corrected
    for the number of models that are compared with the first in the same way, metric by metric.
    Coverage is no mean over users and has no interval.

    Args:
        runs: What :func:`~mentor_pyg.analysis.aggregate` returned.
        sampling: How to sample and test.
        progress: Whether to show a progress bar.

    Raises:
        InputError: If there are no runs, or the test is unknown.
    """
    if not runs:
        raise InputError("no runs to compare; expected at least one")
    parts = {("all", "all pairs"): [run.overall for run in runs]}
    for grouping, groups in runs[0].groups.items():
        for label in groups:
            parts[grouping, label] = [run.groups[grouping][label] for run in runs]
    sections = [
        GroupFigures(grouping, label, part, [metric_intervals(seeds, sampling) for seeds in part])
        for (grouping, label), part in progress_bar(parts.items(), "intervals", progress)
    ]
    differences = _differences(runs, sampling, progress)
    return Findings(runs, sampling, sections[0], sections[1:], differences)


def _differences(
    runs: Sequence[SeedGroup], sampling: Sampling, progress: bool
) -> dict[str, dict[str, Difference]]:
    first, *others = runs
    compared = [
        metric_differences(first.overall, run.overall, sampling)
        for run in progress_bar(others, "comparisons", progress)
    ]
    found: dict[str, dict[str, Difference]] = {run.name: {} for run in others}
    for of_metric in zip(*compared):
        # Apart, since p-values over users would let others pass Holm's steps too easily:
        for over_seeds in OVER:
            tested = [(r, c) for r, c in zip(others, of_metric) if c.over_seeds == over_seeds]
            corrected = holm([difference.p for _, difference in tested])
            for (run, difference), p_holm in zip(tested, corrected):
                found[run.name][difference.metric] = difference._replace(p_holm=p_holm)
    return found
