"""A metric by the values of one or two hyper-parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mentor_pyg._util.csv_files import cell_value, csv_text, read_csv
from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.plots.style import (
    COLORS,
    GRID,
    INCHES,
    LABEL_SIZE,
    TICK_SIZE,
    label_axes,
    panels,
    plain,
    setting_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOM, CELL_ROOM = 0.6, 0.85
"""Inches for every value, and for every column of a heat map."""

COLOR_MAP = "cividis"
"""Even steps of lightness, in blue and yellow: the same to all kinds of colour vision."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue light, white being 1."""

MIDDLE = 0.18
"""A luminance from which black and white stand out alike."""


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


@dataclass(frozen=True)
class Grid:
    """A metric by the values of two hyper-parameters.

    Attributes:
        values: [R, C], NaN where it wasn't measured.
        rows: Values of one hyper-parameter [R].
        columns: Values of the other one [C].
        row_name: Name of the first.
        column_name: Name of the second.

    Raises:
        InputError: If the sizes don't fit.
    """

    values: np.ndarray
    rows: Sequence[Any]
    columns: Sequence[Any]
    row_name: str = ""
    column_name: str = ""

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.rows), len(self.columns)):
            raise InputError(
                f"the grid is {list(self.values.shape)}; expected [{len(self.rows)}, "
                f"{len(self.columns)}], a value for every row and column"
            )

    def to_csv(self) -> str:
        r"""A table whose first row and column are the values of the hyper-parameters, and its
        first cell their names, ``row \ column``; cells without a value are empty."""
        head = [f"{self.row_name} \\ {self.column_name}", *self.columns]
        rows = (
            [name, *("" if np.isnan(value) else float(value) for value in row)]
            for name, row in zip(self.rows, self.values, strict=True)
        )
        return csv_text([head, *rows])


@checked
def read_grid(path: str | Path) -> Grid:
    """Reads what :meth:`Grid.to_csv` writes; the first cell may be empty.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it isn't such a table.
    """
    (corner, *columns), rows = read_csv(path, "a grid in CSV, a row and a column of values first")
    if not columns:
        raise InputError(f"{path}: holds no grid; expected a row and a column of values first")
    values = [[cell_value(cell, f"{path}:{n}") for cell in row[1:]] for n, row in rows]
    names = [name.strip() for name in corner.partition("\\")[::2]]
    return Grid(np.array(values), [row[0] for _, row in rows], columns, *names)


def heat_map(grid: Grid, metric: str = "", lowest: bool = False) -> "Figure":
    """Plots a grid of numbers by colour, each cell with its number, the best one framed.

    Args:
        grid: The numbers.
        metric: What they are.
        lowest: Whether the lowest value is best, as of a loss.

    Raises:
        InputError: If no cell has a value.
    """
    values = np.asarray(grid.values, dtype=float)
    if not np.isfinite(values).any():
        raise InputError("the grid has no value in any cell; expected at least one")
    height, width = values.shape
    least = 0.9 + INCHES * len(plain(grid.row_name))  # its name stands beside the rows
    figure, (ax,) = panels(1, 1, 2 + CELL_ROOM * width, max(1.3 + 0.55 * height, least))
    image = ax.imshow(np.ma.masked_invalid(values), cmap=COLOR_MAP + "_r" * lowest, aspect="auto")
    best = np.unravel_index((np.nanargmin if lowest else np.nanargmax)(values), values.shape)
    label_axes(ax, metric, grid.column_name, grid.row_name, grid="")
    setting_ticks(ax, grid.columns, CELL_ROOM)
    ax.set_yticks(range(height), [plain(str(value)) for value in grid.rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _write_cells(ax, values, image, (int(best[0]), int(best[1])))
    bar = figure.colorbar(image, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=TICK_SIZE, length=0)
    return figure


def _decimals(values: np.ndarray) -> int:
    """Decimals that give the largest number four digits, so that all columns line up."""
    largest = float(np.nanmax(np.abs(values)))
    return 0 if largest == 0 else min(max(3 - math.floor(math.log10(largest)), 0), 8)


def _write_cells(ax: "Axes", values: np.ndarray, image: Any, best: tuple[int, int]) -> None:
    rectangle = optional("matplotlib.patches").Rectangle
    decimals = _decimals(values)
    for (row, column), value in np.ndenumerate(values):
        corner = (column - 0.5, row - 0.5)
        if not np.isfinite(value):
            ax.add_patch(rectangle(corner, 1, 1, facecolor="white", edgecolor=GRID, hatch="//"))
            continue
        luminance = np.dot(np.power(image.to_rgba(value)[:3], 2.2), LUMINANCE)
        ax.text(
            column,
            row,
            f"{value:.{decimals}f}",
            ha="center",
            va="center",
            fontsize=LABEL_SIZE,
            fontweight="bold" if (row, column) == best else "normal",
            color="black" if luminance > MIDDLE else "white",
        )
    ax.add_patch(
        rectangle(
            (best[1] - 0.46, best[0] - 0.46),
            0.92,
            0.92,
            fill=False,
            edgecolor=COLORS[1],
            linewidth=3,
        )
    )
