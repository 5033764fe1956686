"""Streams the wanted columns of tables: CSV, TSV, JSON lines, Python literals, Parquet."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from mentor_pyg._util.extras import optional as import_optional
from mentor_pyg._util.files import check_file
from mentor_pyg.datasets.delimited import EXPECTED, find_delimiter, split_row
from mentor_pyg.errors import InputError
from mentor_pyg.preparation.header import positions
from mentor_pyg.preparation.lines import read_lines
from mentor_pyg.preparation.parquet import read_parquet
from mentor_pyg.preparation.problems import BadValue, Problems
from mentor_pyg.preparation.records import parse_record

RECORDS, PARQUET = (".json", ".jsonl", ".ndjson"), (".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """A stream of rows: ``rows`` yields their numbers in the file and their values."""

    path: Path
    unit: str
    rows: Iterator[tuple[int, Sequence[Any]]]

    def where(self, number: int) -> str:
        return f"{self.path}: {self.unit} {number}"


@contextmanager
def open_table(
    path: Path,
    columns: Sequence[str],
    problems: Problems,
    *,
    optional: Sequence[str] = (),
    header: Sequence[str] | None = None,
    skip_line: Callable[[str], bool] | None = None,
    progress: bool = True,
) -> Iterator[Table]:
    """Opens a table for a ``with`` block, by the ending of its name.

    A last ``.gz`` is taken off, and capitals and small letters are the same.
    ``.json`` and ``.jsonl`` hold one record a line, JSON or a Python literal of a dict (which
    is parsed, never run); ``.parquet`` is read by pyarrow; everything else is a table of
    columns separated by tabs or commas, each line a row.

    Args:
        path: The file.
        columns: Whose values to yield.
        problems: What happens to rows that can't be used.
        optional: Further columns to yield, None where a record lacks them.
        header: Names of the columns of a table whose file doesn't have them.
        skip_line: Lines of records that nobody wants, told before the cost of parsing.
        progress: Whether to show a bar.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If the file can't be used, or a row of it with ``on_error="fail"``.
    """
    check_table(path)
    kind = kind_of(path)
    if kind in PARQUET:
        with closing(read_parquet(path, [*columns, *optional], progress)) as records:
            yield Table(path, "row", records)
        return
    has_header = kind not in RECORDS and header is None
    # Closed here, since an error keeps the generators alive that it went through:
    with closing(read_lines(path, problems, progress, has_header)) as lines:
        if kind in RECORDS:
            wanted = (line for line in lines if not (skip_line and skip_line(line[1])))
            rows: Iterator[tuple[int, Sequence[Any]]] = _read_records(
                path, wanted, columns, optional, problems
            )
        else:
            rows = _read_delimited(path, lines, [*columns, *optional], header, problems)
        yield Table(path, "line", rows)


def check_table(path: Path) -> None:
    """Fails before any work if there is no table, or pyarrow is needed but missing.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it can't be opened.
    """
    check_file(path)
    if kind_of(path) in PARQUET:
        import_optional("pyarrow.parquet")


def kind_of(path: Path) -> str:
    """The ending that tells what a table holds, in small letters."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def _read_records(
    path: Path,
    lines: Iterator[tuple[int, str]],
    columns: Sequence[str],
    optional: Sequence[str],
    problems: Problems,
) -> Iterator[tuple[int, list[Any]]]:
    for number, line in lines:
        try:
            record = parse_record(line)
            for name in columns:
                if name not in record:
                    expected = f"'{name}' in every record"
                    raise BadValue(f"no '{name}'", f"has no '{name}'", expected, lacks=name)
        except BadValue as bad:
            problems.add(f"{path}: line {number}", bad)
        else:
            yield number, [record.get(name) for name in (*columns, *optional)]


def _read_delimited(
    path: Path,
    lines: Iterator[tuple[int, str]],
    columns: Sequence[str],
    header: Sequence[str] | None,
    problems: Problems,
) -> Iterator[tuple[int, list[str]]]:
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path}: has no line that isn't blank; expected rows")
    delimiter = find_delimiter(first[1])
    if header is None:
        try:
            header = [name.strip() for name in split_row(first[1], delimiter)]
        except csv.Error as error:
            raise InputError(
                f"{path}: line {first[0]} has {error}; expected a header, {EXPECTED}"
            ) from None
    else:
        lines = chain([first], lines)
    wanted = positions(path, columns, header)
    for number, line in lines:
        try:
            row = _split(line, delimiter, len(header))
        except BadValue as bad:
            problems.add(f"{path}: line {number}", bad)
        else:
            yield number, [row[position] for position in wanted]


def _split(line: str, delimiter: str, width: int) -> list[str]:
    try:
        row = split_row(line, delimiter, width)
    except csv.Error as error:
        raise BadValue("not a row", f"has {error}", EXPECTED) from None
    if len(row) != width:
        raise BadValue("wrong number of columns", f"has {len(row)} columns", f"{width} columns")
    return row
