"""Reads interactions and numbers their users and items."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg.choices import Duplicates
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.preparation.tables import RowStream, check_table, open_table
from mentor_pyg.preparation.times import Time, TimeColumn
from mentor_pyg.preparation.values import as_id, as_rating

NO_TIME = Time(0)

MAX_DIGITS = 100
"""Longer ids are no numbers, whatever they look like; Python refuses to read them."""


@dataclass(frozen=True)
class Pairs:
    """Interactions in the order of the file, pairs of a user and an item.

    Attributes:
        user: Row number of each pair's user [n], int64.
        item: Row number of each pair's item [n], int64.
        user_ids: Original ids of the users by row.
        item_ids: Original ids of the items by row.
        time: When each pair was [n], int64 or float64, if that is known.
        time_decimals: The unit of ``time``, if it is int64: d for :math:`10^{-d}`.
        label: The split of each pair [n], int64, if it is given.
        dropped: How many pairs were left out on the way, by reason.
    """

    user: np.ndarray
    item: np.ndarray
    user_ids: list[str]
    item_ids: list[str]
    time: np.ndarray | None = None
    label: np.ndarray | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    time_decimals: int = 0

    def __len__(self) -> int:
        return len(self.user)

    def select(self, index: np.ndarray, reason: str = "") -> "Pairs":
        """The pairs of an index or a mask; those left out are counted by ``reason``."""
        user = self.user[index]
        lost = len(self) - len(user)
        return replace(
            self,
            user=user,
            item=self.item[index],
            time=None if self.time is None else self.time[index],
            label=None if self.label is None else self.label[index],
            dropped=self.dropped | {reason: lost} if reason else self.dropped,
        )


@checked
@dataclass(frozen=True)
class InteractionTable:
    """Tables of interactions.

    Args:
        files: CSV, TSV, JSON lines or Parquet, as :func:`.tables.open_table` tells them.
        user: Column of the users.
        item: Column of the items.
        time: Column of the times, numbers or dates, if there is one, see :func:`.times.as_time`.
        rating: Column of the ratings; read if there is a ``min_rating``.
        min_rating: Pairs with a lower rating are left out.
        header: Names of the columns of files without a header.
    """

    files: Sequence[Path]
    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    min_rating: float | None = None
    header: Sequence[str] | None = None

    has_split = False

    def __post_init__(self) -> None:
        if self.user == self.item:
            raise InputError(
                f"columns: users and items are both in '{self.user}'; expected two columns"
            )
        if self.min_rating is not None and self.rating is None:
            raise InputError(
                f"min_rating: is {self.min_rating}, but there is no column of ratings; "
                "expected both or neither"
            )

    def check(self) -> None:
        """Fails before any work if a file isn't there."""
        for path in self.files:
            check_table(path)

    @property
    def has_time(self) -> bool:
        return self.time is not None

    def read(self, problems: Problems, progress: bool = True) -> Pairs:
        """All pairs of all files.

        Raises:
            FileNotFoundError: If a file doesn't exist.
            InputError: If a file can't be used.
        """
        columns = [self.user, self.item]
        columns += [self.time] if self.time else []
        columns += [self.rating] if self.rating and self.min_rating is not None else []
        users: dict[str, int] = {}
        items: dict[str, int] = {}
        user, item, times = array("q"), array("q"), TimeColumn()
        low = 0
        for path in self.files:
            with open_table(
                path, columns, problems, header=self.header, progress=progress
            ) as table:
                for u, i, t, is_low in self._pairs(table, users, items, times, problems):
                    if is_low:
                        low += 1
                        continue
                    user.append(u)
                    item.append(i)
                    if self.time:
                        times.append(t)
        if not user and not low:
            raise InputError(
                f"{', '.join(map(str, self.files))}: none of 0 interactions can be used; "
                "expected at least one"
            )
        time, decimals = times.collect(f"{self.files[0]}: column '{self.time}'")
        return Pairs(
            np.array(user, dtype=np.int64),
            np.array(item, dtype=np.int64),
            list(users),
            list(items),
            time if self.time else None,
            time_decimals=decimals,
            dropped={} if self.min_rating is None else {"low rating": low},
        )

    def _pairs(
        self,
        table: RowStream,
        users: dict[str, int],
        items: dict[str, int],
        times: TimeColumn,
        problems: Problems,
    ) -> Iterator[tuple[int, int, Time, bool]]:
        """User, item, time, and whether the rating is too low, of every row."""
        for number, row in table.rows:
            try:
                time = times.read(row[2]) if self.time else NO_TIME
                low = self.min_rating is not None and as_rating(row[-1]) < self.min_rating
                user, item = _code(users, row[0], "user"), _code(items, row[1], "item")
            except BadValue as bad:
                problems.add(table.where(number), bad)
            else:
                yield user, item, time, low


def _code(codes: dict[str, int], value: Any, what: str) -> int:
    """The number of an id; a new one if it wasn't seen before."""
    known = codes.get(value) if type(value) is str else None
    return codes.setdefault(as_id(value, what), len(codes)) if known is None else known


@checked
def drop_duplicates(pairs: Pairs, keep: Duplicates = "first") -> Pairs:
    """Every pair once: its first or its latest interaction.

    The times tell which; without them, and between equal ones, the order of the file.
    """
    position = np.arange(len(pairs))
    key = pairs.user * len(pairs.item_ids) + pairs.item
    order = np.lexsort((position if pairs.time is None else pairs.time, key))
    ordered = key[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1])
    if keep == "first":
        chosen = np.concatenate([[0], changes + 1]) if len(pairs) else position
    else:
        chosen = np.concatenate([changes, [len(pairs) - 1]]) if len(pairs) else position
    return pairs.select(np.sort(order[chosen]), "repeated pair")


def number_ids(pairs: Pairs) -> Pairs:
    """Numbers those users and items that are left, in the order of their ids.

    Ids that are all whole numbers are ordered as numbers. Pairs are put in the order of
    users and, for each of them, of times.
    """
    user, user_ids = _number(pairs.user, pairs.user_ids)
    item, item_ids = _number(pairs.item, pairs.item_ids)
    numbered = replace(pairs, user=user, item=item, user_ids=user_ids, item_ids=item_ids)
    order = np.lexsort((user,) if pairs.time is None else (pairs.time, user))
    return numbered.select(order)


def _number(codes: np.ndarray, ids: list[str]) -> tuple[np.ndarray, list[str]]:
    used = np.unique(codes).tolist()
    if all(ids[code].isdecimal() and len(ids[code]) < MAX_DIGITS for code in used):
        used.sort(key=lambda code: (int(ids[code]), ids[code]))
    else:
        used.sort(key=lambda code: ids[code])
    row = np.empty(len(ids), dtype=np.int64)
    row[used] = np.arange(len(used))
    return row[codes], [ids[code] for code in used]
