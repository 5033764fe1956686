"""Tables of figures as text, Markdown, LaTeX, HTML and CSV."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mentor_pyg._util.csv_files import csv_text
from mentor_pyg.analysis.drawn import (
    Drawn,
    decorate,
    escape_html,
    escape_latex,
    escape_markdown,
    one_line,
)
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked

Value = str | int | float | None


@checked
@dataclass(frozen=True)
class Column:
    """A column of a :class:`Table`.

    Attributes:
        name: Its heading.
        format: Format of its floats, as for :func:`format`.
        best: Which value to mark, if any, where they differ.
    """

    name: str
    format: str = ".4f"
    best: Literal["max", "min"] | None = None


@dataclass(frozen=True)
class Cell:
    """A number with more to show than itself.

    Attributes:
        value: The number.
        interval: Bounds of its confidence interval.
        spread: Its standard deviation.
        star: Whether to mark it, for significance.
    """

    value: float
    interval: tuple[float, float] | None = None
    spread: float | None = None
    star: bool = False


Entry = Value | Cell


@dataclass(frozen=True)
class Table:
    """Columns, rows and what is written around them.

    Attributes:
        columns: The columns.
        rows: Values or cells, as many as columns in each row. None is an empty cell.
        title: A line above the table.
        note: A line below it.
        transposed: Whether to draw columns as rows; CSV has them as they are.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    title: str = ""
    note: str = ""
    transposed: bool = False

    def render(self, format: str) -> str:
        """The table in one of ``FORMATS``.

        Raises:
            InputError: If there is no such format.
        """
        if format not in FORMATS:
            raise InputError(f"format: is {shown(format)}; expected one of {', '.join(FORMATS)}")
        return FORMATS[format](self)

    def to_text(self) -> str:
        """Aligned columns for a terminal; ``^`` marks the best values."""
        grid = self._grid()
        columns = []
        for column in zip(*grid):
            marks = ["^" * cell.best + "*" * cell.star for cell in column]
            room = max(map(len, marks))
            texts = [one_line(cell.text) + mark.ljust(room) for cell, mark in zip(column, marks)]
            width = max(map(len, texts))
            right = _is_numeric(column)
            columns.append([x.rjust(width) if right else x.ljust(width) for x in texts])
        lines = ["  ".join(row).rstrip() for row in zip(*columns)]
        lines.insert(1, "-" * max(map(len, lines)))
        legend = "^ best" if any(cell.best for row in grid for cell in row) else ""
        note = "; ".join(filter(None, (legend, one_line(self.note))))
        return "\n".join(filter(None, (one_line(self.title), *lines, note)))

    def to_markdown(self) -> str:
        """A table in GitHub's Markdown; the best values are bold."""
        grid = self._grid()
        rows = [[decorate(cell, escape_markdown, "**{}**", r"\*") for cell in row] for row in grid]
        rules = ["---:" if _is_numeric(column) else "---" for column in zip(*grid)]
        lines = [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]
        around = [escape_markdown(Drawn(text)) for text in (self.title, self.note)]
        return "\n\n".join(filter(None, (around[0], "\n".join(lines), around[1])))

    def to_latex(self) -> str:
        """A floating table with the rules of the package booktabs."""
        grid = self._grid()
        rows = [
            [decorate(cell, escape_latex, r"\textbf{{{}}}", "$^{*}$") for cell in row]
            for row in grid
        ]
        lines = [f"    {' & '.join(row)} \\\\" for row in rows]
        align = "".join("r" if _is_numeric(column) else "l" for column in zip(*grid))
        caption = escape_latex(Drawn(". ".join(filter(None, (self.title, self.note)))))
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                *([f"  \\caption{{{caption}}}"] if caption else []),
                f"  \\begin{{tabular}}{{{align}}}",
                r"    \toprule",
                lines[0],
                r"    \midrule",
                *lines[1:],
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
            ]
        )

    def to_html(self) -> str:
        """A ``<table>``; the best values are in ``<strong>``."""
        grid = self._grid()
        right = [_is_numeric(column) for column in zip(*grid)]

        def row(cells: Sequence[Drawn], tag: str) -> str:
            texts = [
                decorate(cell, escape_html, "<strong>{}</strong>", "<sup>*</sup>") for cell in cells
            ]
            styles = [' style="text-align: right"' if r else "" for r in right]
            inner = (f"<{tag}{style}>{x}</{tag}>" for x, style in zip(texts, styles))
            return f"<tr>{''.join(inner)}</tr>"

        title, note = (escape_html(Drawn(text)) for text in (self.title, self.note))
        lines = [
            "<table>",
            *([f"<caption>{title}</caption>"] if title else []),
            f"<thead>{row(grid[0], 'th')}</thead>",
            "<tbody>",
            *(row(cells, "td") for cells in grid[1:]),
            "</tbody>",
            *([f'<tfoot><tr><td colspan="{len(right)}">{note}</td></tr></tfoot>'] if note else []),
            "</table>",
        ]
        return "\n".join(lines)

    def to_csv(self) -> str:
        """Values with all of their digits; intervals and deviations in columns of their own."""
        parts = [part for i, column in enumerate(self.columns) for part in self._parts(i, column)]
        rows = zip(*(values for _, values in parts))
        return csv_text([[name for name, _ in parts], *rows]).rstrip("\n")

    def _parts(self, index: int, column: Column) -> Iterator[tuple[str, list[Value]]]:
        """What a column holds, by names for CSV."""
        entries = [row[index] for row in self.rows]
        cells = [entry if isinstance(entry, Cell) else None for entry in entries]
        yield column.name, [_value(entry) for entry in entries]
        if any(cell and cell.interval for cell in cells):
            intervals = [(cell and cell.interval) or (None, None) for cell in cells]
            yield f"{column.name} low", [low for low, _ in intervals]
            yield f"{column.name} high", [high for _, high in intervals]
        if any(cell and cell.spread is not None for cell in cells):
            yield f"{column.name} std", [cell.spread if cell else None for cell in cells]

    def _grid(self) -> list[list[Drawn]]:
        """All cells, the heading first, as they are drawn."""
        bests = [
            _best(column, [row[i] for row in self.rows]) for i, column in enumerate(self.columns)
        ]
        grid = [[Drawn(column.name) for column in self.columns]]
        for row in self.rows:
            cells = zip(row, self.columns, bests, strict=True)
            grid.append([_draw(entry, column, best) for entry, column, best in cells])
        return [list(column) for column in zip(*grid)] if self.transposed else grid


