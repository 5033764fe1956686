"""The commands of ``mentor-pyg``, two modules each.

``arguments/<command>.py`` has a docstring, which is its help: a line that says what it does
and examples; and ``add_arguments(parser)``. It imports nothing that takes time, so that help
and mistyped options are answered at once. ``<command>.py`` has ``run(args)``, which returns an
:class:`Output`.
"""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentor_pyg.errors import InputError, shown

commands = (
    *("prepare", "train", "evaluate", "recommend", "tune", "compare", "plot", "report", "info"),
)


@dataclass(frozen=True)
class Output:
    """What a command found.

    Attributes:
        text: For the terminal.
        data: The same for ``--json``: plain values.
    """

    text: str
    data: dict[str, Any] = field(default_factory=dict)


class OptionError(InputError, argparse.ArgumentTypeError):
    """An option that can't be used; argparse prints its message, too."""


def expanded(text: str) -> str:
    """The type of every option that may be a path: ``~`` is the home folder, as after
    ``--out=`` or in a file of variables, where the shell leaves it as it is.

    Raises:
        OptionError: If nobody knows where that is.
    """
    path = os.path.expanduser(text)
    if path == "~" or path.startswith("~/"):
        raise OptionError(
            f"{text}: there is no home folder; expected a path without ~, or $HOME to be set"
        )
    return path


def as_path(text: str) -> Path:
    """Likewise for options that are nothing but a path.

    Raises:
        OptionError: If it is an empty text, which an unset ``$VARIABLE`` becomes.
    """
    if not text:
        raise OptionError("is ''; expected a path")
    return Path(expanded(text))


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
        raise InputError(
            f"{option}: is {shown(text)}; expected whole numbers, e.g. 10,20"
        ) from None
