"""Annotations of arguments in words, for messages."""

import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ValidationError

BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}

OUT_OF_RANGE = {
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
    *("finite_number", "too_short", "too_long", "multiple_of", "value_error"),
}
"""How pydantic calls the errors of values that have the right type."""

WORDS = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    Path: ("a path", "paths"),
}


@dataclass(frozen=True)
class Words:
    """Metadata of an annotation, for messages: the range of a number, e.g. "even and at
    least 2", or the whole of a list or mapping, e.g. "a list of different integers"."""

    text: str


def describe(hint: Any, error: ValidationError, nothing: str = "null") -> str:
    """What was expected of a value that an annotation doesn't allow.

    Args:
        hint: The annotation.
        error: What pydantic says of the value.
        nothing: The word for None.
    """
    kinds = {e["type"] for e in error.errors(include_input=False, include_context=False)}
    return _describe(hint, kinds, nothing)


def _describe(hint: Any, kinds: Collection[str], nothing: str, many: bool = False) -> str:
    """A value of the right type is told the range alone."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    in_type = not OUT_OF_RANGE.isdisjoint(kinds)
    if origin is Annotated:
        described = next((m.text for m in args[1:] if isinstance(m, Words)), "")
        if described and args[0] not in WORDS:
            return described
        limits = described or _limits(args[0], args[1:], "less_than" in kinds)
        if limits and in_type and args[0] in WORDS and not many:
            return limits
        base = _describe(args[0], kinds, nothing, many)
        return f"{base}, {'each ' if many else ''}{limits}" if limits else base
    if origin in (typing.Union, types.UnionType):
        choices = [_describe(choice, kinds, nothing, many) for choice in args]
        comma = "," if any("," in choice or " and " in choice for choice in choices) else ""
        return f"{comma} or ".join(choices)
    if origin is Literal:
        literals = ", ".join(map(repr, args))
        return literals if len(args) == 1 else f"{'any' if many else 'one'} of {literals}"
    if hint is type(None):
        return nothing
    if hint is float and in_type and not many:
        return "a finite number"
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
        keys, values = (_describe(arg, kinds, nothing, many=True) for arg in args)
        return f"a mapping of {keys} to {values}"
    if isinstance(origin, type) and issubclass(origin, Sequence) and args:
        return f"a list of {_describe(args[0], kinds, nothing, many=True)}"
    name = getattr(hint, "__name__", "other")
    return WORDS.get(hint, (f"a {name}", f"values of type {name}"))[many]


def _limits(base: Any, metadata: Sequence[Any], is_too_large: bool) -> str:
    """The range that metadata give, in words; one that is only there to keep numbers within
    64 bits is left out unless it was exceeded."""
    words, has_upper = [], False
    for name, phrase in BOUNDS.items():
        for value in (getattr(m, name) for m in metadata if hasattr(m, name)):
            if value != 2**63:
                words.append(f"{phrase} {value}")
            elif is_too_large:
                words.append(f"{phrase} 2^63")
            has_upper |= name in ("le", "lt")
    if base is float and words and not has_upper:
        words.append("finite")
    return " and ".join(words)
