"""Reading and validation of the table of interactions, ``<name>.inter``."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg.choices import SPLITS
from mentor_pyg.datasets.delimited import read_rows
from mentor_pyg.datasets.row_numbers import as_integers
from mentor_pyg.errors import InputError, shown

COLUMNS = ("userID", "itemID", "x_label")
TABLE = "a table of interactions"
MAX_ROWS_PER_ID = 10
"""Maximum ratio of the largest integer ID to the number of IDs, since IDs are row numbers."""


@dataclass(frozen=True)
class Interactions:
    """Validated interactions: ``user``, ``item`` and ``label`` are int64 arrays [n].

    ``user_ids`` and ``item_ids`` hold original IDs in the order of rows; None if IDs are row
    numbers.
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

    Columns may be in any order, and others are ignored. If all IDs are non-negative integers
    in plain notation (not ``01``), they are row numbers. Otherwise they are labels, numbered
    in sorted order or by the given lists.

    Args:
        path: Path of the file.
        user_ids: All user IDs in the order of rows.
        item_ids: All item IDs in the order of rows.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If its content is invalid; the message names the line.
    """
    columns = _read_columns(path)
    label = _read_labels(path, columns["x_label"])
    user, num_users, user_ids = _number(path, columns["userID"], user_ids)
    item, num_items, item_ids = _number(path, columns["itemID"], item_ids)

    _check_duplicates(path, user, item, num_items)
    for split, name in enumerate(SPLITS):
        if not (label == split).any():
            raise InputError(f"{path}: has no {name} pairs; expected rows with x_label {split}")
    return Interactions(user, item, label, num_users, num_items, user_ids, item_ids)


@dataclass(frozen=True)
class _Column:
    """A column of strings, each stored once.

    Row r has the string ``texts[codes[r]]``, stripped of blanks. Codes are numbered by first
    occurrence.
    """

    name: str
    codes: np.ndarray
    texts: list[str]

    def line(self, code: int) -> int:
        """Number of the first line with this string."""
        return int(np.argmax(self.codes == code)) + 2


def _read_columns(path: Path) -> dict[str, _Column]:
    """The three columns by name, read in pieces to bound memory."""
    check_file(path, TABLE)
    code_of: list[defaultdict[str, int]] = [defaultdict(count().__next__) for _ in COLUMNS]
    with closing(read_rows(path, COLUMNS, gaps=False, progress=False)) as rows:
        pieces = list(_code(rows, code_of))
    if not pieces:
        raise InputError(f"{path}: has a header but no interactions; expected at least one")
    codes = np.concatenate(pieces, axis=1)
    return {name: _strip(name, *x) for name, *x in zip(COLUMNS, codes, code_of)}


def _code(
    rows: Iterator[tuple[int, list[str]]], code_of: list[defaultdict[str, int]], size: int = 2**16
) -> Iterator[np.ndarray]:
    """Yields codes [3, n] of blocks of rows; ``code_of`` collects their strings."""
    # A list of all rows would slow down Python's garbage collector.
    while piece := list(chain.from_iterable(row for _, row in islice(rows, size))):
        yield np.array(
            [
                list(map(codes.__getitem__, piece[k :: len(COLUMNS)]))
                for k, codes in enumerate(code_of)
            ],
            dtype=np.int32,
        )


def _strip(name: str, codes: np.ndarray, code_of: Iterable[str]) -> _Column:
    """Strips the strings of a column and merges those that become equal."""
    again: defaultdict[str, int] = defaultdict(count().__next__)
    new = np.array([again[text.strip()] for text in code_of], dtype=np.int32)
    return _Column(name, codes if len(again) == len(new) else new[codes], list(again))


def _read_labels(path: Path, column: _Column) -> np.ndarray:
    """Split of each row; ``1.0`` is accepted for ``1``, as pandas writes it beside gaps."""
    known = {0.0: 0, 1.0: 1, 2.0: 2}
    splits = np.empty(len(column.texts), dtype=np.int64)
    for code, text in enumerate(column.texts):
        try:
            splits[code] = known[float(text)]
        except (ValueError, KeyError):
            raise InputError(
                f"{path}: line {column.line(code)} has x_label {shown(text)}; "
                "expected 0 (train), 1 (validation) or 2 (test)"
            ) from None
    return splits[column.codes]


def _number(
    path: Path, column: _Column, ids: list[str] | None
) -> tuple[np.ndarray, int, list[str] | None]:
    """Row numbers of a column of IDs, number of rows, and IDs by row."""
    if "" in column.texts:
        line = column.line(column.texts.index(""))
        raise InputError(f"{path}: line {line} has an empty {column.name}; expected an id")
    numbers = None
    if ids is None and (numbers := as_integers(column.texts)) is None:
        ids = sorted(column.texts)
    if numbers is not None:
        rows = _check_rows(path, column, numbers)
        return rows[column.codes], int(rows.max()) + 1, None
    assert ids is not None
    row_of = {label: row for row, label in enumerate(ids)}
    rows = np.array([row_of.get(text, -1) for text in column.texts], dtype=np.int64)
    if rows.min() < 0:
        code = int(np.argmin(rows))
        raise InputError(
            f"{path}: line {column.line(code)} has {column.name} {shown(column.texts[code])}, "
            f"which is not in the list of {len(ids)} ids; expected an id from the list"
        )
    return rows[column.codes], len(ids), ids


def _check_rows(path: Path, column: _Column, numbers: list[int]) -> np.ndarray:
    lowest, highest, distinct = min(numbers), max(numbers), len(numbers)
    if lowest < 0:
        line = column.line(numbers.index(lowest))
        raise InputError(f"{path}: line {line} has {column.name} {lowest}; expected 0 or more")
    if highest >= max(1000, MAX_ROWS_PER_ID * distinct):
        line = column.line(numbers.index(highest))
        large = (
            "which is too large"
            if highest >= 2**63
            else f"but there are only {distinct} different ones"
        )
        raise InputError(
            f"{path}: line {line} has {column.name} {shown(highest)}, {large}; "
            "expected row numbers, or a file with the ids"
        )
    return np.array(numbers, dtype=np.int64)


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
