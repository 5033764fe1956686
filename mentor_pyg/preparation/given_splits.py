"""Folders whose files hold the splits: training, validation and test pairs as row numbers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg.choices import SPLITS
from mentor_pyg.datasets.features import SUFFIX
from mentor_pyg.datasets.interactions import MAX_ROWS_PER_ID
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.errors import InputError
from mentor_pyg.preparation.contents import ReadyFeatures, open_features
from mentor_pyg.preparation.interactions import Pairs


class SplitPairs(NamedTuple):
    """Pairs of one file.

    Attributes:
        rows: Row numbers of users and items [2, n], int64.
        shape: Number of users and of items, if the file tells them.
    """

    rows: np.ndarray
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class SplitFolder(ABC):
    """Three files of pairs, and features ``<stem>_feat.npy`` whose row i is of item i.

    Splits and row numbers are kept as they are.
    """

    folder: Path

    has_split = True
    has_time = False

    @property
    @abstractmethod
    def files(self) -> list[Path]:
        """The files of training, validation and test pairs."""

    @abstractmethod
    def _read_split(self, path: Path, problems: Problems) -> SplitPairs:
        """The pairs of one of the files."""

    def check(self) -> None:
        """Fails before any work if a file isn't there."""
        for path, name in zip(self.files, SPLITS):
            check_file(path, f"the {name} pairs beside the other two files")

    def contents(self) -> list[ReadyFeatures]:
        """All features in the folder; row i is of item i."""
        paths = sorted(self.folder.glob(f"*{SUFFIX}"))
        return [ReadyFeatures(path, path.name.removesuffix(SUFFIX)) for path in paths]

    def read(self, problems: Problems, progress: bool = True) -> Pairs:
        """All pairs of the three files with their labels.

        Raises:
            FileNotFoundError: If a file doesn't exist.
            InputError: If a file can't be used, or the files or features have other items.
        """
        splits = [self._read_split(path, problems) for path in self.files]
        user, item = np.concatenate([split.rows for split in splits], axis=1)
        label = np.repeat(np.arange(len(SPLITS)), [split.rows.shape[1] for split in splits])
        shape = self._shape(splits)
        num_users, num_items = shape or (int(rows.max(initial=-1)) + 1 for rows in (user, item))
        _check_gaps(self.folder, "user", user, num_users)
        _check_gaps(self.folder, "item", item, num_items)
        num_items = self._num_items(num_items, shape is not None)
        pairs = Pairs(
            user,
            item,
            [str(row) for row in range(num_users)],
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

    def _shape(self, splits: list[SplitPairs]) -> tuple[int, int] | None:
        """The number of users and items, which must be the same in all files."""
        first = splits[0].shape
        for path, split in zip(self.files, splits):
            if split.shape != first:
                raise InputError(
                    f"{path}: is of shape {split.shape}; expected {first}, as {self.files[0].name}"
                )
        return first

    def _num_items(self, least: int, is_exact: bool) -> int:
        """As many as the features have rows."""
        found = {content.path: len(open_features(content.path)) for content in self.contents()}
        expected = least if is_exact else max([least, *found.values()])
        for path, rows in found.items():
            if rows != expected:
                raise InputError(f"{path}: has {rows} rows; expected {expected}, one for each item")
        return expected

    def _once(self, pairs: Pairs, problems: Problems) -> Pairs:
        """Each pair once; to be in two splits is a mistake, to be repeated in one is not."""
        assert pairs.label is not None
        key = pairs.user * len(pairs.item_ids) + pairs.item
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        for n in np.flatnonzero(pairs.label[first][inverse] != pairs.label):
            where = f"{self.files[pairs.label[n]]}: user {pairs.user[n]}, item {pairs.item[n]}"
            other = self.files[pairs.label[first[inverse[n]]]].name
            found = f"is in {other} too"
            problems.add(where, BadValue("pair in two splits", found, "a pair in one split"))
        return pairs.select(np.sort(first), "repeated pair")


def _check_gaps(folder: Path, what: str, rows: np.ndarray, number: int) -> None:
    distinct = len(np.unique(rows))
    if number > max(1000, MAX_ROWS_PER_ID * distinct):
        raise InputError(
            f"{folder}: has {what} {number - 1}, but only {distinct} different ones; "
            "expected row numbers"
        )
