"""From raw files to a folder that :class:`~mentor_pyg.datasets.MMRecDataset` reads."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mentor_pyg._util.files import check_readable, naming, write_text
from mentor_pyg._util.formats import label
from mentor_pyg._util.json_files import write_json
from mentor_pyg.choices import SPLITS, Duplicates, OnError, SplitMethod
from mentor_pyg.datasets.features import IDS_SUFFIX, MODALITY_NAMES, check_modality
from mentor_pyg.datasets.problems import Problems
from mentor_pyg.errors import InputError, reason, shown
from mentor_pyg.options import NonNegativeInt, Seed, checked
from mentor_pyg.preparation.cores import k_core
from mentor_pyg.preparation.features import Content, Filled, ItemRows, write_features
from mentor_pyg.preparation.folder import PREPARATION, REPORT, new_folder
from mentor_pyg.preparation.interactions import (
    Pairs,
    drop_duplicates,
    number_ids,
)
from mentor_pyg.preparation.splits import HeldOut, check_split, split
from mentor_pyg.preparation.summary import PreparationReport
from mentor_pyg.preparation.times import time_texts
from mentor_pyg.typing import ITEM, USER

NAME = re.compile(r"\w[\w.-]*")
"""Of datasets and files of features."""


class InteractionSource(Protocol):
    """What interactions are read from, and whether it knows their times and splits."""

    @property
    def files(self) -> Sequence[Path]: ...
    @property
    def has_time(self) -> bool: ...
    @property
    def has_split(self) -> bool: ...
    def read(self, problems: Problems, progress: bool = True) -> Pairs: ...


@checked
@dataclass(frozen=True)
class PrepareSettings:
    """How interactions become a dataset.

    Args:
        k_core: The least number of pairs of a user and of an item, see :func:`k_core`; 0 and
            1 keep everything.
        split: How pairs are divided, see :func:`split`.
        held_out: Share of validation pairs and of test pairs.
        seed: Of the split.
        duplicates: Whether a pair's :obj:`"first"` or :obj:`"latest"` interaction is kept.
        on_error: What to do about rows that can't be used, :obj:`"fail"` or :obj:`"skip"`;
            a file that is damaged or lacks a column fails in any case.

    Raises:
        InputError: If a setting is of the wrong type or out of range.
    """

    k_core: NonNegativeInt = 5
    split: SplitMethod = "user"
    held_out: HeldOut = 0.1
    seed: Seed = 0
    duplicates: Duplicates = "first"
    on_error: OnError = "fail"


@checked
def prepare(
    interactions: InteractionSource,
    contents: Sequence[Content],
    out: Path | str,
    settings: PrepareSettings | None = None,
    *,
    name: str | None = None,
    force: bool = False,
    progress: bool = True,
) -> PreparationReport:
    """Writes ``<name>.inter``, the ids, and features and masks of every modality.

    All of it appears at the end, or nothing does. Splits that are given are kept as they are,
    without a k-core.

    Args:
        interactions: Where the pairs come from.
        contents: Where the features come from, one for each modality.
        out: The new folder.
        settings: How interactions become a dataset; the defaults if not given.
        name: Name of the dataset; that of the folder if not given.
        force: Whether to replace an earlier result.
        progress: Whether to show bars.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        InputError: If an input or a setting can't be used.
    """
    out = Path(os.path.abspath(os.path.expanduser(out)))
    name = name or out.name
    settings = settings or PrepareSettings()
    problems = Problems(settings.on_error)
    _check_names(name, contents)
    _check_source(interactions, out)
    for content in contents:
        _check_source(content, out)
    if not interactions.has_split:
        check_split(settings.split, interactions.has_time)
    with _bounded_memory(interactions.files), new_folder(out, force) as folder:
        pairs = interactions.read(problems, progress)
        known = frozenset(pairs.item_ids)
        if pairs.label is None:
            pairs = _shape(pairs, settings)
        _write_pairs(folder, name, pairs)
        row_of = {item: row for row, item in enumerate(pairs.item_ids)}
        coverage = {
            content.stem: write_features(
                folder, content, ItemRows(row_of, known, problems), progress
            )
            for content in contents
        }
        report = _report(name, pairs, coverage, problems, settings)
        write_json(folder / REPORT, {**label(PREPARATION), **report.to_dict()})
    return report


@contextmanager
def _bounded_memory(files: Sequence[Path]) -> Iterator[None]:
    """Reports in one line that there isn't enough memory, as for a file that is packed too well."""
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{', '.join(map(str, files))}: with the content of the items needs more memory than "
            f"there is ({reason(error)}); expected smaller files, or more memory"
        ) from None


