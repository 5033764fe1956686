"""What options of layers and models may be, by their names."""

import math
from typing import Any

RULES = {
    "dropout": ("at least 0 and less than 1", lambda x: 0 <= x < 1),
    "pruning": ("at least 0 and less than 1", lambda x: 0 <= x < 1),
    "temperature": ("positive", lambda x: 0 < x < math.inf),
    "weight_decay": ("finite and at least 0", lambda x: 0 <= x < math.inf),
    "weight": ("finite and at least 0", lambda x: 0 <= x < math.inf),
    "channels": ("at least 1", lambda x: x >= 1),
    "num_layers": ("at least 0", lambda x: x >= 0),
    "num_item_layers": ("at least 0", lambda x: x >= 0),
}


def check_ranges(**options: Any) -> None:
    """Refuses options out of range.

    The last words of a name tell what it is: a ``dropout`` or a ``pruning`` is a ratio, a
    ``temperature`` positive, a ``weight`` of a loss, or a ``weight_decay``, finite and not
    negative, a number of ``channels`` at least one, ``num_layers`` not negative. Other
    options aren't looked at.

    Args:
        **options: Options by name.

    Raises:
        ValueError: If a value is out of its range.
    """
    for name, value in options.items():
        for ending, (range_, is_inside) in RULES.items():
            if (name == ending or name.endswith(f"_{ending}")) and not is_inside(value):
                raise ValueError(f"'{name}' must be {range_} (got {value})")
