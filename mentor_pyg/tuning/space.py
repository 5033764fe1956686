"""Search spaces: which settings a search changes, and the values they may take."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from mentor_pyg._util.named_yaml import SPACES
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.options import checked
from mentor_pyg.runs.config import load_config

FIXED = ("preset", "train.monitor", "train.ks", "train.seed")
"""Settings that decide how trials are compared, so that no search may change them."""

MAX_STEPS = 2**53
"""Up to which floats count whole numbers one by one."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, whole ones if both bounds are.

    Attributes:
        low: The smallest.
        high: The largest; with a step, the largest that steps from ``low`` reach.
        log: Whether equal ratios, not equal distances, are equally likely.
        step: Distance of neighbouring values; None for all numbers in between.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int)

    @property
    def size(self) -> float:
        """How many values there are; infinity for fractions without a step."""
        if self.step is None and not self.is_whole:
            return math.inf
        return round((self.high - self.low) / (self.step or 1)) + 1

    def draw(self, rng: np.random.Generator) -> float:
        """One of the values."""
        if self.step is not None:
            return self.clean(self.low + int(rng.integers(int(self.size))) * self.step)
        low, high = (math.log(x) if self.log else x for x in (self.low, self.high))
        value = float(rng.uniform(low, high))
        value = min(max(math.exp(value), self.low), self.high) if self.log else value
        return round(value) if self.is_whole else value

    def clean(self, value: float) -> float:
        """A sampled value without the rounding error of adding up steps."""
        return value if self.is_whole or self.step is None else _rounded(value)


Parameter: TypeAlias = list[Any] | Range


@dataclass(frozen=True)
class SearchSpace:
    """What a search goes through.

    In YAML it is a mapping of settings, named as for ``--set``, to a list of values or
    to a range::

        options.mask_weight: [0.5, 1, 1.5]
        graph.k: {low: 5, high: 40, step: 5}
        train.lr: {low: 1e-4, high: 1e-2, log: true}

    Attributes:
        name: Its name, or its file's.
        parameters: Values by setting.
    """

    name: str
    parameters: Mapping[str, Parameter]

    def to_dict(self) -> dict[str, Any]:
        return {
            key: asdict(values) if isinstance(values, Range) else values
            for key, values in self.parameters.items()
        }

    @property
    def size(self) -> float:
        """How many points there are; infinity if a range of fractions has no step."""
        return math.prod(
            v.size if isinstance(v, Range) else len(v) for v in self.parameters.values()
        )

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """A point, all being equally likely; see :meth:`settings`."""
        return {
            key: values.draw(rng)
            if isinstance(values, Range)
            else json.dumps(values[int(rng.integers(len(values)))])
            for key, values in self.parameters.items()
        }

    def settings(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that a sampled point stands for.

        Listed values are sampled as JSON texts, which keeps 1, 1.0 and true apart and
        allows for lists and mappings.
        """
        return {
            key: values.clean(point[key]) if isinstance(values, Range) else json.loads(point[key])
            for key, values in self.parameters.items()
        }

    @checked
    def check(self, preset: str, changes: Sequence[str] = ()) -> None:
        """Makes sure that a preset takes every value.

        Raises:
            InputError: If a setting doesn't exist, can't be searched, or isn't of the
                right type.
        """
        for key, values in self.parameters.items():
            if key in FIXED:
                raise InputError(
                    f"{self.name}: {key} decides how trials are compared; expected other settings"
                )
            for value in [values.low, values.high] if isinstance(values, Range) else values:
                try:
                    load_config(preset, [*changes, *as_changes({key: value})])
                except InputError as error:
                    raise InputError(f"{self.name}: {error}") from None


def as_changes(settings: Mapping[str, Any]) -> list[str]:
    """Settings in the form that :func:`~mentor_pyg.runs.config.load_config` takes."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def space_names() -> list[str]:
    """Search spaces that come with the package."""
    return SPACES.names()


def read_space(name: str) -> SearchSpace:
    """Reads a search space.

    Args:
        name: Name of a space of the package, or path of a YAML file.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it isn't a mapping of settings to values.
    """
    parameters = {}
    for key, values in SPACES.read(name).items():
        if not isinstance(key, str):
            raise InputError(f"{name}: {shown(key)} is no setting; expected e.g. train.lr")
        parameters[key] = _parameter(f"{name}: {brief(key)}", values)
    return SearchSpace(name, parameters)


def _parameter(where: str, values: Any) -> Parameter:
    if isinstance(values, list):
        return _choices(where, values)
    if isinstance(values, dict):
        return _range(where, values)
    raise InputError(f"{where} is {shown(values)}; expected a list, or low and high")


def _choices(where: str, values: list[Any]) -> list[Any]:
    if not values:
        raise InputError(f"{where} is an empty list; expected at least one value")
    choices = [_number(value) for value in values]
    try:
        texts = [json.dumps(value, allow_nan=False) for value in choices]
    except (TypeError, ValueError):
        raise InputError(f"{where} is {shown(values)}; expected finite numbers and texts") from None
    for text in texts:
        if texts.count(text) > 1:
            raise InputError(f"{where} lists {brief(text)} twice; expected different values")
    return choices


def _range(where: str, values: dict[Any, Any]) -> Range:
    if not {"low", "high"} <= values.keys() <= {"low", "high", "log", "step"}:
        found = shown(sorted(map(str, values)))
        raise InputError(f"{where} has {found}; expected low, high, log, step")
    low, high, step = (_number(values.get(name)) for name in ("low", "high", "step"))
    log = values.get("log", False)
    if not _is_finite(low) or not _is_finite(high) or not low < high:
        raise InputError(f"{where} is from {shown(low)} to {shown(high)}; expected low below high")
    if not _is_finite(high - low):
        raise InputError(f"{where} is from {shown(low)} to {shown(high)}; expected a finite width")
    if not isinstance(log, bool):
        raise InputError(f"{where}.log is {shown(log)}; expected true or false")
    if log and (low <= 0 or step is not None):
        raise InputError(
            f"{where} has log with low {shown(low)} and step {shown(step)}; "
            "expected low above 0 and no step"
        )
    whole = all(isinstance(x, int) for x in (low, high, 1 if step is None else step))
    if not whole:
        low, high = float(low), float(high)
    elif step is None and not log:
        step = 1
    if step is None:
        return Range(low, high, log)
    if not _is_finite(step) or not 0 < step <= high - low:
        raise InputError(f"{where}.step is {shown(step)}; expected more than 0, at most high - low")
    if not high - low < MAX_STEPS * step:
        raise InputError(f"{where}.step is {shown(step)}; expected fewer than {MAX_STEPS} steps")
    high = low + math.floor((high - low) / step + 1e-9) * step
    return Range(low, high if whole else _rounded(high), False, step)


def _number(value: Any) -> Any:
    """A number for a text like ``1e-3``, which YAML doesn't take for one."""
    if isinstance(value, str):
        try:
            return float(value) if math.isfinite(float(value)) else value
        except ValueError:
            pass
    return value


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that a float can be, also if it is an integer."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max