def _check_names(name: str, contents: Sequence[Content]) -> None:
    if not NAME.fullmatch(name):
        raise InputError(
            f"name: is {shown(name)}; expected letters, digits, '_', '-' and '.' "
            "(--name gives another than that of the folder)"
        )
    seen: dict[str, str] = {}
    for content in contents:
        stem, where = content.stem, next(iter(content.files), "features")
        if not NAME.fullmatch(stem):
            raise InputError(
                f"{where}: is called {shown(stem)}; expected letters, digits, '_', '-'"
            )
        modality = MODALITY_NAMES.get(stem, stem)
        check_modality(modality, where)
        if modality in seen:
            raise InputError(
                f"features: '{seen[modality]}' and '{stem}' are both of modality '{modality}'; "
                "expected one source for each"
            )
        seen[modality] = stem


def _check_source(source: InteractionSource | Content, out: Path) -> None:
    """Before anything is read: a source may have a method ``check`` of its own."""
    getattr(source, "check", lambda: None)()
    for path in source.files:
        check_readable(path, "a file or folder to read")
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out)):
            raise InputError(f"{out}: holds {path.name}, which is read; expected another folder")


def _shape(pairs: Pairs, settings: PrepareSettings) -> Pairs:
    """Each pair once, the k-core, new numbers, and labels."""
    read = len(pairs)
    pairs = drop_duplicates(pairs, settings.duplicates)
    core = k_core(pairs.user, pairs.item, settings.k_core)
    pairs = pairs.select(core, "outside of the k-core")
    if not len(pairs):
        raise InputError(
            f"k_core: none of {read} interactions is left by k = {settings.k_core}; "
            "expected denser interactions, or a smaller k"
        )
    pairs = number_ids(pairs)
    label = split(pairs.user, pairs.time, settings.split, settings.held_out, settings.seed)
    return replace(pairs, label=label)


def _write_pairs(folder: Path, name: str, pairs: Pairs) -> None:
    """The table and the ids by row; its ids are the original ones."""
    assert pairs.label is not None
    users, items = pairs.user_ids, pairs.item_ids
    columns: dict[str, Iterable[Any]] = {
        "userID": (users[row] for row in pairs.user.tolist()),
        "itemID": (items[row] for row in pairs.item.tolist()),
    }
    if pairs.time is not None:
        columns["timestamp"] = time_texts(pairs.time, pairs.time_decimals)
    columns["x_label"] = pairs.label.tolist()
    path = folder / f"{name}.inter"
    with naming(path), open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    write_text(folder / f"{USER}{IDS_SUFFIX}", "".join(f"{label}\n" for label in users))
    write_text(folder / f"{ITEM}{IDS_SUFFIX}", "".join(f"{label}\n" for label in items))


def _report(
    name: str,
    pairs: Pairs,
    coverage: dict[str, Filled],
    problems: Problems,
    settings: PrepareSettings,
) -> PreparationReport:
    assert pairs.label is not None
    counts = np.bincount(pairs.label, minlength=len(SPLITS)).tolist()
    return PreparationReport(
        name=name,
        users=len(pairs.user_ids),
        items=len(pairs.item_ids),
        pairs=dict(zip(SPLITS, counts)),
        dropped=pairs.dropped,
        skipped=dict(problems.skipped),
        examples=problems.examples,
        coverage={stem: c.items / len(pairs.item_ids) for stem, c in coverage.items()},
        widths={stem: c.width for stem, c in coverage.items()},
        settings=asdict(settings),
    )
