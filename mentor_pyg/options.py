"""Types of options with their ranges, and checks of arguments by their annotations.

The annotation of an argument defines its valid values::

    @checked
    class Mine(torch.nn.Module):
        def __init__(self, dropout: Probability = 0.1, readout: Literal["sum", "mean"] = "sum"):
            ...

``Mine(dropout=1.5)`` then raises :class:`~mentor_pyg.InputError` with "Mine.dropout: is 1.5;
expected at least 0 and less than 1". :func:`check_options` does the same for configurations.
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
"""Metadata of a sequence without repeated values."""

Count = Annotated[int, Ge(1), Lt(2**63)]
"""An integer of at least 1."""

EvenCount = Annotated[int, Ge(2), Lt(2**63), MultipleOf(2), Words("even and at least 2")]
"""An even integer of at least 2."""

NonNegativeInt = Annotated[int, Ge(0), Lt(2**63)]
"""An integer of at least 0."""

Seed = Annotated[int, Ge(0), Lt(2**32), Words("0 to 2^32 - 1")]
"""A seed that NumPy's generators accept."""

Positive = Annotated[float, Gt(0)]
"""A finite number greater than 0, e.g. a temperature or a learning rate."""

NonNegative = Annotated[float, Ge(0)]
"""A finite number of at least 0, e.g. the weight of a loss term."""

Probability = Annotated[float, Ge(0), Lt(1)]
"""A number of at least 0 and less than 1, e.g. a dropout ratio."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number from 0 to 1."""

Widths = Annotated[
    Mapping[str, Count],
    MinLen(1),
    Words("at least one modality of item features, with its number of columns"),
]
"""Feature widths by modality."""

Lengths = Annotated[
    Sequence[Count],
    MinLen(1),
    different,
    Words("a list of different integers, each at least 1"),
]
"""Lengths K of ranked lists."""

# Booleans are not integers, 2.0 is not an integer, and NaN and infinity are not numbers.
CONFIG = ConfigDict(strict=True, allow_inf_nan=False)

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def checked(target: T) -> T:
    """Decorator that checks the arguments of a function, or of a class's constructor.

    It checks arguments annotated with numbers, strings, booleans, None, literals, and
    sequences and mappings of these, and converts them to the annotated type: ``1`` to ``1.0``
    for a float, scalars of NumPy and PyTorch to Python numbers, lists to tuples. Other
    arguments are passed on unchanged. NaN and infinity are not accepted as numbers, and
    booleans and ``2.0`` not as integers. The signature does not change.

    It also works on dataclasses, above ``@dataclass``. A base class may call it for each
    subclass in ``__init_subclass__``.

    Raises:
        InputError: In a call with an invalid value.
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
            return target(*args, **kwargs)  # raises an error that names the function
        for key, option in _options(call).items():
            if key in bound.arguments:
                bound.arguments[key] = option.check(bound.arguments[key], f"{name}.{key}")
        return target(*bound.args, **bound.kwargs)

    return typing.cast(T, call)


def check_options(
    target: Callable[..., Any], options: Any, where: str, derived: Sequence[str] = ()
) -> dict[str, Any]:
    """Checks ``options`` as keyword arguments of ``target``, as :func:`checked` does.

    Only arguments with a default are options. Numbers like ``1e-3``, which YAML reads as
    strings, are converted.

    Args:
        target: A class or function.
        options: The value to check, which should be a mapping.
        where: Source of the options, for messages.
        derived: Arguments with a default that are not options.

    Raises:
        InputError: If an option is unknown or invalid.
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
    """Arguments of a function or constructor by name, including those that a constructor
    passes on to its base class by ``**kwargs``."""
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
    except NameError:  # for names imported only for type checking
        return inspect.signature(function)


def _functions(target: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function, or the constructors of a class up to the first without ``**kwargs``."""
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
    """Checks a single value by an annotation such as :obj:`Count`, as :func:`checked` does."""
    return _Option(hint, TypeAdapter(hint, config=CONFIG)).check(value, where)


@dataclass(frozen=True)
class _Option:
    hint: Any
    adapter: TypeAdapter[Any]

    def check(self, value: Any, where: str, is_yaml: bool = False) -> Any:
        """Converts ``value`` to the annotated type, or raises an InputError."""
        try:
            return self.adapter.validate_python(_plain(value, numbers=is_yaml))
        except ValidationError as error:
            expected = describe(self.hint, error, "null" if is_yaml else "None")
        # For annotations of lists, or of strings that look like numbers.
        with suppress(ValidationError):
            return self.adapter.validate_python(value)
        raise InputError(f"{where}: is {shown(value)}; expected {expected}")


@functools.cache
def _options(function: Callable[..., Any]) -> dict[str, _Option]:
    options = {}
    for name, hint in _hints(inspect.unwrap(function)).items():
        if hint in (Any, object):
            continue
        # Skips other classes, and names imported only for type checking.
        with suppress(PydanticUserError, NameError):
            options[name] = _Option(hint, TypeAdapter(hint, config=CONFIG))
    return options


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError:  # for names imported only for type checking
        hints = {k: v for k, v in function.__annotations__.items() if not isinstance(v, str)}
    hints.pop("return", None)
    return hints


def _plain(value: Any, numbers: bool = False, depth: int = 4) -> Any:
    """Converts lists to tuples, and scalars and arrays to Python numbers."""
    if hasattr(value, "tolist"):  # NumPy and PyTorch
        value = value.tolist()
    if depth and isinstance(value, list | tuple | range):
        return tuple(_plain(v, numbers, depth - 1) for v in value)
    if depth and isinstance(value, dict):
        return {key: _plain(v, numbers, depth - 1) for key, v in value.items()}
    if numbers and isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    return value
