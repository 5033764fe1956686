"""Checks of values read from a file."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mentor_pyg.errors import InputError, shown


class Check:
    """Raises an InputError for invalid values, by their names."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def that(self, holds: bool, name: str, found: Any, expected: str) -> None:
        if not holds:
            raise InputError(f"{self.prefix}{name} is {describe(found)}; expected {expected}")

    def keys(self, name: str, found: Any, expected: Mapping[Any, Any]) -> None:
        """Checks that a mapping has exactly these keys."""
        self.that(isinstance(found, Mapping), name, found, "a mapping")
        for key in expected:
            if key not in found:
                raise InputError(f"{self.prefix}{name} lacks {shown(key)}; expected it")
        for key in found:
            if key not in expected:
                raise InputError(f"{self.prefix}{name} has {shown(key)}; expected no such entry")

    def length(self, name: str, found: Sequence[Any], expected: int) -> None:
        if len(found) != expected:
            raise InputError(f"{self.prefix}{name} has {len(found)} entries; expected {expected}")

    def like(self, name: str, found: Any, like: Any) -> None:
        """Checks for the same structure, types, shapes and dtypes, and finite values."""
        if isinstance(like, Tensor):
            fits = (
                isinstance(found, Tensor)
                and (found.layout, found.is_meta) == (like.layout, False)
                and (found.dtype, found.shape) == (like.dtype, like.shape)
            )
            self.that(fits, name, found, describe(like))
            self.that(bool(found.isfinite().all()), name, "not finite", "finite numbers")
        elif isinstance(like, Mapping):
            self.keys(name, found, like)
            for key, value in like.items():
                self.like(f"{name}.{key}", found[key], value)
        elif isinstance(like, list | tuple):
            self.that(type(found) is type(like), name, found, f"a {type(like).__name__}")
            self.length(name, found, len(like))
            for i, value in enumerate(like):
                self.like(f"{name}.{i}", found[i], value)
        else:
            is_equal = type(found) is type(like) and bool(found == like)
            self.that(is_equal, name, found, describe(like))

    def alike(self, name: str, found: Any, like: Any) -> None:
        """Checks for the same structure and types; numbers may differ but not be NaN."""
        if isinstance(like, Mapping):
            self.keys(name, found, like)
            for key, value in like.items():
                self.alike(f"{name}.{key}", found[key], value)
        elif isinstance(like, list | tuple):
            self.that(type(found) is type(like), name, found, f"a {type(like).__name__}")
            self.length(name, found, len(like))
            for i, value in enumerate(like):
                self.alike(f"{name}.{i}", found[i], value)
        elif type(like) in (int, float):
            fits = type(found) in (int, float) and not math.isnan(found)
            self.that(fits, name, found, "a number")
        elif like is not None:
            self.like(name, found, like)

    def count(self, name: str, found: Any, least: int, most: int) -> None:
        fits = type(found) is int and least <= found <= most
        self.that(fits, name, found, f"{least}" if least == most else f"{least} to {most}")

    def number(self, name: str, found: Any, least: float = -math.inf) -> None:
        fits = type(found) is float and math.isfinite(found) and found >= least
        expected = "a finite number" + (f", {least:g} or more" if least > -math.inf else "")
        self.that(fits, name, found, expected)


def describe(value: Any) -> str:
    """Short description of a value."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return reprlib.repr(value)
