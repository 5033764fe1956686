"""Ranked lists with original IDs, and their files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mentor_pyg._util.csv_files import csv_text
from mentor_pyg._util.escaping import without_formulas
from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import atomic_path, write_text
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.serving.ids import IdMap

FORMATS = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Recommendations:
    """Ranked lists, best first, which may differ in length.

    Attributes:
        queries: Original ID or name of the user (or item) of each list [n].
        items: Original IDs of all lists, concatenated [N].
        scores: Scores of these items, float32 [N].
        ptr: Start of each list, and end of the last one [n + 1].
        names: Names of queries and items in tables.
    """

    queries: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    ptr: np.ndarray
    names: tuple[str, str] = ("user", "item")

    @classmethod
    def from_ranking(
        cls,
        queries: np.ndarray,
        ranking: tuple[Tensor, Tensor, Tensor],
        item_ids: IdMap,
        names: tuple[str, str] = ("user", "item"),
    ) -> "Recommendations":
        """Lists from rows, scores and the mask of valid entries, [n, k] each."""
        rows, scores, valid = (x.cpu() for x in ranking)
        ptr = np.concatenate([[0], valid.sum(dim=1).cumsum(0).numpy()])
        items = item_ids.ids[rows[valid].numpy()]
        return cls(queries, items, scores[valid].float().numpy(), ptr, names)

    def __len__(self) -> int:
        return len(self.queries)

    def columns(self) -> dict[str, np.ndarray]:
        """Table with one row per recommendation: query, rank from 1, item, score.

        Names of new users become strings unless all are integers.
        """
        lengths = np.diff(self.ptr)
        rank = np.arange(len(self.items)) - np.repeat(self.ptr[:-1], lengths) + 1
        query, item = self.names
        return {
            query: np.repeat(_written(self.queries), lengths),
            "rank": rank,
            item: self.items,
            "score": self.scores,
        }

    def to_rows(self) -> list[tuple[Any, int, Any, float]]:
        """Rows of :meth:`columns` as plain values."""
        return list(zip(*(column.tolist() for column in self.columns().values())))

    def lists(self) -> Iterator[tuple[Any, list[Any], list[float]]]:
        """Yields query, items and scores of each list as plain values."""
        for query, start, stop in zip(self.queries.tolist(), self.ptr, self.ptr[1:]):
            yield query, self.items[start:stop].tolist(), self.scores[start:stop].tolist()

    def to_dict(self) -> dict[Any, list[tuple[Any, float]]]:
        """Items with scores by query; the last list counts if a query is repeated."""
        return {query: list(zip(items, scores)) for query, items, scores in self.lists()}

    def to_records(self) -> list[dict[str, Any]]:
        """One mapping per list, as in JSON lines."""
        query, item = self.names
        return [
            {query: label, f"{item}s": items, "scores": scores}
            for label, (_, items, scores) in zip(_written(self.queries).tolist(), self.lists())
        ]

    @checked
    def save(self, path: Path | str, safe_csv: bool = False) -> None:
        """Writes the lists in the format of the path's suffix.

        ============  ==============================================================
        ``.csv``      a header, then :meth:`to_rows`
        ``.jsonl``    one line for each of :meth:`to_records`
        ``.parquet``  the columns of :meth:`columns`; needs pyarrow
        ============  ==============================================================

        Args:
            path: Path of the file.
            safe_csv: Whether to prefix IDs in a ``.csv`` that a spreadsheet would read as
                formulas with an apostrophe, which changes these IDs; see
                :func:`~mentor_pyg._util.escaping.without_formulas`.

        Raises:
            InputError: If the format is unknown, or pyarrow is not installed.
        """
        check_format(path)
        suffix = Path(path).suffix
        if suffix == ".parquet":
            self._save_parquet(path)
        elif suffix == ".csv":
            rows = map(without_formulas, self.to_rows()) if safe_csv else self.to_rows()
            write_text(path, csv_text([self.columns(), *rows]))
        else:
            records = (json.dumps(record, ensure_ascii=False) for record in self.to_records())
            write_text(path, "".join(f"{record}\n" for record in records))

    def _save_parquet(self, path: Path | str) -> None:
        arrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
        with atomic_path(path) as temporary:
            parquet.write_table(arrow.table(self.columns()), temporary)

    def __str__(self) -> str:
        blocks = []
        for query, items, scores in self.lists():
            width = max((len(str(item)) for item in items), default=0)
            lines = [
                f"{rank:>5}  {item!s:<{width}}  {score:9.4f}"
                for rank, (item, score) in enumerate(zip(items, scores), 1)
            ]
            blocks.append("\n".join([f"{self.names[0]} {query}", *(lines or ["    nothing left"])]))
        return "\n\n".join(blocks)


def _written(queries: np.ndarray) -> np.ndarray:
    """Names for files: all integers, or all strings."""
    names = [name.item() if isinstance(name, np.generic) else name for name in queries]
    if all(type(name) is int and -(2**63) <= name < 2**63 for name in names):
        return np.array(names, dtype=np.int64)
    return np.array([str(name) for name in names], dtype=object)


def check_format(path: Path | str) -> None:
    """Raises an InputError if recommendations cannot be saved at ``path``."""
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise InputError(f"{path}: ends in '{suffix}'; expected one of {', '.join(FORMATS)}")
    if suffix == ".parquet":
        optional("pyarrow")
