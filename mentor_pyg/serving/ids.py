"""Mapping between original IDs and rows."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.datasets.row_numbers import is_integer
from mentor_pyg.errors import InputError, shown

Ids: TypeAlias = Any
"""One or several original IDs: integers or strings in a collection, array, tensor or pandas
column."""


class IdMap:
    """Maps original IDs to rows and back.

    Args:
        ids: The IDs in the order of rows: integers or strings.
        what: Name of the nodes, for messages.

    Raises:
        InputError: If an ID occurs twice.
    """

    def __init__(self, ids: Ids, what: str) -> None:
        self.what = what
        values = _as_list(ids)
        assert values is not None, ids
        is_numeric = all(type(value) is int for value in values)
        self.ids = np.array(values, np.int64) if is_numeric else _texts(values)
        self._row_of = {label: row for row, label in enumerate(self.ids.tolist())}
        if len(self._row_of) < len(self.ids):
            label = next(x for row, x in enumerate(self.ids.tolist()) if self._row_of[x] != row)
            raise InputError(f"{what} {shown(str(label))}: is repeated; expected each id once")

    @classmethod
    def of_nodes(cls, data: HeteroData, node: str) -> "IdMap":
        """Original IDs of a graph's users or items."""
        ids = data[node].get("original_id")
        if ids is None or len(ids) != data[node].num_nodes:
            found = "none" if ids is None else len(ids)
            raise InputError(
                f"data: original_id of {node}s: there are {found}; "
                f"expected {data[node].num_nodes}, in the order of the rows"
            )
        return cls(ids, node)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_numeric(self) -> bool:
        """Whether IDs are integers; otherwise they are strings in an object array."""
        return self.ids.dtype.kind != "O"

    def convert(self, ids: Ids) -> np.ndarray:
        """Converts one or several IDs to an array of this map's type.

        Integers may be given as strings and vice versa, since command-line arguments are
        strings.

        Raises:
            InputError: If a value cannot be an ID of this type.
        """
        values = _as_list(ids)
        if values is None:
            raise InputError(f"{self.what} ids: are {shown(ids)}; expected integers or texts")
        if not self.is_numeric:
            return _texts(values)
        odd = next((value for value in values if not _is_int64(value)), None)
        if odd is not None:
            raise InputError(
                f"{self.what} {shown(str(odd))}: isn't an integer of 64 bits; "
                f"expected an id like {self.ids[0]}"
            )
        return np.array([int(value) for value in values], dtype=np.int64)

    def find(self, ids: Ids) -> Tensor:
        """Rows [n] of one or several IDs; -1 for unknown IDs."""
        return self._rows(self.convert(ids))

    def _rows(self, labels: np.ndarray) -> Tensor:
        return torch.tensor([self._find(label) for label in labels.tolist()], dtype=torch.int64)

    def _find(self, label: int | str) -> int:
        row = self._row_of.get(label)
        if row is None and isinstance(label, str):  # datasets strip blanks from IDs
            row = self._row_of.get(label.strip())
        return -1 if row is None else row

    def rows(self, ids: Ids) -> Tensor:
        """Rows [n] of one or several IDs.

        Raises:
            InputError: If an ID is unknown; the message names a close match.
        """
        wanted = self.convert(ids)  # once, since it may be an iterator
        rows = self._rows(wanted)
        unknown = wanted[rows.numpy() < 0]
        if unknown.size:
            named = ", ".join(shown(str(label)) for label in unknown[:5])
            more = f" and {unknown.size - 5} more" if unknown.size > 5 else ""
            raise InputError(f"{self.what} {named}{more}: {self._unknown(unknown[0])}")
        return rows

    def _unknown(self, label: Any) -> str:
        if self.is_numeric:
            return f"unknown; expected one of {len(self)} from {self.ids.min()} to {self.ids.max()}"
        near = difflib.get_close_matches(label, self.ids.tolist(), n=1, cutoff=0.0)
        return f"unknown; expected one of {len(self)}, such as {shown(near[0])}"


def _as_list(ids: Ids) -> list[int | str] | None:
    """Converts one or several IDs to plain values; None if they cannot be IDs."""
    if isinstance(ids, Tensor):
        ids = ids.cpu().numpy()
    if isinstance(ids, np.ndarray):
        ids = ids.tolist()
    if isinstance(ids, str | int | np.integer):
        ids = [ids]
    if not isinstance(ids, Iterable) or isinstance(ids, bytes):
        return None
    values = [value.item() if isinstance(value, np.generic) else value for value in ids]
    return values if all(type(value) in (int, str) for value in values) else None


def _texts(values: Sequence[int | str]) -> np.ndarray:
    """An object array of strings, since NumPy's own would pad all to the longest."""
    texts = np.empty(len(values), dtype=object)
    texts[:] = [str(value) for value in values]
    return texts


def _is_int64(value: int | str) -> bool:
    return (isinstance(value, int) or is_integer(value)) and -(2**63) <= int(value) < 2**63
