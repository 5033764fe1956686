"""Options: named types with their ranges, and one check of arguments by annotations.

The annotation of an argument says all of what it may be::

    @checked
    class Mine(torch.nn.Module):
        def __init__(self, dropout: Probability = 0.1, readout: Literal["sum", "mean"] = "sum"):
            ...

``Mine(dropout=1.5)`` then raises an :class:`~mentor_pyg.InputError`, "Mine.dropout: is 1.5;
expected at least 0 and less than 1", and ``options.dropout=1.5`` in a configuration one like it,
by :func:`check_options`.
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from mentor_pyg._util.option_words import Words, describe
from mentor_pyg.errors import InputError, brief, shown

T = TypeVar("T", bound=Callable[..., Any])


def _all_different(values: Sequence[Any]) -> Sequence[Any]:
    if len(set(values)) < len(values):
        raise ValueError("a value is repeated")
    return values


different = AfterValidator(_all_different)
"""Metadata of a sequence whose values must be different."""

Count = Annotated[int, Ge(1), Lt(2**63)]
"""A whole number from 1."""

EvenCount = Annotated[int, Ge(2), Lt(2**63), MultipleOf(2), Words("even and at least 2")]
"""An even number from 2."""

NonNegativeInt = Annotated[int, Ge(0), Lt(2**63)]
"""A whole number from 0."""

Seed = Annotated[int, Ge(0), Lt(2**32), Words("0 to 2^32 - 1")]
"""What NumPy's generators take."""

Positive = Annotated[float, Gt(0)]
"""A finite number above 0, e.g. a temperature or a learning rate."""

NonNegative = Annotated[float, Ge(0)]
"""A finite number from 0, e.g. the weight of a loss term."""

Probability = Annotated[float, Ge(0), Lt(1)]
"""A number from 0 to below 1, e.g. of dropout."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number from 0 to 1."""

Widths = Annotated[
    Mapping[str, Count],
    MinLen(1),
    Words("at least one modality of item features, with its number of columns"),
]
"""The width of the features of every modality, by its name."""

Lengths = Annotated[
    Sequence[Count],
    MinLen(1),
    different,
    Words("a list of different integers, each at least 1"),
]
"""Lengths K of ranked lists."""

# Integers aren't taken for booleans, nor 2.0 for an integer, and no number is NaN or infinite:
CONFIG = ConfigDict(strict=True, allow_inf_nan=False)

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def checked(target: T) -> T:
    """Makes a class check the arguments of its constructor, or a function its own.

    Every argument whose annotation is made up of numbers, texts, booleans, None, literals,
    and sequences and mappings of them is checked, and converted to what the annotation
    says: ``1`` becomes ``1.0`` for a float, a NumPy or 0-dimensional PyTorch number a plain
    one, a list a tuple. Others pass as they are. NaN and infinity are no numbers here, booleans
    no integers, and ``2.0`` is none, either. Signatures stay as they are.

    It works on dataclasses, too, above ``@dataclass``, and a base class may call it on
    every subclass from ``__init_subclass__``.

    Raises:
        InputError: Whenever the class or function is called with a value that doesn't fit.
    """
    if isinstance(target, type):
        constructor: Any = vars(target).get("__init__")
        if constructor is not None:
            target.__init__ = checked(constructor)  # type: ignore[misc]
        return target
    signature = inspect.signature(target)
    name = target.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return target(*args, **kwargs)  # whose message names the function
        for key, option in _options(call).items():
            if key in bound.arguments:
                bound.arguments[key] = option.check(bound.arguments[key], f"{name}.{key}")
        return target(*bound.args, **bound.kwargs)

    return typing.cast(T, call)


