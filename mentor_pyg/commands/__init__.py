"""The commands of ``mentor-pyg``, a module each.

A command's module has a docstring, which is its help: a line that says what it does and
examples; ``add_arguments(parser)``; and ``run(args)``, which returns an :class:`Output`.
"""

import argparse
from dataclasses import dataclass, field
from typing import Any

from mentor_pyg.errors import InputError

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


def check_not_empty(args: argparse.Namespace, *names: str) -> None:
    """Refuses options given as an empty text, which an unset ``$VARIABLE`` becomes.

    Raises:
        InputError: If one is.
    """
    for name in names:
        if getattr(args, name) == "":
            raise InputError(f"--{name}: is ''; expected a name, or no --{name} at all")


def integers(option: str, text: str) -> list[int]:
    """The numbers of an option like ``0,1,2``.

    Raises:
        InputError: If they aren't whole numbers.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"{option}: is '{text}'; expected whole numbers, e.g. 10,20") from None
