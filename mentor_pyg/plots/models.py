"""Several models side by side: their metrics, and what they cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.plots.style import (
    COLORS,
    GREY,
    INK,
    TICK_SIZE,
    figure_legend,
    label_axes,
    log_scale,
    panels,
    plain,
    series_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


WIDE = 20
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""

OFFSETS = [
    (x, y)
    for distance in (7, 14, 22)
    for y in (distance, -distance, 0)
    for x in (distance, -distance)
]
"""Where a label may stand from its point, in points of 1/72 inch, best first."""


class TradeOff(NamedTuple):
    """What something costs and what it reaches."""

    name: str
    cost: float
    accuracy: float


def pareto_front(points: Sequence[TradeOff]) -> list[TradeOff]:
    """The points that no other one beats in both, by cost."""
    front: list[TradeOff] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def trade_off(
    points: Sequence[TradeOff],
    cost: str = "seconds per epoch",
    accuracy: str = "recall@20",
    title: str = "",
) -> "Figure":
    """Plots accuracy against cost, with the Pareto front as a line.

    Args:
        points: What to compare.
        cost: What the cost is, with its unit.
        accuracy: What the accuracy is.
        title: A title.

    Raises:
        InputError: If there are no points.
    """
    if not points:
        raise InputError("there are no points to plot; expected at least one")
    figure, (ax,) = panels(1, 1, 6, 4)
    front = pareto_front(points)
    ax.step(
        [p.cost for p in front],
        [p.accuracy for p in front],
        where="post",
        color=GREY,
        linewidth=1.2,
        linestyle="--",
        zorder=1,
    )
    colors = [COLORS[0] if point in front else GREY for point in points]
    ax.scatter([p.cost for p in points], [p.accuracy for p in points], s=45, c=colors, zorder=2)
    costs = [p.cost for p in points]
    if min(costs) > 0 and max(costs) > WIDE * min(costs):
        ax.set_xscale("log")
    ax.margins(0.15)
    if ax.get_xscale() == "log":
        log_scale(ax, "x")
    label_axes(ax, title, cost, accuracy)
    _place_labels(figure, ax, points)
    return figure


def _place_labels(figure: "Figure", ax: "Axes", points: Sequence[TradeOff]) -> None:
    """Writes every name where it covers least of other names and points."""
    optional("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # else nothing has a place yet
    bbox = optional("matplotlib.transforms").Bbox
    pixels = ax.transData.transform([(p.cost, p.accuracy) for p in points])
    taken = [bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    for point in points:
        candidates = [_annotate(ax, point, offset) for offset in OFFSETS]
        boxes = [text.get_window_extent() for text in candidates]
        covered = [_covered(box, taken, ax.bbox) for box in boxes]
        chosen = covered.index(min(covered))
        taken.append(boxes[chosen])
        for i, text in enumerate(candidates):
            if i != chosen:
                text.remove()


def _annotate(ax: "Axes", point: TradeOff, offset: tuple[int, int]) -> Any:
    text = ax.annotate(
        plain(point.name),
        (point.cost, point.accuracy),
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="center",
        fontsize=TICK_SIZE,
        color=INK,
    )
    text.set_in_layout(False)
    return text


def _covered(box: Any, taken: Sequence[Any], inside: Any) -> float:
    """Area that a box shares with others, or has outside of the axes."""

    def shared(other: Any) -> float:
        width = min(box.x1, other.x1) - max(box.x0, other.x0)
        height = min(box.y1, other.y1) - max(box.y0, other.y0)
        return max(0.0, width) * max(0.0, height)

    return sum(map(shared, taken)) + box.width * box.height - shared(inside)
