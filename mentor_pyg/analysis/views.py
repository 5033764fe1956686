"""Tables of what was found about evaluated runs."""

from collections.abc import Sequence

from mentor_pyg.analysis.findings import OVER, Findings
from mentor_pyg.analysis.tables import Cell, Column, Entry, Table
from mentor_pyg.errors import InputError, brief
from mentor_pyg.evaluation.variance import MIN_SEEDS
from mentor_pyg.options import checked

GROUP_METRICS = ("recall", "ndcg")
"""What tables of groups show if no metrics are named."""

TITLES = {
    "user": "users by their training pairs",
    "popularity": "held-out pairs by the training pairs of their item",
    "cold": "held-out pairs of cold items",
}


@checked
def make_tables(findings: Findings, metrics: Sequence[str] = ()) -> list[Table]:
    """All pairs; each grouping; deviations over seeds; differences from the first run.

    Tables that would have nothing to say are left out.

    Args:
        findings: What :func:`~mentor_pyg.analysis.find` returned.
        metrics: Names to show, e.g. ``recall``; all if not given, and of groups
            ``recall`` and ``ndcg``, of the longest lists.

    Raises:
        InputError: If a metric is unknown.
    """
    known = {name: name.partition("@")[0] for name in findings.runs[0].mean}
    for metric in metrics:
        if metric not in known.values():
            expected = ", ".join(dict.fromkeys(known.values()))
            raise InputError(f"metric '{brief(metric)}' is unknown; expected some of {expected}")
    shown = [name for name, metric in known.items() if not metrics or metric in metrics]
    result = [_overall(findings, shown), *_groups(findings, metrics or GROUP_METRICS)]
    if any(run.std for run in findings.runs):
        result.append(_deviations(findings, shown))
    if findings.differences:
        result.append(_comparisons(findings, shown))
    return result


def _overall(findings: Findings, shown: Sequence[str]) -> Table:
    rows: list[list[Entry]] = []
    alpha = 1 - findings.sampling.confidence
    for run, estimates in zip(findings.runs, findings.overall.estimates):
        differences = findings.differences.get(run.name, {})
        stars = {name for name, found in differences.items() if found.is_significant(alpha)}
        cells = []
        for name in shown:
            interval = estimates[name][1:] if name in estimates else None
            cells.append(Cell(run.mean[name], interval, star=name in stars))
        rows.append([run.name, *cells])
    first = findings.runs[0].runs[0]
    level = f"{100 * findings.sampling.confidence:g}% intervals"
    title = f"{first.split} split of {first.dataset}, {findings.overall.size}, {level}"
    notes = [f"no {TITLES[name]}" for name, groups in findings.runs[0].groups.items() if not groups]
    notes = [f"intervals are {_over(findings)}", *describe_tests(findings, alpha), *notes]
    columns = [Column("metric"), *(Column(name, best="max") for name in shown)]
    return Table(columns, rows, title, "; ".join(notes), transposed=True)


def _over(findings: Findings) -> str:
    """What the intervals of single models are over."""
    enough = {len(run.overall) >= MIN_SEEDS for run in findings.runs}
    if enough == {True}:
        return "over seeds and users"
    models = f" where models have fewer than {MIN_SEEDS} seeds" if True in enough else ""
    return f"over users, of these runs alone{models}"


def describe_tests(findings: Findings, alpha: float) -> list[str]:
    """What a star means, and why some differences have none."""
    # How every model was compared; the same for all metrics.
    kinds = [next(iter(d.values())).over_seeds for d in findings.differences.values()]
    over_seeds, over_users = (kinds.count(kind) for kind in OVER)
    notes = []
    if over_seeds:
        notes.append(
            f"* differs from {findings.runs[0].name} (p < {alpha:.2g}, "
            f"t-test over seeds and users{_corrected(over_seeds)})"
        )
    if over_users:
        notes.append(
            f"with fewer than {MIN_SEEDS} seeds of both models there is no star, and p is of a "
            f"paired {findings.sampling.test} test over users{_corrected(over_users)}, of these "
            "runs alone"
        )
    return notes


def _corrected(number: int) -> str:
    return ", Holm-corrected" if number > 1 else ""


def _groups(findings: Findings, metrics: Sequence[str]) -> list[Table]:
    """A table for every grouping and metric."""
    names = findings.overall.metrics[0][0].names
    longest = max(int(name.partition("@")[2]) for name in names)
    result = []
    for grouping in dict.fromkeys(section.grouping for section in findings.groups):
        sections = [section for section in findings.groups if section.grouping == grouping]
        for name in (f"{metric}@{longest}" for metric in metrics):
            if name in names:  # coverage isn't
                columns = [Column("group")]
                columns += [Column(f"{s.label} ({s.size})", best="max") for s in sections]
                rows: list[list[Entry]] = []
                for i, run in enumerate(findings.runs):
                    estimates = [section.estimates[i][name] for section in sections]
                    rows.append([run.name, *(Cell(e.value, (e.low, e.high)) for e in estimates)])
                title = f"{name} of {TITLES[grouping]}"
                result.append(Table(columns, rows, title, transposed=True))
    return result


def _deviations(findings: Findings, shown: Sequence[str]) -> Table:
    rows: list[list[Entry]] = [
        [run.name, *(Cell(run.mean[name], spread=run.std.get(name)) for name in shown)]
        for run in findings.runs
    ]
    columns = [Column("metric"), *(Column(name, best="max") for name in shown)]
    title = "mean ± standard deviation over seeds"
    return Table(columns, rows, title, transposed=True)


def _comparisons(findings: Findings, shown: Sequence[str]) -> Table:
    columns = [Column("run"), Column("metric"), Column("difference", "+.4f")]
    columns += [Column("p", ".2g"), Column("test over")]
    several = len(findings.differences) > 1
    if several:
        columns.append(Column("p (Holm)", ".2g"))
    rows: list[list[Entry]] = []
    for run, differences in findings.differences.items():
        for name in (name for name in shown if name in differences):
            _, value, low, high, p, over_seeds, p_holm = differences[name]
            tail = [p_holm] if several else []
            rows.append([run, name, Cell(value, (low, high)), p, OVER[over_seeds], *tail])
    note = "; ".join(describe_tests(findings, 1 - findings.sampling.confidence))
    return Table(columns, rows, f"differences from {findings.runs[0].name}", note)
