"""The tables of a report: a head, and rows of cells that may be marked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentor_pyg.analysis.drawn import Drawn
from mentor_pyg.datasets.sizes import DatasetStatistics
from mentor_pyg.report.results import RunResult, baseline, flatten

MISSING = "n/a"


@dataclass(frozen=True)
class PageRow:
    """Cells under one heading; ``differs`` if they tell the runs apart."""

    name: str
    cells: list[Drawn]
    differs: bool = False


@dataclass(frozen=True)
class PageTable:
    """What the template draws.

    Attributes:
        caption: What the table shows.
        columns: Headings of the columns, the one of the row names first.
        rows: The rows.
        groups: Headings over several columns, with how many each spans.
        is_numeric: Whether the cells are numbers.
    """

    caption: str
    columns: list[str]
    rows: list[PageRow]
    groups: list[tuple[str, int]] = field(default_factory=list)
    is_numeric: bool = False


def overview_table(runs: Sequence[RunResult]) -> PageTable:
    """Model, data, times and versions of every run."""
    properties: dict[str, Callable[[dict[str, Any]], str]] = {
        "model": lambda m: m["model"],
        "preset": lambda m: m["preset"],
        "dataset": lambda m: m["dataset"],
        "data from": lambda m: m["data_source"],
        "seed": lambda m: str(m["seed"]),
        "best epoch": lambda m: f"{m['best_epoch']} of {m['epochs_run']}",
        "time of an epoch": lambda m: f"{m['seconds_per_epoch']:.1f} s",
        "training in all": lambda m: duration(m["seconds_per_epoch"] * m["epochs_run"]),
        "memory at most": lambda m: memory(m["peak_memory_mb"]),
        "device": lambda m: m["device"],
    }
    rows = [
        PageRow(name, [Drawn(describe(run.metrics)) for run in runs])
        for name, describe in properties.items()
    ]
    packages = list(dict.fromkeys(name for run in runs for name in run.metrics["versions"]))
    rows += [
        PageRow(name, [Drawn(str(run.metrics["versions"].get(name, MISSING))) for run in runs])
        for name in packages
    ]
    return PageTable("The runs", ["", *(run.name for run in runs)], rows)


def duration(seconds: float) -> str:
    """A time in the units that people think in."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def memory(megabytes: float | None) -> str:
    """The size of the memory, if the system told it."""
    return MISSING if megabytes is None else f"{megabytes:,.0f} MB"


def results_table(runs: Sequence[RunResult]) -> PageTable:
    """All metrics of runs on the same data, on validation and test, the best marked."""
    popularity = baseline(runs)
    names = list(dict.fromkeys(name for run in runs for name in run.metrics["test"]))
    rows = [
        PageRow(
            name,
            [
                *_marked([run.metrics["val"].get(name) for run in runs]),
                *_marked([run.metrics["test"].get(name) for run in runs]),
                _number(popularity.get(name)),
            ],
        )
        for name in names
    ]
    headings = [run.name for run in runs]
    return PageTable(
        "Results",
        ["metric", *headings, *headings, "by popularity"],
        rows,
        groups=[("validation", len(runs)), ("test", len(runs) + 1)],
        is_numeric=True,
    )


def _marked(values: Sequence[float | None]) -> list[Drawn]:
    """Cells of numbers; of two or more, the highest is the best."""
    known = [value for value in values if value is not None]
    best = max(known) if len(known) > 1 else None
    return [_number(value, value is not None and value == best) for value in values]


def _number(value: float | None, is_best: bool = False) -> Drawn:
    return Drawn(MISSING if value is None else f"{value:.4f}", best=is_best)


def settings_table(runs: Sequence[RunResult]) -> PageTable:
    """All settings, those that differ between the runs first."""
    settings = [flatten(run.config.to_dict()) for run in runs]
    names = list(dict.fromkeys(name for flat in settings for name in flat))
    rows = [_settings_row(name, settings) for name in names]
    rows.sort(key=lambda row: not row.differs)
    return PageTable("Settings", ["setting", *(run.name for run in runs)], rows)


def _settings_row(name: str, settings: Sequence[Mapping[str, Any]]) -> PageRow:
    cells = [Drawn(_setting(flat[name]) if name in flat else MISSING) for flat in settings]
    return PageRow(name, cells, differs=len({cell.text for cell in cells}) > 1)


def _setting(value: Any) -> str:
    """A value as a preset has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def statistics_table(statistics: DatasetStatistics) -> PageTable:
    """Sizes of a dataset."""
    values = {
        "users": f"{statistics.users:,}",
        "users without training pairs": f"{statistics.cold_users:,}",
        "items": f"{statistics.items:,}",
        "items without training pairs": f"{statistics.cold_items:,}",
        **{f"{split} pairs": f"{size:,}" for split, size in statistics.pairs.items()},
        **{
            f"{split} pairs dropped (user without training pairs)": f"{size:,}"
            for split, size in statistics.dropped_pairs.items()
        },
        "sparsity": f"{statistics.sparsity:.2%}",
        **{
            f"{name} features": f"{width:,} wide, of {statistics.coverage[name]:.1%} of the items"
            for name, width in statistics.widths.items()
        },
    }
    rows = [PageRow(name, [Drawn(value)]) for name, value in values.items()]
    return PageTable("Data", ["", "value"], rows)
