"""Reads and checks the table of interactions, ``<name>.inter``."""

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
    user, num_users, user_ids = _number(path, columns["userID"], user_ids)
    item, num_items, item_ids = _number(path, columns["itemID"], item_ids)

    _check_duplicates(path, user, item, num_items)
    for split, name in enumerate(SPLITS):
        if not (label == split).any():
            raise InputError(f"{path}: has no {name} pairs; expected rows with x_label {split}")
    return Interactions(user, item, label, num_users, num_items, user_ids, item_ids)


@dataclass(frozen=True)
class _Column:
    """A column of texts of any length, each kept once.

    Row r has the text ``texts[codes[r]]``, without the blanks around it. Codes are given
    out in the order of the rows.
    """

    name: str
    codes: np.ndarray
    texts: list[str]

    def line(self, code: int) -> int:
        """The first line of the file that has a text."""
        return int(np.argmax(self.codes == code)) + 2


def _read_columns(path: Path) -> dict[str, _Column]:
    """The three columns by name, read in pieces to bound the memory."""
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
    """Codes [3, n] of some rows after the others; ``code_of`` has the texts they stand for."""
    # Not as a list of rows, which Python's collector of garbage would go through again and again:
    while piece := list(chain.from_iterable(row for _, row in islice(rows, size))):
        yield np.array(
            [
                list(map(codes.__getitem__, piece[k :: len(COLUMNS)]))
                for k, codes in enumerate(code_of)
            ],
            dtype=np.int32,
        )


def _strip(name: str, codes: np.ndarray, code_of: Iterable[str]) -> _Column:
    """The column without blanks around its texts, by which some may become equal."""
    again: defaultdict[str, int] = defaultdict(count().__next__)
    new = np.array([again[text.strip()] for text in code_of], dtype=np.int32)
    return _Column(name, codes if len(again) == len(new) else new[codes], list(again))


def _read_labels(path: Path, column: _Column) -> np.ndarray:
    """The split of each row; ``1`` may be written ``1.0``, as pandas does beside gaps."""
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
    """Row numbers of a column of ids, how many rows there are, and the ids by row."""
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
            f"which is not in the list of {len(ids)} ids; expected a listed one"
        )
    return rows[column.codes], len(ids), ids


def _check_rows(path: Path, column: _Column, numbers: list[int]) -> np.ndarray:
    """Row numbers as int64, if they can be such."""
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
            "expected row numbers, or the ids in a file of their own"
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
