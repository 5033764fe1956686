"""The commands of ``mentor-pyg``, a module each.

A command's module has a docstring, which is its help: a line that says what it does and
examples; ``add_arguments(parser)``; and ``run(args)``, which returns an :class:`Output`.
"""

from dataclasses import dataclass, field
from typing import Any

__all__ = commands = [
    "prepare",
    "train",
    "evaluate",
    "recommend",
    "tune",
    "compare",
    "plot",
    "report",
    "info",
]


@dataclass(frozen=True)
class Output:
    """What a command found.

    Attributes:
        text: For the terminal.
        data: The same for ``--json``: plain values.
    """

    text: str
    data: dict[str, Any] = field(default_factory=dict)
