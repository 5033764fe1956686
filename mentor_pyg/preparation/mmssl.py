"""The layout of MMSSL's data: three JSON files of given splits, and features."""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg.choices import SPLITS
from mentor_pyg.datasets.features import SUFFIX
from mentor_pyg.datasets.interactions import MAX_ROWS_PER_ID
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.datasets.row_numbers import is_integer
from mentor_pyg.errors import InputError, reason, shown
from mentor_pyg.options import checked
from mentor_pyg.preparation.contents import ReadyFeatures, open_features
from mentor_pyg.preparation.interactions import Pairs
from mentor_pyg.preparation.records import load_json


@checked
@dataclass(frozen=True)
class MMSSLFolder:
    """``train.json``, ``val.json`` and ``test.json``, each ``{"user": [item, ...], ...}``.

    Users and items are row numbers. Splits and numbers are kept as they are.
    """

    folder: Path

    has_split = True
    has_time = False

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.json" for name in SPLITS]

    def check(self) -> None:
        """Fails before any work if a file isn't there."""
        for path in self.files:
            check_file(path)

    def contents(self) -> list[ReadyFeatures]:
        """All features in the folder; row i is of item i."""
        paths = sorted(self.folder.glob(f"*{SUFFIX}"))
        return [ReadyFeatures(path, path.name.removesuffix(SUFFIX)) for path in paths]

    def read(self, problems: Problems, progress: bool = True) -> Pairs:
        """All pairs of the three files with their labels.

        Raises:
            FileNotFoundError: If a file doesn't exist.
            InputError: If a file can't be used, or the features have other items.
        """
        pieces = [_read_split(path, problems) for path in self.files]
        user, item = np.concatenate(pieces, axis=1)
        label = np.repeat(np.arange(len(SPLITS)), [piece.shape[1] for piece in pieces])
        _check_gaps(self.folder, "user", user)
        _check_gaps(self.folder, "item", item)
        num_items = self._num_items(int(item.max(initial=-1)) + 1)
        pairs = Pairs(
            user,
            item,
            [str(row) for row in range(int(user.max(initial=-1)) + 1)],
            [str(row) for row in range(num_items)],
            label=label,
        )
        pairs = self._once(pairs, problems)
        assert pairs.label is not None
        for number, path in enumerate(self.files):
            if number not in pairs.label:
                raise InputError(
                    f"{path}: has no pairs that can be used; expected a user with an item, or more"
                )
        return pairs

    def _num_items(self, least: int) -> int:
        """As many as the features have rows."""
        found = {content.path: len(open_features(content.path)) for content in self.contents()}
        for path, rows in found.items():
            if rows < least or rows != max(found.values()):
                raise InputError(
                    f"{path}: has {rows} rows; expected {max(least, *found.values())}, "
                    "one for each item"
                )
        return max(found.values(), default=least)

    def _once(self, pairs: Pairs, problems: Problems) -> Pairs:
        """Each pair once; to be in two splits is a mistake, to be repeated in one is not."""
        assert pairs.label is not None
        key = pairs.user * len(pairs.item_ids) + pairs.item
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        for n in np.flatnonzero(pairs.label[first][inverse] != pairs.label):
            where = f"{self.files[pairs.label[n]]}: user {pairs.user[n]}, item {pairs.item[n]}"
            other = SPLITS[pairs.label[first[inverse[n]]]]
            found = f"is in {other}.json too"
            problems.add(where, BadValue("pair in two splits", found, "a pair in one split"))
        return pairs.select(np.sort(first), "repeated pair")


def _read_split(path: Path, problems: Problems) -> np.ndarray:
    """Pairs [2, n] of one file."""
    user, item = array("q"), array("q")
    for name, items in _load(path).items():
        where = f"{path}: user '{name}'"
        if (row := _row(name)) is None:
            problems.add(where, BadValue("user isn't a row", "isn't a row", "a row number"))
        elif not isinstance(items, list):
            bad = BadValue("items aren't a list", f"has {shown(items)}", "a list of items")
            problems.add(where, bad)
        else:
            for one in items:
                if type(one) is not int or _row(str(one)) is None:
                    found = f"has item {shown(one)}"
                    problems.add(where, BadValue("item isn't a row", found, "a row number"))
                else:
                    user.append(row)
                    item.append(one)
    return np.array([user, item], dtype=np.int64)


def _row(text: str) -> int | None:
    """A row number of reasonable length."""
    return int(text) if is_integer(text) and text.isdecimal() and len(text) < 10 else None


def _check_gaps(folder: Path, what: str, rows: np.ndarray) -> None:
    highest, distinct = int(rows.max(initial=-1)), len(np.unique(rows))
    if highest >= max(1000, MAX_ROWS_PER_ID * distinct):
        raise InputError(
            f"{folder}: has {what} {highest}, but only {distinct} different ones; "
            "expected row numbers"
        )


def _load(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        content = load_json(path.read_bytes())
    except BadValue as bad:
        raise InputError(f"{path}: {bad.found}; expected {bad.expected}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: isn't JSON ({reason(error)}); expected a dict of lists"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is a {type(content).__name__}; expected a dict of lists")
    return content
