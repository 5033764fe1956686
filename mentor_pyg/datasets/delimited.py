"""Splits the lines of tables whose columns are separated by tabs or commas."""

import csv

MAX_FIELD = 2**17
"""Characters; a longer one is a file without line ends, or no table at all."""

EXPECTED = "a row of short fields on one line, with quotes that end there"


def find_delimiter(header: str) -> str:
    """What separates the columns of a table with this first line."""
    return "\t" if "\t" in header else ","


def split_row(line: str, delimiter: str, width: int | None = None) -> list[str]:
    """The fields of a line.

    Each line is a row of its own: if a field could go on in the next line, then a stray
    quote (``"5 inch``) would swallow all rows up to the next one, and no one could tell.

    - Between commas, quotes have their usual meaning, and a stray one is an error.
    - Between tabs, where MMRec and RecBole don't quote but pandas does, fields are taken
      out of their quotes if that gives a row of the right width; any other quote is a
      character like the others.

    Args:
        line: The line, with or without its end.
        delimiter: See :func:`find_delimiter`.
        width: How many fields there should be, if that is known.

    Raises:
        csv.Error: If they can't be told; says what the line has. :obj:`EXPECTED` says
            what was expected.
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