def _value(entry: Entry) -> Value:
    return entry.value if isinstance(entry, Cell) else entry


def _best(column: Column, entries: Sequence[Entry]) -> Value:
    numbers = [v for v in map(_value, entries) if isinstance(v, int | float)]
    if column.best is None or len(set(numbers)) < 2:
        return None
    return max(numbers) if column.best == "max" else min(numbers)


def _draw(entry: Entry, column: Column, best: Value) -> Drawn:
    value = _value(entry)
    if not isinstance(value, int | float):
        return Drawn(value or "", is_number=value is None)
    text = f"{value:,}" if isinstance(value, int) else format(value, column.format)
    cell = entry if isinstance(entry, Cell) else Cell(value)
    if cell.spread is not None:
        text += f" ± {cell.spread:{column.format}}"
    if cell.interval is not None:
        text += " [{}, {}]".format(*(format(bound, column.format) for bound in cell.interval))
    return Drawn(text, True, value == best, cell.star)


def _is_numeric(column: Sequence[Drawn]) -> bool:
    """Whether all of a column under its heading are numbers."""
    return len(column) > 1 and all(cell.is_number for cell in column[1:])


FORMATS: dict[str, Callable[[Table], str]] = {
    "text": Table.to_text,
    "markdown": Table.to_markdown,
    "latex": Table.to_latex,
    "html": Table.to_html,
    "csv": Table.to_csv,
}
