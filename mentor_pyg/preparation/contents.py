"""Where features come from: texts and images that are encoded, or ready arrays."""

import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from mentor_pyg._util.files import check_file, check_folder
from mentor_pyg.datasets.arrays import open_array
from mentor_pyg.datasets.lines import read_lines
from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked
from mentor_pyg.preparation.encoders import encode_images, encode_texts
from mentor_pyg.preparation.features import Block, ItemRows
from mentor_pyg.preparation.pictures import ENDINGS
from mentor_pyg.preparation.tables import check_table, open_table
from mentor_pyg.preparation.text import compose_text
from mentor_pyg.preparation.values import as_id

ENCODED_AT_ONCE = 2**15
ROWS_AT_ONCE = 2**10

T = TypeVar("T", str, Path)
Input = TypeVar("Input", str, Path, contravariant=True)


class Encode(Protocol[Input]):
    """Features [n, D_m] of n texts or image files, such as :func:`.encoders.encode_texts`."""

    def __call__(self, inputs: Sequence[Input], /, *, progress: bool) -> np.ndarray: ...


@dataclass(frozen=True)
class Piece(Generic[T]):
    """One item's content before it is encoded."""

    row: int
    where: str
    content: T


@checked
@dataclass(frozen=True)
class ItemTexts:
    """Texts of the items in tables, encoded.

    Args:
        files: CSV, TSV, JSON lines or Parquet, as :func:`.tables.open_table` tells them.
        id_column: Column of the items' ids.
        text_columns: Columns of the text, in this order.
        encode: The encoder.
        peek: Finds the id in a line, so that lines of other items need not be parsed.
        stem: Names the files.
    """

    files: list[Path]
    id_column: str
    text_columns: Sequence[str]
    encode: Encode[str] = encode_texts
    peek: re.Pattern[str] | None = None
    stem: str = "text"

    def check(self) -> None:
        for path in self.files:
            check_table(path)

    def blocks(self, items: ItemRows, progress: bool) -> Generator[Block, None, None]:
        return _encoded(self._pieces(items, progress), self.encode, progress)

    def _pieces(self, items: ItemRows, progress: bool) -> Generator[Piece[str], None, None]:
        def unwanted(line: str) -> bool:
            found = self.peek.match(line) if self.peek else None
            return found is not None and not items.wants(found[1])

        for path in self.files:
            with open_table(
                path,
                [self.id_column],
                items.problems,
                optional=self.text_columns,
                skip_line=unwanted,
                progress=progress,
            ) as table:
                for number, (label, *texts) in table.rows:
                    where = table.where(number)
                    try:
                        item = as_id(label, "item")
                        text = compose_text(texts) if items.wants(item) else ""
                    except BadValue as bad:
                        items.problems.add(where, bad)
                        continue
                    row = items.take(item, where)
                    if row is not None and text:
                        yield Piece(row, where, text)


@checked
@dataclass(frozen=True)
class ImageFolder:
    """Image files whose names are the items' ids, encoded.

    Args:
        folder: Searched for files with an ending of a format that Pillow reads. Other files
            that are called like an item without such a file count as skipped.
        encode: The encoder.
        stem: Names the files of features.
    """

    folder: Path
    encode: Encode[Path] = encode_images
    stem: str = "image"

    def __post_init__(self) -> None:
        check_folder(self.folder, "a folder of images")

    @property
    def files(self) -> list[Path]:
        return [self.folder]

    def blocks(self, items: ItemRows, progress: bool) -> Generator[Block, None, None]:
        return _encoded(self._pieces(items), self.encode, progress)

    def _pieces(self, items: ItemRows) -> Generator[Piece[Path], None, None]:
        others = []
        for path in sorted(self.folder.iterdir()):
            try:
                item = as_id(path.stem, "item")
            except BadValue:  # so it is no item's
                continue
            if path.suffix.lower() not in ENDINGS:
                others.append((item, path))
                continue
            if items.wants(item) and not path.is_file():
                bad = BadValue("image isn't a file", "isn't a file", "an image")
                items.problems.add(str(path), bad)
                continue
            row = items.take(item, str(path))
            if row is not None:
                yield Piece(row, str(path), path)
        for item, path in others:
            if items.lacks(item) and path.is_file():
                found = f"ends in '{path.suffix}'"
                bad = BadValue("image of another format", found, "a format that Pillow reads")
                items.problems.leave_out(str(path), bad)


def _encoded(
    pieces: Generator[Piece[T], None, None], encode: Encode[T], progress: bool
) -> Generator[Block, None, None]:
    with closing(pieces):
        while some := list(islice(pieces, ENCODED_AT_ONCE)):
            values = encode([piece.content for piece in some], progress=progress)
            if values.ndim != 2 or len(values) != len(some) or not values.shape[1]:
                raise InputError(
                    f"{some[0].where}: is encoded with others as {list(values.shape)}; "
                    f"expected features [{len(some)}, features], with a column or more"
                )
            rows = np.array([piece.row for piece in some])
            yield Block(rows, values, [piece.where for piece in some])


@checked
@dataclass(frozen=True)
class ReadyFeatures:
    """An array [n, D_m] of floats in a ``.npy`` file.

    Args:
        path: The file.
        stem: Names the file it becomes.
        id_file: The ids of its rows, one a line; if not given, row i is of item
            ``str(i + first_item)``.
        first_item: The item of the first row, if items are numbers.
    """

    path: Path
    stem: str
    id_file: Path | None = None
    first_item: int = 0
    files: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        files = [self.path] if self.id_file is None else [self.path, self.id_file]
        object.__setattr__(self, "files", files)

    def check(self) -> None:
        for path in self.files:
            check_file(path)
        open_features(self.path)

    def blocks(self, items: ItemRows, progress: bool) -> Generator[Block, None, None]:
        x = open_features(self.path)
        ids = [(f"{self.path}: row {row}", str(row + self.first_item)) for row in range(len(x))]
        if self.id_file is not None:
            with closing(read_lines(self.id_file, items.problems, progress)) as lines:
                ids = [(f"{self.id_file}: line {n}", line) for n, line in lines]
            if len(ids) != len(x):
                raise InputError(
                    f"{self.id_file}: has {len(ids)} ids; expected {len(x)}, one for each "
                    f"row of {self.path}"
                )
        source, rows = self._chosen(ids, items)
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            where = [f"{self.path}: row {row}" for row in source[some]]
            yield Block(rows[some], x[source[some]], where)

    def _chosen(self, ids: list[tuple[str, str]], items: ItemRows) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of the file to take, and whose they are."""
        chosen = []
        for position, (where, text) in enumerate(ids):
            try:
                item = as_id(text, "item")
                if items.find(item) is None:
                    expected = "an item of the interactions"
                    raise BadValue("unknown item", f"has item {shown(item)}", expected)
            except BadValue as bad:
                items.problems.add(where, bad)
                continue
            row = items.take(item, where)
            if row is not None:
                chosen.append((position, row))
        source, rows = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        return source, rows


def open_features(path: Path) -> np.ndarray:
    """A memory-mapped array [n, D_m] of floats.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it holds something else.
    """
    x = open_array(path)
    if x.ndim != 2 or not x.shape[1] or not np.issubdtype(x.dtype, np.floating):
        raise InputError(
            f"{path}: is {x.dtype}, {list(x.shape)}; expected floats of shape [items, features], "
            "with a column or more"
        )
    return x
