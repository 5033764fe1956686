"""Writes the features of the items, one row an item, in pieces of bounded size."""

import unicodedata
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mentor_pyg._util.files import naming
from mentor_pyg.datasets.features import MASK_SUFFIX, SUFFIX
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.errors import InputError, shown


class Block(NamedTuple):
    """Some rows of features.

    Attributes:
        rows: Which items they are of [n], int64, each at most once over all blocks.
        values: The features [n, D_m].
        where: What messages call each of them [n].
    """

    rows: np.ndarray
    values: np.ndarray
    where: list[str]


@dataclass
class ItemRows:
    """The rows of the items, each to be filled once.

    The same letters may be stored in several ways, and macOS stores those of file names
    in another way than most tables. An id that isn't known as it is, is looked for by its
    letters.

    Args:
        row_of: The row of each item that is kept, by its id.
        known: All items of the interactions, kept or not.
        problems: What happens to a second filling.
    """

    row_of: Mapping[str, int]
    known: frozenset[str]
    problems: Problems

    def __post_init__(self) -> None:
        self.taken = np.zeros(len(self.row_of), dtype=bool)

    @cached_property
    def _by_letters(self) -> dict[str, str | None]:
        """The known items by their composed form, None where there are several of a form."""
        found: dict[str, str | None] = {}
        for item in self.known:
            form = unicodedata.normalize("NFC", item)
            found[form] = None if form in found else item
        return found

    def find(self, item: str) -> str | None:
        """The item of the interactions that an id names, if there is one."""
        if item in self.known:
            return item
        return self._by_letters.get(unicodedata.normalize("NFC", item))

    def wants(self, item: str) -> bool:
        """Whether an id names an item that is kept."""
        return self.find(item) in self.row_of

    def lacks(self, item: str) -> bool:
        """Whether an id names an item that is kept and not filled yet."""
        row = self.row_of.get(self.find(item) or item)
        return row is not None and not self.taken[row]

    def take(self, item: str, where: str) -> int | None:
        """The row of an item, if it is to be filled, and not yet."""
        row = self.row_of.get(self.find(item) or item)
        if row is None:
            return None
        if self.taken[row]:
            bad = BadValue("repeated item", f"repeats item {shown(item)}", "each item once")
            self.problems.add(where, bad)
            return None
        self.taken[row] = True
        return row


class Content(Protocol):
    """A source of one modality's features.

    ``stem`` names its files, ``files`` are what it reads, and ``blocks`` yields the features
    of the items that ``items`` asks for.
    """

    @property
    def stem(self) -> str: ...
    @property
    def files(self) -> list[Path]: ...
    def blocks(self, items: ItemRows, progress: bool) -> Generator[Block, None, None]: ...


class Filled(NamedTuple):
    """How many items have content of a modality, and the width D_m of the features."""

    items: int
    width: int


def write_features(
    folder: Path, content: Content, items: ItemRows, progress: bool = True
) -> Filled:
    """Writes ``<stem>_feat.npy`` and ``<stem>_mask.npy``; items without content become zeros.

    Raises:
        InputError: If a row isn't finite, no item has content at all, or the disk is full.
    """
    path, num_items = folder / f"{content.stem}{SUFFIX}", len(items.row_of)
    mask, width = np.zeros(num_items, dtype=bool), 0
    with ExitStack() as stack:
        blocks = stack.enter_context(closing(content.blocks(items, progress)))
        for block in blocks:
            if not width:
                width = block.values.shape[1]
                table = stack.enter_context(_Table(path, num_items, width))
            rows, values = _finite(block, items.problems)
            table.write(rows, values)
            mask[rows] = True
    if not mask.any():
        raise InputError(
            f"{', '.join(map(str, content.files))}: has no {content.stem} of any of the "
            f"{num_items} items; expected their ids and content"
        )
    path = folder / f"{content.stem}{MASK_SUFFIX}"
    with naming(path), open(path, "wb") as file:
        np.save(file, mask)
    return Filled(int(mask.sum()), width)


class _Table:
    """A file of float32 [I, D_m] whose rows are written in any order; the others are zeros.

    It isn't mapped into memory: there a full disk would end the process, without an error.
    """

    def __init__(self, path: Path, num_rows: int, width: int) -> None:
        self.path = path
        layout = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, width)}
        with naming(path), ExitStack() as stack:
            self.file = stack.enter_context(open(path, "wb"))
            np.lib.format.write_array_header_1_0(self.file, layout)
            self.start, self.row_bytes = self.file.tell(), 4 * width
            self.file.truncate(self.start + num_rows * self.row_bytes)
            stack.pop_all()

    def write(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Writes rows [n] with their values [n, D_m]."""
        order = np.argsort(rows)
        rows, values = rows[order], values[order].astype("<f4", copy=False)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        with naming(self.path):
            for first, some in zip((0, *breaks), np.split(values, breaks)):
                if len(some):
                    self.file.seek(self.start + int(rows[first]) * self.row_bytes)
                    self.file.write(some.tobytes())

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *error: object) -> None:
        with naming(self.path):
            self.file.close()


def _finite(block: Block, problems: Problems) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore"):
        values = block.values.astype(np.float32, copy=False)
    good = np.isfinite(values).all(axis=1)
    for position in np.flatnonzero(~good):
        column = int(np.argmin(np.isfinite(values[position])))
        found = f"has {values[position, column]} in column {column}"
        problems.add(block.where[position], BadValue("not finite", found, "finite numbers"))
    return block.rows[good], values[good]
