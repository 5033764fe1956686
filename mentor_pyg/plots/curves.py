"""Loss terms and validation metrics by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked
from mentor_pyg.plots.history import History, main_metrics
from mentor_pyg.plots.style import INK, figure_legend, label_axes, panels, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
FEW = 30
"""Up to so many epochs are drawn as points too."""


@checked
def curves(histories: Sequence[History], metrics: Sequence[str] | None = None) -> "Figure":
    """Plots every loss term and metric by epoch, a line a run, with a star at its best epoch.

    Args:
        histories: The runs.
        metrics: Validation metrics to show, Recall and NDCG if not given.

    Raises:
        InputError: If no run has measured such a metric.
    """
    losses = list(dict.fromkeys(name for history in histories for name in history.losses))
    measured = list(dict.fromkeys(name for history in histories for name in history.metrics))
    for name in metrics or ():
        if name not in measured:
            raise InputError(
                f"metric {shown(name)} wasn't measured; expected one of {', '.join(measured)}"
            )
    chosen = main_metrics(measured) if metrics is None else list(metrics)
    if not losses and not chosen:
        raise InputError("the runs recorded neither losses nor metrics; expected at least one")
    columns = min(COLUMNS, max(len(losses), len(chosen)))
    blocks = [_fill(names, columns) for names in (losses, chosen)]
    places = [name for block in blocks for name in block]
    width = 3.0 if columns > 1 else 4.4  # the legend has to fit
    figure, axes = panels(len(places) // columns, columns, width, 2.6)
    for ax, place in zip(axes, places):
        if place is None:
            ax.remove()
            continue
        _draw(ax, histories, place)
        label_axes(ax, place, "epoch", "mean over steps" if place in losses else "validation")
    _add_legend(figure, histories)
    return figure


def _fill(names: Sequence[str], columns: int) -> list[str | None]:
    """Names, and None to the end of their last row."""
    return [*names, *[None] * (-len(names) % columns)]


def _draw(ax: "Axes", histories: Sequence[History], name: str) -> None:
    for i, history in enumerate(histories):
        values = (history.losses | history.metrics).get(name, [])
        measured = [(x, y) for x, y in zip(history.epochs, values) if y == y]
        style = series_style(i)
        ax.plot(
            [x for x, _ in measured],
            [y for _, y in measured],
            linewidth=1.8,
            marker="o" if len(measured) <= FEW else None,
            markersize=3,
            label=history.name,
            **style,
        )
        best_epoch = history.best_epoch
        best = [point for point in measured if point[0] == best_epoch]
        for x, y in best:
            ax.plot(x, y, marker="*", markersize=13, color=style["color"], markeredgecolor="white")
    ax.xaxis.set_major_locator(
        optional("matplotlib.ticker").MaxNLocator(nbins=6, integer=True, min_n_ticks=1)
    )
    ax.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)


def _add_legend(figure: "Figure", histories: Sequence[History]) -> None:
    line = optional("matplotlib.lines").Line2D
    handles = [line([], [], linewidth=1.8, **series_style(i)) for i in range(len(histories))]
    names = [history.name for history in histories]
    if any(history.best_epoch is not None for history in histories):
        handles.append(line([], [], marker="*", markersize=11, color=INK, linestyle=""))
        names.append("best epoch")
    figure_legend(figure, handles, names)
