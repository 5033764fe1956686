"""What options of layers and models may be, by their names."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

RANGES: dict[str, tuple[Callable[[Any], bool], Sequence[str]]] = {
    "at least 0 and less than 1": (lambda x: 0 <= x < 1, ["dropout", "pruning"]),
    "more than 0 and finite": (lambda x: 0 < x < math.inf, ["temperature", "scale", "lr"]),
    "finite and at least 0": (lambda x: 0 <= x < math.inf, ["weight", "weight_decay"]),
    "at least 1": (lambda x: x >= 1, ["channels", "limit", "prototypes"]),
    "at least 0": (lambda x: x >= 0, ["layers", "num_levels", "routings"]),
}
"""What values may be, and the last words of the names of which options."""


def check_ranges(**options: Any) -> None:
    """Refuses options out of range, see :func:`misfits`.

    Raises:
        ValueError: If a value is out of its range.
    """
    for name, range_ in misfits(**options):
        raise ValueError(f"'{name}' must be {range_} (got {options[name]})")


def misfits(**options: Any) -> Iterator[tuple[str, str]]:
    """Options out of range, and their ranges.

    The last words of a name tell its range by :obj:`RANGES`; options of other names, and
    those that are None, aren't looked at.

    Args:
        **options: Options by name.
    """
    for name, value in options.items():
        for range_, (is_inside, endings) in RANGES.items():
            is_meant = any(f"_{name}".endswith(f"_{ending}") for ending in endings)
            if is_meant and value is not None and not is_inside(value):
                yield name, range_
