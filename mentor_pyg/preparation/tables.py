"""Streams the wanted columns of tables: CSV, TSV, JSON lines, Python literals, Parquet."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor_pyg._util.extras import optional as import_optional
from mentor_pyg._util.files import check_file
from mentor_pyg.datasets.delimited import read_rows
from mentor_pyg.datasets.lines import read_lines
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.preparation.parquet import read_parquet
from mentor_pyg.preparation.records import parse_record

RECORDS, PARQUET = (".json", ".jsonl", ".ndjson"), (".parquet", ".pq")


@dataclass(frozen=True)
class RowStream:
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
) -> Iterator[RowStream]:
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
            yield RowStream(path, "row", records)
        return
    # Closed here, since an error keeps the generators alive that it went through:
    if kind in RECORDS:
        with closing(read_lines(path, problems, progress)) as lines:
            wanted = (line for line in lines if not (skip_line and skip_line(line[1])))
            yield RowStream(path, "line", _read_records(path, wanted, columns, optional, problems))
        return
    every = [*columns, *optional]
    with closing(read_rows(path, every, problems, header=header, progress=progress)) as rows:
        yield RowStream(path, "line", rows)


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
