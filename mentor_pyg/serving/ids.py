"""Original ids and the rows that stand for them."""

import difflib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from mentor_pyg.datasets.row_numbers import as_integers, is_integer
from mentor_pyg.errors import InputError

Ids: TypeAlias = Any
"""An original id, or several: integers or texts in a sequence, an array or a tensor."""


class IdMap:
    """Maps original ids to rows and back, all at once.

    Args:
        ids: The ids in row order: integers, or labels.
        what: What they are ids of, for messages.

    Raises:
        InputError: If an id occurs twice.
    """

    def __init__(self, ids: Tensor | Sequence[Any] | np.ndarray, what: str) -> None:
        self.what = what
        self.ids = np.asarray(ids.cpu() if isinstance(ids, Tensor) else ids)
        assert self.ids.dtype.kind in "iuU", self.ids.dtype
        self._order = np.argsort(self.ids, kind="stable")
        self._sorted = self.ids[self._order]
        repeated = self._sorted[1:] == self._sorted[:-1]
        if repeated.any():
            raise InputError(
                f"{what} '{self._sorted[1:][repeated][0]}': is there twice; expected each id once"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_numeric(self) -> bool:
        """Whether ids are integers."""
        return self.ids.dtype.kind != "U"

    def convert(self, ids: Ids) -> np.ndarray:
        """One or several ids as an array of this map's kind.

        Integers may be given as text and the other way round, since on a command line
        all is text.

        Raises:
            InputError: If they can't be ids of this kind.
        """
        found = np.atleast_1d(np.asarray(ids.cpu() if isinstance(ids, Tensor) else ids))
        if found.size == 0:
            return self.ids[:0]
        if found.ndim != 1 or found.dtype.kind not in "iuU":
            raise InputError(f"{self.what} ids: are {ids!r}; expected integers or texts")
        if not self.is_numeric or found.dtype.kind != "U":
            return found.astype(np.int64 if self.is_numeric else np.str_)
        try:
            integers = as_integers(found)
        except OverflowError:
            integers = None
        if integers is None:
            odd = next(label for label in found if not _is_int64(str(label)))
            raise InputError(
                f"{self.what} '{odd}': isn't an integer of 64 bits; "
                f"expected one like the others', e.g. {self.ids[0]}"
            )
        return integers

    def find(self, ids: Ids) -> Tensor:
        """Rows [n] of one or several ids, or -1 for the unknown."""
        wanted = self.convert(ids)
        position = np.searchsorted(self._sorted, wanted).clip(max=len(self) - 1)
        rows = np.where(self._sorted[position] == wanted, self._order[position], -1)
        return torch.from_numpy(rows)

    def rows(self, ids: Ids) -> Tensor:
        """Rows [n] of one or several ids.

        Raises:
            InputError: If one is unknown; the message names some and a near match.
        """
        rows = self.find(ids)
        unknown = self.convert(ids)[rows.numpy() < 0]
        if unknown.size:
            named = ", ".join(f"'{label}'" for label in unknown[:5])
            more = f" and {unknown.size - 5} more" if unknown.size > 5 else ""
            raise InputError(f"{self.what} {named}{more}: {self._unknown(unknown[0])}")
        return rows

    def _unknown(self, label: Any) -> str:
        if self.is_numeric:
            return f"unknown; expected one of {len(self)} from {self.ids.min()} to {self.ids.max()}"
        near = difflib.get_close_matches(str(label), self.ids.tolist(), n=1, cutoff=0.0)
        return f"unknown; expected one of {len(self)}, such as '{near[0]}'"


def _is_int64(text: str) -> bool:
    return is_integer(text) and abs(int(text)) < 2**63
