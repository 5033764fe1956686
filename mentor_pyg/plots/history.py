"""What runs recorded of their epochs, and curves of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mentor_pyg._util.csv_files import cell_value, read_csv
from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.options import checked
from mentor_pyg.plots.style import INK, figure_legend, label_axes, panels, series_style
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.files import CONFIG, HISTORY, METRICS, ROUNDING, check_files, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN_METRICS = ("recall@", "ndcg@")


@dataclass(frozen=True)
class History:
    """Loss terms and validation metrics by epoch.

    Attributes:
        name: Name of the run.
        monitor: Validation metric that chose the best epoch.
        epochs: The epochs, from 1.
        losses: Mean of every loss term, by name; NaN where it wasn't computed.
        metrics: Validation metrics by name; NaN where there was no validation.
    """

    name: str
    monitor: str
    epochs: list[int]
    losses: dict[str, list[float]]
    metrics: dict[str, list[float]]

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best validation; None if there was none yet."""
        values = self.metrics.get(self.monitor, [])
        measured = [(value, -epoch) for value, epoch in zip(values, self.epochs) if value == value]
        return -max(measured)[1] if measured else None


@checked
def read_history(folder: str | Path, name: str | None = None) -> History:
    """Reads ``history.csv`` and ``config.yaml`` of a run, finished or not.

    Args:
        folder: The run's folder.
        name: What to call it, the folder's name if not given.

    Raises:
        FileNotFoundError: If there is no such run.
        InputError: If a file is damaged, or of another run than ``metrics.json``.
    """
    folder = Path(folder)
    path = folder / HISTORY
    columns = _read_columns(path)
    if "epoch" not in columns:
        found = brief(", ".join(columns), 300)
        raise InputError(f"{path}: columns are {found}; expected 'epoch' among them")
    epochs = columns.pop("epoch")
    if epochs != list(range(1, len(epochs) + 1)):
        raise InputError(f"{path}: 'epoch' doesn't count the rows; expected 1, 2, ...")
    columns.pop("seconds", None)
    for metric, values in columns.items():
        if "@" in metric and any(value < 0 or value > 1 + ROUNDING for value in values):
            raise InputError(f"{path}: {metric} leaves its range; expected numbers from 0 to 1")
    monitor = load_config(str(folder / CONFIG)).train.monitor
    if (folder / METRICS).exists():
        check_files(folder, read_metrics(folder), CONFIG, HISTORY)
    return History(
        name=name or folder.resolve().name,
        monitor=monitor,
        epochs=[int(epoch) for epoch in epochs],
        losses={name: values for name, values in columns.items() if "@" not in name},
        metrics={name: values for name, values in columns.items() if "@" in name},
    )


def _read_columns(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV file of numbers by name; NaN for empty cells."""
    header, rows = read_csv(path, "a run of `mentor-pyg train`, with a row for every epoch")
    if len(set(header)) < len(header):
        found = brief(", ".join(header), 300)
        raise InputError(f"{path}: columns are {found}; expected each once")
    return {
        name: [cell_value(row[i], f"{path}:{line}: {brief(name)}") for line, row in rows]
        for i, name in enumerate(header)
    }


@checked
def run_names(folders: Sequence[str | Path]) -> list[str]:
    """What to call runs: their folders' names, or the paths where those are equal.

    Raises:
        InputError: If a run is named twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise InputError(f"{folders[i]}: is named twice; expected different runs")
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders)]


def main_metrics(names: Sequence[str]) -> list[str]:
    """Recall and NDCG out of the names of metrics; all names if there is neither."""
    main = [name for kind in MAIN_METRICS for name in names if name.startswith(kind)]
    return main or list(names)


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