def check_options(
    target: Callable[..., Any], options: Any, where: str, derived: Sequence[str] = ()
) -> dict[str, Any]:
    """``options`` as keyword arguments of ``target``, checked as by :func:`checked`.

    Only arguments with a default count as options. Numbers written like ``1e-3``,
    which YAML takes for a string, become numbers.

    Args:
        target: A class or function.
        options: What may be a mapping of its arguments.
        where: Where it is from, for messages.
        derived: Arguments that come from elsewhere, though they have a default.

    Raises:
        InputError: If an option doesn't exist, or its value doesn't fit its annotation.
    """
    if not isinstance(options, dict):
        raise InputError(f"{where}: is {shown(options)}; expected a mapping of options")
    known = [
        name
        for name, parameter in parameters(target).items()
        if parameter.default is not parameter.empty and name not in derived
    ]
    fields = {k: o for f in reversed(_functions(target)) for k, o in _options(f).items()}
    values = {}
    for name, value in options.items():
        if name not in known:
            raise InputError(
                f"{where}.{brief(name)}: unknown option; expected one of {', '.join(known)}"
            )
        if name in fields:
            value = fields[name].check(value, f"{where}.{name}", is_yaml=True)
        values[name] = value
    return values


def parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a function by name, or of a class, with those that its constructor
    passes on by ``**kwargs`` to that of a base."""
    found: dict[str, inspect.Parameter] = {}
    for function in _functions(target):
        for name, parameter in _signature(function).parameters.items():
            if name != "self" and parameter.kind not in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            ):
                found.setdefault(name, parameter)
    return found


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:  # of a name that only type checkers import
        return inspect.signature(function)


def _functions(target: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function itself, or constructors of a class up to the first that passes nothing on."""
    if not isinstance(target, type):
        return [target]
    found = []
    for cls in target.__mro__:
        constructor = vars(cls).get("__init__")
        if constructor is not None:
            found.append(constructor)
            kinds = {p.kind for p in inspect.signature(constructor).parameters.values()}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return found


def check_value(value: Any, hint: Any, where: str) -> Any:
    """A single value, checked as by :func:`checked`.

    Args:
        value: The value.
        hint: What it may be, e.g. :obj:`Count`.
        where: Where it is from, for messages.

    Raises:
        InputError: If it doesn't fit.
    """
    return _Option(hint, TypeAdapter(hint, config=CONFIG)).check(value, where)


@dataclass(frozen=True)
class _Option:
    """What an annotation says."""

    hint: Any
    adapter: TypeAdapter[Any]

    def check(self, value: Any, where: str, is_yaml: bool = False) -> Any:
        """``value`` as what the annotation says; InputError if it is something else."""
        try:
            return self.adapter.validate_python(_plain(value, numbers=is_yaml))
        except ValidationError as error:
            expected = describe(self.hint, error, "null" if is_yaml else "None")
        # Where the annotation asks for a list, or a text that looks like a number:
        with suppress(ValidationError):
            return self.adapter.validate_python(value)
        raise InputError(f"{where}: is {shown(value)}; expected {expected}")


@functools.cache
def _options(function: Callable[..., Any]) -> dict[str, _Option]:
    """The arguments of a function that are checked, by name."""
    options = {}
    for name, hint in _hints(inspect.unwrap(function)).items():
        if hint in (Any, object):
            continue
        # Not those of other classes, or of names that only type checkers know:
        with suppress(PydanticUserError, NameError):
            options[name] = _Option(hint, TypeAdapter(hint, config=CONFIG))
    return options


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError:  # of a class that only type checkers import
        hints = {k: v for k, v in function.__annotations__.items() if not isinstance(v, str)}
    hints.pop("return", None)
    return hints


def _plain(value: Any, numbers: bool = False, depth: int = 4) -> Any:
    """``value`` with tuples for lists, and with Python's numbers for those of arrays."""
    if hasattr(value, "tolist"):  # NumPy's and PyTorch's
        value = value.tolist()
    if depth and isinstance(value, list | tuple | range):
        return tuple(_plain(v, numbers, depth - 1) for v in value)
    if depth and isinstance(value, dict):
        return {key: _plain(v, numbers, depth - 1) for key, v in value.items()}
    if numbers and isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    return value
