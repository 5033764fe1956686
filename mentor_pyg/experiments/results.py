"""The files that a comparison leaves."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mentor_pyg._util.extras import is_installed, pip_install
from mentor_pyg._util.file_sets import Writer, whole, write_together
from mentor_pyg._util.files import slug
from mentor_pyg._util.json_files import read_json
from mentor_pyg.analysis import Findings
from mentor_pyg.errors import InputError
from mentor_pyg.experiments.comparison import Comparison, Result
from mentor_pyg.experiments.plan import Plan
from mentor_pyg.plots import Grid, TradeOff, bars, heat_map, sensitivity, trade_off
from mentor_pyg.plots.style import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("mentor_pyg")

SUFFIXES = {"csv": ".csv", "markdown": ".md", "latex": ".tex", "html": ".html"}
COSTS = {"seconds": "seconds of training", "memory": "memory in MB"}
MAX_BARS = 8
"""More models than that aren't told apart in groups of bars."""


def write_results(comparison: Comparison, findings: Findings | None, out: Path) -> dict[str, Any]:
    """Writes tables, numbers and plots of one dataset, all or none.

    Args:
        comparison: The runs.
        findings: Of its significance.
        out: The folder.

    Returns:
        What the JSON file holds.
    """
    table, published = comparison.table(findings), comparison.published()
    writers: dict[Path, Writer] = {}
    for format, suffix in SUFFIXES.items():
        parts = [table.render(format)] + [published.render(format)] * bool(published.rows)
        writers[out / f"{comparison.dataset}{suffix}"] = whole("\n\n".join(parts) + "\n")
    numbers = {
        "reference": comparison.reference.variant.name,
        "models": {r.variant.name: _numbers(r) for r in comparison.results},
        "significance": None if findings is None else findings.to_dict(),
    }
    writers[_json(out, comparison.dataset)] = whole(json.dumps(numbers, indent=2) + "\n")
    if is_installed("matplotlib"):
        for name, figure in _figures(comparison):
            path = out / f"{comparison.dataset}-{name}.png"
            writers[path] = whole(render(figure, path.suffix))
    else:
        logger.info(f"nothing is plotted: that takes {pip_install('matplotlib')}")
    write_together(writers)
    return numbers


def check_results(plan: Plan, out: Path) -> None:
    """Fails before any work if results would replace those of a plan with other models.

    A plan may grow; runs are kept in any case.

    Raises:
        InputError: If a dataset's tables have a model that this plan lacks.
    """
    names = [variant.name for variant in plan.variants]
    for path in (_json(out, dataset) for dataset in plan.datasets):
        earlier = read_json(path, "results of a comparison") if path.exists() else {}
        models = earlier.get("models") if isinstance(earlier, dict) else None
        if earlier and not isinstance(models, dict):
            raise InputError(f"{path}: holds no models; expected results of a comparison")
        for model in models or ():
            if model not in names:
                raise InputError(
                    f"{path}: has results of '{model}', which the plan lacks; expected a plan "
                    "with it, another --out, or --force to replace the tables"
                )


def _json(out: Path, dataset: str) -> Path:
    return out / f"{dataset}.json"


def _numbers(result: Result) -> dict[str, Any]:
    return {
        "preset": result.variant.preset,
        "changes": list(result.variant.changes),
        "settings": dict(result.variant.settings),
        "runs": [{"folder": str(f), **run} for f, run in zip(result.folders, result.runs)],
    }


def _figures(comparison: Comparison) -> Iterator[tuple[str, "Figure"]]:
    metric, title = comparison.metrics[0], comparison.dataset
    for cost, label in COSTS.items():
        points = [TradeOff(*point) for point in comparison.points(cost)]
        if points:
            yield cost, trade_off(points, label, f"test {metric}", title)
    if len(comparison.results) <= MAX_BARS:
        values = {
            r.variant.name: {m: r.mean("test", m) for m in comparison.metrics}
            for r in comparison.results
        }
        yield "bars", bars(values, comparison.metrics, title=f"{title}, test")
    for model in dict.fromkeys(r.variant.model for r in comparison.results if r.variant.settings):
        swept = [r for r in comparison.results if r.variant.model == model]
        yield f"sweep-{slug(model)}", _sweep_figure(swept, metric, title)


def _sweep_figure(results: list[Result], metric: str, title: str) -> "Figure":
    """A line over the values of one setting, a heat map over those of the last two."""
    settings = list(results[0].variant.settings)
    if len(settings) == 1:
        points = [(r.variant.settings[settings[0]], r.mean("test", metric)) for r in results]
        spreads = [r.cell("test", metric).spread or 0.0 for r in results]
        return sensitivity(points, spreads, settings[0], f"test {metric}", title)
    rows, columns = settings[-2:]
    ys, xs = (list(dict.fromkeys(r.variant.settings[n] for r in results)) for n in (rows, columns))
    values = np.full((len(ys), len(xs)), np.nan)
    for r in results:
        place = ys.index(r.variant.settings[rows]), xs.index(r.variant.settings[columns])
        values[place] = r.mean("test", metric)
    return heat_map(Grid(values, ys, xs, rows, columns), f"{title}, test {metric}")
