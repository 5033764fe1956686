"""A metric by the values of one hyper-parameter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mentor_pyg.plots.style import COLORS, label_axes, panels, setting_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOM = 0.6
"""Inches for every value."""


def sensitivity(
    points: Sequence[tuple[Any, float]],
    spreads: Sequence[float],
    setting: str,
    metric: str,
    title: str = "",
) -> "Figure":
    """Plots a metric over the values of a setting, evenly spaced whatever they are.

    Args:
        points: Values of the setting and of the metric, in order.
        spreads: Standard deviations over seeds, drawn as bars; zero for none.
        setting: Name of the setting.
        metric: Name of the metric.
        title: What was measured.
    """
    figure, (ax,) = panels(1, 1, 1.8 + ROOM * len(points), 2.8)
    values = [value for _, value in points]
    ax.errorbar(
        range(len(points)), values, yerr=list(spreads), marker="o", color=COLORS[0], capsize=3
    )
    setting_ticks(ax, [value for value, _ in points], room=ROOM)
    label_axes(ax, title, setting, metric, grid="y")
    return figure
