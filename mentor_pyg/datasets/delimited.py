"""Streaming of tab- or comma-separated tables."""

import csv
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from mentor_pyg.datasets.lines import read_lines
from mentor_pyg.datasets.problems import BadValue, MissingColumn, Problems
from mentor_pyg.errors import InputError, shown

MAX_FIELD = 2**17
"""Maximum characters per field, to detect files that are not tables."""

EXPECTED = "a row of short fields on one line, with quotes that end there"


def read_rows(
    path: Path,
    columns: Sequence[str],
    problems: Problems | None = None,
    *,
    header: Sequence[str] | None = None,
    gaps: bool = True,
    progress: bool = True,
) -> Generator[tuple[int, list[str]], None, None]:
    """Yields the line number and the values of some columns for each row.

    Args:
        path: A text file, see :func:`~mentor_pyg.datasets.lines.read_lines`.
        columns: Names of the columns to return.
        problems: Handling of invalid rows; they are errors if not given.
        header: Names of all columns, if the file has no header.
        gaps: Whether blank lines are allowed between rows.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is not such a table, or lacks a column.
    """
    problems, last = problems or Problems(), 0
    with closing(read_lines(path, problems, progress, has_header=header is None)) as lines:
        first = next(lines, None)
        if first is None:
            raise InputError(f"{path}: has only blank lines; expected rows")
        number, line = first
        delimiter = find_delimiter(line)
        names = _header(path, number, line, delimiter, columns) if header is None else header
        wanted = positions(path, columns, names)
        for number, line in chain([first], lines):
            if not gaps and number > last + 1:
                raise InputError(f"{path}: line {last + 1} is blank; expected a row")
            last = number
            if header is None and number == first[0]:
                continue
            try:
                row = _row(line, delimiter, len(names))
            except BadValue as bad:
                problems.add(f"{path}: line {number}", bad)
            else:
                yield number, [row[position] for position in wanted]


def positions(path: Path, columns: Sequence[str], header: Sequence[str]) -> list[int]:
    """Positions of columns in a header, each of which must occur once."""
    for name in columns:
        if header.count(name) != 1:
            names = repr(", ".join(header)[:200])[1:-1]  # without control characters
            found = "repeated" if name in header else f"not among {names}"
            raise MissingColumn(f"{path}: column '{name}' is {found}; expected it once", name)
    return [header.index(name) for name in columns]


def _header(
    path: Path, number: int, line: str, delimiter: str, columns: Sequence[str]
) -> list[str]:
    try:
        header = [name.strip() for name in split_row(line, delimiter)]
    except csv.Error as error:
        raise InputError(
            f"{path}: line {number} has {error}; expected a header, {EXPECTED}"
        ) from None
    if len(header) == 1 and not {*columns} <= {*header}:
        raise InputError(
            f"{path}: line {number} has neither tab nor comma ({shown(header[0])}); "
            "expected tab- or comma-separated columns"
        )
    return header


def _row(line: str, delimiter: str, width: int) -> list[str]:
    try:
        row = split_row(line, delimiter, width)
    except csv.Error as error:
        raise BadValue("not a row", f"has {error}", EXPECTED) from None
    if len(row) != width:
        raise BadValue("wrong number of columns", f"has {len(row)} columns", f"{width} columns")
    return row


def find_delimiter(header: str) -> str:
    """Column separator of a table with this first line."""
    return "\t" if "\t" in header else ","


def split_row(line: str, delimiter: str, width: int | None = None) -> list[str]:
    """Splits a line into fields.

    Each line is a row. If fields could span lines, a stray quote (``"5 inch``) would silently
    swallow all rows up to the next quote.

    - With commas, quotes have their usual meaning, and a stray quote is an error.
    - With tabs, where pandas writes quotes but MMRec and RecBole do not, quotes are removed if
      this gives the right number of fields; otherwise they are ordinary characters.

    Args:
        line: The line, with or without its end.
        delimiter: See :func:`find_delimiter`.
        width: Expected number of fields, if known.

    Raises:
        csv.Error: If the line is invalid; says what was found. :obj:`EXPECTED` says what was
            expected.
    """
    line = line.rstrip("\r\n")
    row = line.split(delimiter)
    if '"' in line:
        row = _unquote(line, row, delimiter, width)
    if len(line) > MAX_FIELD and (longest := max(map(len, row))) > MAX_FIELD:
        raise csv.Error(f"a field of {longest} characters")
    if "\r" in line:
        raise csv.Error("a carriage return in it")
    return row


def _unquote(line: str, plain: list[str], delimiter: str, width: int | None) -> list[str]:
    try:
        (row,) = csv.reader([line], delimiter=delimiter, strict=True)
    except csv.Error as error:
        if delimiter == "\t":
            return plain
        raise csv.Error(f"a stray quote ({error})") from None
    return row if delimiter == "," or width in (None, len(row)) else plain
