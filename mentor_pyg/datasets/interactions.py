"""Reads and checks the table of interactions, ``<name>.inter``."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np

from mentor_pyg.datasets.delimited import EXPECTED, find_delimiter, split_row
from mentor_pyg.datasets.row_numbers import as_integers
from mentor_pyg.errors import InputError
from mentor_pyg.files import check_file
from mentor_pyg.typing import SPLITS

COLUMNS = ("userID", "itemID", "x_label")
MAX_ROWS_PER_ID = 10
"""Integer ids are row numbers, so few of them may go unused."""


@dataclass(frozen=True)
class Interactions:
    """Checked interactions: ``user``, ``item`` and ``label`` are int64 arrays [n].

    ``user_ids`` and ``item_ids`` hold the original ids in the order of the rows, or
    None where ids are the row numbers themselves.
    """

    user: np.ndarray
    item: np.ndarray
    label: np.ndarray
    num_users: int
    num_items: int
    user_ids: list[str] | None
    item_ids: list[str] | None


def read_interactions(
    path: Path, user_ids: list[str] | None = None, item_ids: list[str] | None = None
) -> Interactions:
    """Reads a TSV or CSV file with the columns userID, itemID and x_label.

    Columns may come in any order, further ones are ignored. Ids that all are
    non-negative integers, as one writes them (not ``01``), are row numbers; else they are
    labels and numbered in sorted order, unless a list says which row is whose.

    Args:
        path: The file.
        user_ids: All user ids in row order.
        item_ids: All item ids in row order.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If its content can't be used, with the line.
    """
    columns = _read_columns(path)
    label = _read_labels(path, columns["x_label"])
    user, num_users, user_ids = _number(path, "userID", columns["userID"], user_ids)
    item, num_items, item_ids = _number(path, "itemID", columns["itemID"], item_ids)

    _check_duplicates(path, user, item, num_items)
    for split, name in enumerate(SPLITS):
        if not (label == split).any():
            raise InputError(f"{path}: has no {name} pairs; expected rows with x_label {split}")
    return Interactions(user, item, label, num_users, num_items, user_ids, item_ids)


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """The three columns as arrays of strings, read in pieces to bound the memory."""
    check_file(path, "a table of interactions")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            pieces = list(_read_pieces(path, file))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"{path}: byte {byte:#04x} isn't UTF-8; expected a text file") from None
    if not pieces:
        raise InputError(f"{path}: has a header but no interactions; expected at least one")
    return dict(zip(COLUMNS, np.concatenate(pieces, axis=1)))


def _read_pieces(path: Path, file: TextIO, size: int = 2**16) -> Iterator[np.ndarray]:
    line = file.readline()
    delimiter = find_delimiter(line)
    header = _read_header(path, line, delimiter)
    fields = itemgetter(*map(header.index, COLUMNS))
    rows = _read_rows(path, file, delimiter, len(header))
    # Not as a list of rows, which Python's collector of garbage would go through again and again:
    while piece := list(chain.from_iterable(map(fields, islice(rows, size)))):
        yield np.array(piece).reshape(-1, len(COLUMNS)).T


def _read_rows(path: Path, lines: TextIO, delimiter: str, width: int) -> Iterator[list[str]]:
    """The rows after the header; blank lines may follow them, but not come between them."""
    blank = 0
    for number, line in enumerate(lines, 2):
        try:
            row = split_row(line, delimiter, width)
        except csv.Error as error:
            raise InputError(f"{path}: line {number} has {error}; expected {EXPECTED}") from None
        if len(row) == width and not blank:
            yield row
        elif line.isspace():
            blank = blank or number
        elif blank:
            raise InputError(f"{path}: line {blank} is blank; expected a row")
        else:
            raise InputError(
                f"{path}: line {number} has {len(row)} columns; expected {width} as in the header"
            )


def _read_header(path: Path, line: str, delimiter: str) -> list[str]:
    if not line.strip():
        raise InputError(f"{path}: is empty; expected a header with {', '.join(COLUMNS)}")
    try:
        header = [name.strip() for name in split_row(line, delimiter)]
    except csv.Error as error:
        raise InputError(f"{path}: line 1 has {error}; expected {EXPECTED}") from None
    if len(header) == 1:
        raise InputError(
            f"{path}: line 1 has neither tab nor comma ('{line.strip()[:60]}'); "
            "expected tab- or comma-separated columns"
        )
    for name in COLUMNS:
        if header.count(name) != 1:
            found = "twice" if header.count(name) else f"not among {', '.join(header)[:200]}"
            raise InputError(f"{path}: column '{name}' is {found}; expected it once")
    return header


def _read_labels(path: Path, column: np.ndarray) -> np.ndarray:
    known = np.isin(column, [str(split) for split in range(len(SPLITS))])
    if not known.all():
        row = int(np.argmin(known))
        raise InputError(
            f"{path}: line {row + 2} has x_label '{column[row]}'; "
            "expected 0 (train), 1 (validation) or 2 (test)"
        )
    return column.astype(np.int64)


def _number(
    path: Path, name: str, column: np.ndarray, ids: list[str] | None
) -> tuple[np.ndarray, int, list[str] | None]:
    """Row numbers of a column of ids, how many rows there are, and the ids by row."""
    if ids is not None:
        row_of = {label: row for row, label in enumerate(ids)}
        try:
            rows = np.fromiter((row_of[label] for label in column), np.int64, len(column))
        except KeyError:
            line = next(n for n, label in enumerate(column, 2) if label not in row_of)
            raise InputError(
                f"{path}: line {line} has {name} '{column[line - 2]}', which is not in "
                f"the list of {len(ids)} ids; expected a listed one"
            ) from None
        return rows, len(ids), ids

    try:
        numbers = as_integers(column)
    except OverflowError:
        line = int(np.argmax(np.char.str_len(column))) + 2
        raise InputError(
            f"{path}: line {line} has {name} {column[line - 2]}, which is too large; "
            "expected row numbers, or the ids in a file of their own"
        ) from None
    if numbers is None:
        blank = np.char.strip(column) == ""
        if blank.any():
            line = int(np.argmax(blank)) + 2
            raise InputError(f"{path}: line {line} has an empty {name}; expected an id") from None
        labels, rows = np.unique(column, return_inverse=True)
        return rows.astype(np.int64), len(labels), labels.tolist()
    if numbers.min() < 0:
        line = int(np.argmin(numbers)) + 2
        raise InputError(f"{path}: line {line} has {name} {numbers.min()}; expected 0 or more")
    highest, distinct = int(numbers.max()), len(np.unique(numbers))
    if highest >= max(1000, MAX_ROWS_PER_ID * distinct):
        line = int(np.argmax(numbers)) + 2
        raise InputError(
            f"{path}: line {line} has {name} {highest}, but there are only {distinct} "
            f"different ones; expected row numbers, or the ids in a file of their own"
        )
    return numbers, highest + 1, None


def _check_duplicates(path: Path, user: np.ndarray, item: np.ndarray, num_items: int) -> None:
    key = user * num_items + item
    order = np.argsort(key, kind="stable")
    repeated = np.flatnonzero(key[order][1:] == key[order][:-1])
    if repeated.size:
        first, second = order[repeated[0]] + 2, order[repeated[0] + 1] + 2
        raise InputError(
            f"{path}: line {second} repeats the pair of line {first} "
            f"(row {user[second - 2]}, {item[second - 2]}); expected each pair once"
        )
