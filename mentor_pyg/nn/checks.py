"""What options of layers and models may be, by their names."""

import math
from collections.abc import Callable, Iterator
from typing import Any

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "dropout": ("at least 0 and less than 1", lambda x: 0 <= x < 1),
    "pruning": ("at least 0 and less than 1", lambda x: 0 <= x < 1),
    "temperature": ("more than 0 and finite", lambda x: 0 < x < math.inf),
    "weight_decay": ("finite and at least 0", lambda x: 0 <= x < math.inf),
    "weight": ("finite and at least 0", lambda x: 0 <= x < math.inf),
    "channels": ("at least 1", lambda x: x >= 1),
    "num_layers": ("at least 0", lambda x: x >= 0),
    "num_item_layers": ("at least 0", lambda x: x >= 0),
}


def check_ranges(**options: Any) -> None:
    """Refuses options out of range, see :func:`misfits`.

    Raises:
        ValueError: If a value is out of its range.
    """
    for name, range_ in misfits(**options):
        raise ValueError(f"'{name}' must be {range_} (got {options[name]})")


def misfits(**options: Any) -> Iterator[tuple[str, str]]:
    """Options out of range, and their ranges.

    The last words of a name tell what it is: a ``dropout`` or a ``pruning`` is a ratio, a
    ``temperature`` positive, a ``weight`` of a loss, or a ``weight_decay``, finite and not
    negative, a number of ``channels`` at least one, ``num_layers`` not negative. Other
    options aren't looked at.

    Args:
        **options: Options by name.
    """
    for name, value in options.items():
        for ending, (range_, is_inside) in RULES.items():
            if (name == ending or name.endswith(f"_{ending}")) and not is_inside(value):
                yield name, range_
