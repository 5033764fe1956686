"""Values from YAML as arguments of a function, checked by its annotations."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from mentor_pyg.errors import InputError


def check_options(
    target: Callable, options: Any, where: str, derived: Sequence[str] = ()
) -> dict[str, Any]:
    """``options`` as keyword arguments of ``target``, checked by its annotations.

    Only arguments with a default count as options. Numbers written like ``1e-3``,
    which YAML takes for a string, become numbers.

    Args:
        target: A class or function.
        options: What may be a mapping of its arguments.
        where: Where it is from, for messages.
        derived: Arguments that come from elsewhere, though they have a default.

    Raises:
        InputError: If an option doesn't exist, or its value is of the wrong type.
    """
    if not isinstance(options, dict):
        raise InputError(f"{where}: is {options!r}; expected a mapping of options")
    hints = typing.get_type_hints(target if dataclasses.is_dataclass(target) else target.__init__)
    known = [
        name
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not parameter.empty and name not in derived
    ]
    checked = {}
    for name, value in options.items():
        if name not in known:
            raise InputError(f"{where}.{name}: unknown option; expected one of {', '.join(known)}")
        try:
            checked[name] = _coerce(value, hints[name])
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"{where}.{name}: is {value!r}; expected {_describe(hints[name])}"
            ) from None
    return checked


def _coerce(value: Any, hint: Any) -> Any:
    """``value`` as an instance of a type hint; TypeError or ValueError if it isn't one."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in args:
            with suppress(TypeError, ValueError):
                return _coerce(value, choice)
        raise TypeError
    if hint is type(None):
        if value is not None:
            raise TypeError
        return None
    if origin is Literal:
        if value not in args:
            raise ValueError
        return value
    if origin is tuple or (origin is not None and issubclass(origin, Sequence)):
        if not isinstance(value, list | tuple):
            raise TypeError
        return tuple(_coerce(v, args[0]) for v in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise TypeError
        return {_coerce(k, args[0]): _coerce(v, args[1]) for k, v in value.items()}
    if isinstance(value, bool) != (hint is bool):
        raise TypeError
    if hint is float:
        return float(value)
    if not isinstance(value, hint):
        raise TypeError
    return value


WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def _describe(hint: Any) -> str:
    """A type hint in a user's words."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    return WORDS.get(hint, str(hint).replace("collections.abc.", ""))
