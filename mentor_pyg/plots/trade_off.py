"""Accuracy against time or memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError
from mentor_pyg.plots.style import (
    COLORS,
    GREY,
    INK,
    TICK_SIZE,
    label_axes,
    log_scale,
    panels,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
