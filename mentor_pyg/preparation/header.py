"""Finds the wanted columns in the header of a table."""

from collections.abc import Sequence
from pathlib import Path

from mentor_pyg.preparation.problems import MissingColumn


def positions(path: Path, columns: Sequence[str], header: Sequence[str]) -> list[int]:
    """Where the columns are.

    Raises:
        MissingColumn: If one isn't there, or several times.
    """
    for name in columns:
        if header.count(name) != 1:
            names = repr(", ".join(header)[:200])[1:-1]  # without control characters
            found = "there twice" if name in header else f"not among {names}"
            raise MissingColumn(f"{path}: column '{name}' is {found}; expected it once", name)
    return [header.index(name) for name in columns]
