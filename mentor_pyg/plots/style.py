"""One look for all plots: colours, axes, texts, files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentor_pyg._util.escaping import printable
from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import atomic_path
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which people of all kinds of colour vision tell apart."""

LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
INK, GREY, GRID = "#222222", "#6B6B6B", "#E4E4E4"
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 11, 10, 9
INCHES = 0.085
"""Width of a character at that size, roughly."""

MAX_NAME = 40
FORMATS = (".png", ".svg")
PNG_DPI = 200


def panels(
    rows: int, columns: int, width: float = 3.4, height: float = 2.7
) -> tuple["Figure", list["Axes"]]:
    """A figure of axes of equal size.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width of one in inches.
        height: Its height.

    Returns:
        The figure, and the axes row by row.
    """
    figure = optional("matplotlib.figure").Figure(
        figsize=(width * columns, height * rows), layout="constrained", facecolor="white"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    return figure, axes


def label_axes(ax: "Axes", title: str, x: str, y: str, grid: str = "both") -> None:
    """Title and labels of axes, in the common look.

    Args:
        ax: The axes.
        title: What they show.
        x: What the horizontal axis means, with its unit.
        y: Likewise.
        grid: :obj:`"x"`, :obj:`"y"` or :obj:`"both"`; :obj:`""` for none.
    """
    ax.set_title(plain(title), loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK)
    ax.set_xlabel(plain(x), fontsize=LABEL_SIZE, color=INK)
    ax.set_ylabel(plain(y), fontsize=LABEL_SIZE, color=INK)
    ax.tick_params(labelsize=TICK_SIZE, color=GREY, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]


def log_scale(ax: "Axes", which: str) -> None:
    """A logarithmic axis whose ticks bear plain numbers, some of them whatever it spans.

    Args:
        ax: The axes, with everything drawn.
        which: :obj:`"x"` or :obj:`"y"`.
    """
    ticker = optional("matplotlib.ticker")
    getattr(ax, f"set_{which}scale")("log")
    low, high = getattr(ax, f"get_{which}lim")()
    axis = getattr(ax, f"{which}axis")
    if high < 5 * low:
        axis.set_major_locator(ticker.MaxNLocator(4))
    else:
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: plain_number(x)))
    axis.set_minor_formatter(ticker.NullFormatter())


def plain_number(value: float) -> str:
    """A number as short as it can be, with separators of thousands: 10,000 or 0.02."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:g}"


def setting_ticks(ax: "Axes", values: Sequence[Any], room: float) -> None:
    """Ticks at 0, 1, ... with the values of a setting, slanted if they are long.

    Args:
        ax: The axes.
        values: The values.
        room: Inches from one tick to the next.
    """
    labels = [plain(f"{v:g}" if isinstance(v, float) else str(v)) for v in values]
    ax.set_xticks(range(len(labels)), labels)
    if max(map(len, labels), default=0) * INCHES > 0.95 * room:
        for label in ax.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def figure_legend(figure: "Figure", handles: Sequence[Any], labels: Sequence[str]) -> "Legend":
    """One legend for all axes of a figure, above them, in as many columns as have room."""
    width = 0.7 + INCHES * max((len(plain(label)) for label in labels), default=0)
    columns = max(1, min(len(labels), 4, int(figure.get_figwidth() / width)))
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, rows - 1))
    return figure.legend(
        handles,
        [plain(label) for label in labels],
        loc="outside upper left",
        ncols=columns,
        fontsize=LABEL_SIZE,
        frameon=False,
    )


def series_style(index: int) -> dict[str, Any]:
    """Colour and line of the n-th of several series."""
    cycle, color = divmod(index, len(COLORS))
    return {"color": COLORS[color], "linestyle": LINES[cycle % len(LINES)]}


def plain(text: str) -> str:
    """A text of the user's as it is: one line, no mathematics, not too long."""
    text = printable(" ".join(text.split()))
    text = text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
    # A legend leaves out what begins with an underscore:
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def render(figure: "Figure", suffix: str) -> bytes:
    """A figure as the bytes of a file; equal figures give equal bytes.

    Args:
        figure: The figure.
        suffix: :obj:`".png"` or :obj:`".svg"`.
    """
    buffer = io.BytesIO()
    metadata = {"Date": None} if suffix == ".svg" else None
    with optional("matplotlib").rc_context({"svg.hashsalt": "mentor_pyg"}):
        figure.savefig(buffer, format=suffix[1:], dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()


def image_suffix(path: str | Path) -> str:
    """The suffix of a file for a plot.

    Raises:
        InputError: If it is neither ``.png`` nor ``.svg``.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: ends in '{suffix}'; expected {' or '.join(FORMATS)}")
    return suffix


@checked
def save_figure(figure: "Figure", path: str | Path) -> None:
    """Writes a figure as PNG or SVG, as the path's suffix says.

    Raises:
        InputError: If it says something else, or the folder can't be written to.
    """
    content = render(figure, image_suffix(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
