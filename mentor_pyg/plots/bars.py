"""Metrics of several runs, side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mentor_pyg.options import checked
from mentor_pyg.plots.style import (
    COLORS,
    GREY,
    INK,
    figure_legend,
    label_axes,
    panels,
    series_style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELLED = 20
"""Up to so many bars carry their value."""


@checked
def bars(
    values: Mapping[str, Mapping[str, float]],
    metrics: Sequence[str],
    baseline: Mapping[str, float] | None = None,
    baseline_name: str = "by popularity",
    title: str = "test",
) -> "Figure":
    """Plots a group of bars for every metric, a bar a run.

    Args:
        values: Metrics of every run, by the run's name.
        metrics: Which of them to show, in this order.
        baseline: Metrics of something to compare with, in grey.
        baseline_name: What it is.
        title: What was measured.
    """
    series = [(name, run, series_style(i)["color"]) for i, (name, run) in enumerate(values.items())]
    if baseline is not None:
        series.append((baseline_name, baseline, "#BDBDBD"))
    figure, (ax,) = panels(1, 1, 10, 3.2)
    width = 0.8 / len(series)
    handles = []
    for i, (_, run, color) in enumerate(series):
        place = [x + (i - (len(series) - 1) / 2) * width for x in range(len(metrics))]
        hatch = "//" if len(COLORS) <= i < len(values) else None  # where colours are used up
        heights = [run[m] for m in metrics]
        container = ax.bar(
            place, heights, 0.92 * width, color=color, hatch=hatch, edgecolor="white", linewidth=0
        )
        handles.append(container)
        if len(series) * len(metrics) <= MAX_LABELLED:
            ax.bar_label(container, fmt="%.4f", fontsize=8, color=INK, padding=2)
    label_axes(ax, title, "", "value of the metric", grid="y")
    ax.set_xticks(range(len(metrics)), list(metrics))
    ax.tick_params(axis="x", length=0, labelsize=10)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", color=GREY, length=0)
    figure_legend(figure, handles, [name for name, _, _ in series])
    return figure
