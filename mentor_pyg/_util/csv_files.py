"""Small CSV files, which are written and read as a whole."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mentor_pyg._util.files import check_file
from mentor_pyg.errors import InputError, shown


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows, the header first, as the content of a file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_csv(path: Path | str, expected: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a file, and its rows with the numbers of their lines; blank lines are
    passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it isn't CSV, has no row, or one of another width than the header's.
    """
    check_file(Path(path), expected)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: isn't CSV ({error}); expected {expected}") from None
    if len(rows) < 2:
        raise InputError(f"{path}: has no rows; expected {expected}")
    (_, header), *rows = rows
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}:{line}: has {len(row)} cells; expected {len(header)}, one a column"
            )
    return header, rows


def cell_value(text: str, where: str) -> float:
    """A cell as a number; NaN if it is empty.

    Raises:
        InputError: If it is neither empty nor a finite number.
    """
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{where}: {shown(text)}; expected a finite number or nothing")
    return value
