"""The raw files of Amazon's product data: reviews, descriptions, image features."""

import re
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.datasets.lines import read_lines
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked
from mentor_pyg.preparation.contents import Encode, ItemTexts
from mentor_pyg.preparation.encoders import encode_texts
from mentor_pyg.preparation.features import Block, ItemRows
from mentor_pyg.preparation.interactions import InteractionTable
from mentor_pyg.preparation.records import parse_record
from mentor_pyg.preparation.tables import check_table, kind_of

REVIEWS = ("reviews_*_5.json*", "reviews_*.json*", "ratings_*.csv*", "*_5.json*", "*.json*")
"""Reviews of the 5-core, all reviews, ratings alone, and the names of 2018 and 2023: the first
kind found is read."""
META, IMAGES = "meta_*.json*", "image_features_*.b"


class Edition(NamedTuple):
    """Columns of reviews and of descriptions."""

    user: str
    item: str
    time: str
    rating: str
    texts: tuple[str, ...]


OLDER = Edition(
    *("reviewerID", "asin", "unixReviewTime", "overall"),
    ("title", "brand", "categories", "category", "description"),
)
"""2014 and 2018, of which one has ``categories`` and the other ``category``."""

NEWER = Edition(
    *("user_id", "parent_asin", "timestamp", "rating"),
    ("title", "store", "categories", "features", "description"),
)
"""2023, with times in milliseconds; products that differ in colour or size are one item."""

ASIN = re.compile(r"\{'asin': '(\w+)'")
"""How the lines of the descriptions start."""

WIDTH = 4096
RECORD = np.dtype([("asin", "S10"), ("x", "<f4", WIDTH)])
RECORDS_AT_ONCE = 256


@checked
def amazon_reviews(files: list[Path], min_rating: float | None = None) -> InteractionTable:
    """Reviews (JSON lines of 2014, 2018 or 2023) or ratings (CSV of 2014 without a header) as
    interactions."""
    if all(kind_of(path) == ".csv" for path in files):
        header = ("user", "item", "rating", "time")
        return InteractionTable(files, "user", "item", "time", "rating", min_rating, header)
    user, item, time, rating, _ = _edition(files)
    return InteractionTable(files, user, item, time, rating, min_rating)


@checked
def amazon_texts(files: list[Path], encode: Encode[str] = encode_texts) -> ItemTexts:
    """Titles, brands, categories and descriptions as texts; of 2023, titles, stores,
    categories, features and descriptions."""
    edition = _edition(files)
    return ItemTexts(files, edition.item, edition.texts, encode, peek=ASIN)


def _edition(files: list[Path]) -> Edition:
    """Whose columns the first record has."""
    for path in files:
        check_table(path)
        # Lines that can't be used are reported or skipped when all of the file is read
        with suppress(InputError), closing(read_lines(path, Problems(), False)) as lines:
            for _, line in lines:
                with suppress(BadValue):
                    return NEWER if NEWER.item in parse_record(line) else OLDER
    return OLDER


@checked
@dataclass(frozen=True)
class AmazonImages:
    """Image features in records of an ASIN of 10 bytes and 4096 float32, little-endian.

    Args:
        files: Binary files.
        stem: Names the files of features.
    """

    files: list[Path]
    stem: str = "image"

    def check(self) -> None:
        for path in self.files:
            check_file(path)
            if not path.stat().st_size:
                raise InputError(f"{path}: is empty; expected records of {RECORD.itemsize} bytes")

    def blocks(self, items: ItemRows, progress: bool) -> Generator[Block, None, None]:
        self.check()
        for path in self.files:
            size = path.stat().st_size
            bar = progress_bar(None, path.name, progress, total=size, unit="B", unit_scale=True)
            with open(path, "rb") as file, bar:
                first = 1
                while chunk := file.read(RECORD.itemsize * RECORDS_AT_ONCE):
                    yield self._block(path, chunk, first, items)
                    first += RECORDS_AT_ONCE
                    bar.update(len(chunk))

    def _block(self, path: Path, chunk: bytes, first: int, items: ItemRows) -> Block:
        whole, rest = divmod(len(chunk), RECORD.itemsize)
        records = np.frombuffer(chunk, RECORD, whole)
        chosen, rows, names = [], [], []
        for position, asin in enumerate(records["asin"].tolist()):
            where = f"{path}: record {first + position}"
            if not asin.isalnum():
                bad = BadValue("not an ASIN", f"has ASIN {shown(asin)}", "letters and digits")
                items.problems.add(where, bad)
                continue
            row = items.take(asin.decode("ascii"), where)
            if row is not None:
                chosen.append(position)
                rows.append(row)
                names.append(where)
        if rest:
            bad = BadValue("truncated record", f"has {rest} bytes", f"{RECORD.itemsize} bytes")
            items.problems.add(f"{path}: record {first + whole}", bad)
        return Block(np.array(rows, dtype=np.int64), records["x"][chosen], names)


class AmazonFiles(NamedTuple):
    """Files of reviews, of descriptions and of image features."""

    reviews: list[Path]
    meta: list[Path]
    images: list[Path]


@checked
def find_amazon(folder: Path) -> AmazonFiles:
    """The raw files in a folder, at most one of each kind.

    Raises:
        FileNotFoundError: If there are no reviews.
        InputError: If there are several files of a kind.
    """
    reviews = next((found for pattern in REVIEWS if (found := _find(folder, pattern))), [])
    if not reviews:
        raise FileNotFoundError(
            f"{folder}: has neither reviews_*.json.gz nor ratings_*.csv nor train.json; "
            "expected a folder of raw files in a layout that docs/datasets.md lists, or a table"
        )
    return AmazonFiles(reviews, _find(folder, META), _find(folder, IMAGES))


def _find(folder: Path, pattern: str) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if fnmatchcase(path.name.lower(), pattern))
    if pattern != META:
        found = [path for path in found if not fnmatchcase(path.name.lower(), META)]
    if pattern == REVIEWS[-1]:  # which other files may have, too
        found = [path for path in found if _is_of_2023(path) or _has_meta(path)]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder}: has {names}; expected one {pattern}, or its name")
    return found


def _is_of_2023(path: Path) -> bool:
    return kind_of(path) == ".jsonl"


def _has_meta(path: Path) -> bool:
    return path.with_name(f"meta_{path.name}").exists()
