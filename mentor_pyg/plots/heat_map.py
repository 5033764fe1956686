"""A metric by the values of two hyper-parameters."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import check_file
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.plots.history import cell_value
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

COLOR_MAP = "cividis"
"""Even steps of lightness, in blue and yellow: the same to all kinds of colour vision."""

ROOM = 0.85
"""Inches for every column."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue light, white being 1."""

MIDDLE = 0.18
"""A luminance from which black and white stand out alike."""


@dataclass(frozen=True)
class Grid:
    """A metric at the points of a grid.

    Attributes:
        values: [R, C], NaN where it wasn't measured.
        rows: Values of one hyper-parameter [R].
        columns: Values of the other one [C].
        row_name: Name of the first.
        column_name: Name of the second.
    """

    values: np.ndarray
    rows: list[str]
    columns: list[str]
    row_name: str = ""
    column_name: str = ""


@checked
def read_grid(path: str | Path) -> Grid:
    r"""Reads a grid from CSV: values of hyper-parameters first, empty cells for no value.

    The first cell may name them, as ``row\column``.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it isn't such a table.
    """
    check_file(Path(path), "a grid in CSV")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: isn't CSV ({error}); expected a grid of numbers") from None
    if len(table) < 2 or len(table[0]) < 2:
        raise InputError(f"{path}: holds no grid; expected a row and a column of values first")
    (corner, *columns), *rows = table
    for line, row in enumerate(rows, 2):
        if len(row) != len(columns) + 1:
            raise InputError(f"{path}:{line}: has {len(row)} cells; expected {len(columns) + 1}")
    values = [
        [cell_value(cell, f"{path}:{line}") for cell in row[1:]] for line, row in enumerate(rows, 2)
    ]
    row_name, _, column_name = corner.partition("\\")
    return Grid(np.array(values), [row[0] for row in rows], columns, row_name, column_name)


def heat_map(
    values: np.ndarray,
    rows: Sequence[Any],
    columns: Sequence[Any],
    row_name: str = "",
    column_name: str = "",
    metric: str = "",
    lowest: bool = False,
) -> "Figure":
    """Plots a grid of numbers by colour, each cell with its number, the best one framed.

    Args:
        values: [R, C], NaN where there is none.
        rows: Values of one hyper-parameter [R], in the order of the rows.
        columns: Values of the other one [C].
        row_name: Name of the first.
        column_name: Name of the second.
        metric: What the cells are.
        lowest: Whether the lowest value is best, as of a loss.

    Raises:
        InputError: If the sizes don't fit, or no cell has a value.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise InputError(
            f"the grid is {list(values.shape)}; expected [{len(rows)}, {len(columns)}], "
            "a value for every row and column"
        )
    if not np.isfinite(values).any():
        raise InputError("the grid has no value in any cell; expected at least one")
    height, width = values.shape
    least = 0.9 + INCHES * len(plain(row_name))  # its name stands beside the rows
    figure, (ax,) = panels(1, 1, 2 + ROOM * width, max(1.3 + 0.55 * height, least))
    image = ax.imshow(np.ma.masked_invalid(values), cmap=COLOR_MAP + "_r" * lowest, aspect="auto")
    best = np.unravel_index((np.nanargmin if lowest else np.nanargmax)(values), values.shape)
    label_axes(ax, metric, column_name, row_name, grid="")
    setting_ticks(ax, columns, ROOM)
    ax.set_yticks(range(height), [plain(str(value)) for value in rows])
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
