"""Tables and plots of what a plan's runs found."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mentor_pyg.analysis import (
    Cell,
    Column,
    Findings,
    SeedGroup,
    Table,
    aggregate,
    evaluate_runs,
    find,
)
from mentor_pyg.analysis.seeds import mean_and_std
from mentor_pyg.analysis.tables import Entry
from mentor_pyg.analysis.views import describe_tests
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation import Sampling
from mentor_pyg.experiments.folders import check_folders, run_folder
from mentor_pyg.experiments.plan import Plan, Variant
from mentor_pyg.experiments.published import published_figures
from mentor_pyg.options import checked
from mentor_pyg.runs.files import METRICS, read_metrics

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Result:
    """The finished runs of one model on one dataset.

    Attributes:
        variant: The model.
        folders: Folders of the runs.
        runs: Their ``metrics.json``, a run for each seed.
    """

    variant: Variant
    folders: tuple[Path, ...]
    runs: tuple[dict[str, Any], ...]

    @property
    def model(self) -> str:
        """Name of the model's class."""
        return self.runs[0]["model"]

    def mean(self, *path: str) -> float:
        """Mean over the runs of a number in ``metrics.json``."""
        values: list[Any] = list(self.runs)
        for key in path:
            values = [value[key] for value in values]
        return sum(values) / len(values)

    def cell(self, split: str, metric: str, star: bool = False) -> Cell:
        """Mean and standard deviation of a metric."""
        mean, std = mean_and_std([{metric: run[split][metric]} for run in self.runs])
        return Cell(mean[metric], spread=std.get(metric), star=star)

    @property
    def seconds(self) -> float:
        """Mean time of training, validations excluded."""
        total = sum(run["seconds_per_epoch"] * run["epochs_run"] for run in self.runs)
        return total / len(self.runs)

    @property
    def memory(self) -> float | None:
        """Mean of the largest memory in MB; None if it isn't known of all runs."""
        is_known = all(run["peak_memory_mb"] is not None for run in self.runs)
        return self.mean("peak_memory_mb") if is_known else None


@dataclass(frozen=True)
class Comparison:
    """All finished runs of a plan on one dataset.

    Attributes:
        dataset: Its name.
        plan: The plan.
        results: The models that have at least one finished run, in the plan's order.
    """

    dataset: str
    plan: Plan
    results: tuple[Result, ...]

    @cached_property
    def reference(self) -> Result:
        """What the others are tested against: the plan's reference, else the best on
        validation of those that come after the first."""
        named = [r for r in self.results if r.variant.name == self.plan.reference]
        others = self.results[1:] or self.results
        return named[0] if named else max(others, key=lambda r: r.mean("val", self.metrics[0]))

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.plan.metrics

    def significance(self, progress: bool = True) -> Findings:
        """Tests of every model against the reference, over seeds and test users."""
        ordered = [self.reference, *(r for r in self.results if r is not self.reference)]
        groups: list[SeedGroup] = []
        for result in ordered:
            runs = evaluate_runs(result.folders, progress=progress)
            groups.append(replace(aggregate(runs)[0], name=result.variant.name))
        return find(groups, Sampling(), progress)

    def table(self, findings: Findings | None = None) -> Table:
        """Validation and test metrics, times and memory of all models.

        Args:
            findings: Of :meth:`significance`; a star marks differences from the
                reference.
        """
        monitor = self.metrics[0]
        columns = [Column("model"), Column("runs", "d"), Column(f"val {monitor}", best="max")]
        columns += [Column(metric, best="max") for metric in self.metrics]
        columns += [Column("s / epoch", ".1f"), Column("epochs", ".0f"), Column("MB", ".0f")]
        rows = [self._row(result, findings) for result in self.results]
        note = "mean ± standard deviation over seeds, selection on validation"
        if findings is not None:
            note = "; ".join([note, *describe_tests(findings, SIGNIFICANT)])
        return Table(columns, rows, self.dataset, note)

    def _row(self, result: Result, findings: Findings | None) -> list[Entry]:
        name = result.variant.name
        differences = {} if findings is None else findings.differences.get(name, {})
        test = [
            result.cell("test", m, m in differences and differences[m].is_significant(SIGNIFICANT))
            for m in self.metrics
        ]
        cost = [result.mean("seconds_per_epoch"), result.mean("epochs_run"), result.memory]
        return [name, len(result.runs), result.cell("val", self.metrics[0]), *test, *cost]

    def published(self) -> Table:
        """Our figures beside those of papers, which have their own data and selection.

        A model's figures stand beside the one that bears its name, or is alone of its
        kind; beside others of its kind those of the ablation with their name.
        """
        columns = [Column("model"), Column("from the paper"), Column("metric")]
        columns += [Column("ours"), Column("paper"), Column("difference", "+.1%")]
        rows: list[list[Entry]] = []
        models = [result.model for result in self.results]
        for result in self.results:
            name, model = result.variant.name, result.model
            ablation = None if name == model or models.count(model) == 1 else name
            for published in published_figures(self.dataset, model, ablation):
                for metric, value in published.metrics.items():
                    ours = result.cell("test", metric)
                    change = ours.value / value - 1
                    rows.append([name, published.paper, metric, ours, value, change])
        note = "the papers' figures are their authors', with their features, splits and choices"
        return Table(columns, rows, f"{self.dataset}, beside published figures", note)

    def points(self, cost: str) -> list[tuple[str, float, float]]:
        """Name, cost and first metric of every model whose cost is known, for a plot.

        Args:
            cost: :obj:`"seconds"` of training or :obj:`"memory"` in MB.
        """
        values = [r.seconds if cost == "seconds" else r.memory for r in self.results]
        return [
            (result.variant.name, value, result.mean("test", self.metrics[0]))
            for result, value in zip(self.results, values)
            if value is not None
        ]


@checked
def collect(plan: Plan, out: Path) -> list[Comparison]:
    """What is finished of a plan, by dataset.

    Raises:
        InputError: If there is nothing yet, a result is damaged, or of other settings or
            data than the plan's.
    """
    check_folders(plan, out, needs_data=False)
    comparisons = []
    for dataset in plan.datasets:
        results = [_result(plan, out, dataset, variant) for variant in plan.variants]
        finished = tuple(result for result in results if result.runs)
        if finished:
            comparisons.append(Comparison(dataset, plan, finished))
    if not comparisons:
        raise InputError(f"{out}: has no finished runs of the plan; expected at least one")
    return comparisons


def _result(plan: Plan, out: Path, dataset: str, variant: Variant) -> Result:
    folders = [run_folder(out, dataset, variant, seed) for seed in plan.seeds]
    finished = [folder for folder in folders if (folder / METRICS).exists()]
    runs = [read_metrics(folder) for folder in finished]
    for folder, run in zip(finished, runs):
        for metric in plan.metrics:
            if metric not in run["test"]:
                raise InputError(
                    f"{folder / METRICS}: has no {metric}; expected one of {', '.join(run['test'])}"
                )
    return Result(variant, tuple(finished), tuple(runs))
