"""Reads and checks the table of interactions, ``<name>.inter``."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from mentor_pyg.errors import InputError
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
    non-negative integers are row numbers; else they are labels and numbered in sorted
    order, unless a list says which row is whose.

    Args:
        path: The file.
        user_ids: All user ids in row order.
        item_ids: All item ids in row order.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If its content can't be used, with the line.
    """
    columns = _read_columns(path)
    if not columns["x_label"].size:
        raise InputError(f"{path}: has a header but no interactions; expected at least one")
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
    try:
        with open(path, encoding="utf-8", newline="") as file:
            delimiter, header = _read_header(path, file.readline())
            rows = csv.reader(file, delimiter=delimiter)
            pieces = list(_read_pieces(path, rows, header))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: not found; expected a table of interactions") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"{path}: byte {byte:#04x} isn't UTF-8; expected a text file") from None
    except csv.Error as error:
        raise InputError(
            f"{path}: isn't a table ({error}); expected rows of short fields"
        ) from None
    empty = np.empty((3, 0), dtype="U1")
    table = np.concatenate([empty, *pieces], axis=1)
    return dict(zip(COLUMNS, table))


def _read_header(path: Path, line: str) -> tuple[str, list[str]]:
    if not line.strip():
        raise InputError(f"{path}: is empty; expected a header with {', '.join(COLUMNS)}")
    delimiter = "\t" if "\t" in line else ","
    header = [name.strip() for name in line.lstrip("\ufeff").rstrip("\r\n").split(delimiter)]
    if len(header) == 1:
        raise InputError(
            f"{path}: line 1 has neither tab nor comma ('{line.strip()[:60]}'); "
            "expected tab- or comma-separated columns"
        )
    for name in COLUMNS:
        if header.count(name) != 1:
            found = "twice" if header.count(name) else f"not among {', '.join(header)}"
            raise InputError(f"{path}: column '{name}' is {found}; expected it once")
    return delimiter, header


def _read_pieces(
    path: Path, rows: Iterator[list[str]], header: list[str], size: int = 2**16
) -> Iterator[np.ndarray]:
    wanted = [header.index(name) for name in COLUMNS]
    first_line = 2
    while piece := list(islice(rows, size)):
        for offset, row in enumerate(piece):
            if not row and not any(chain(piece[offset:], rows)):
                piece = piece[:offset]  # blank lines at the end
                break
            if len(row) != len(header):
                raise InputError(
                    f"{path}: line {first_line + offset} has {len(row)} columns; "
                    f"expected {len(header)} as in the header"
                )
        if piece:
            yield np.array(piece).T[wanted]
        first_line += len(piece)


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
        rows = column.astype(np.int64)
    except OverflowError:
        line = int(np.argmax(np.char.str_len(column))) + 2
        raise InputError(
            f"{path}: line {line} has {name} {column[line - 2]}, which is too large; "
            "expected row numbers, or the ids in a file of their own"
        ) from None
    except ValueError:
        blank = np.char.strip(column) == ""
        if blank.any():
            line = int(np.argmax(blank)) + 2
            raise InputError(f"{path}: line {line} has an empty {name}; expected an id") from None
        labels, rows = np.unique(column, return_inverse=True)
        return rows.astype(np.int64), len(labels), labels.tolist()
    if rows.min() < 0:
        line = int(np.argmin(rows)) + 2
        raise InputError(f"{path}: line {line} has {name} {rows.min()}; expected 0 or more")
    highest, distinct = int(rows.max()), len(np.unique(rows))
    if highest >= max(1000, MAX_ROWS_PER_ID * distinct):
        line = int(np.argmax(rows)) + 2
        raise InputError(
            f"{path}: line {line} has {name} {highest}, but there are only {distinct} "
            f"different ones; expected row numbers, or the ids in a file of their own"
        )
    return rows, highest + 1, None


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
