"""Arguments of commands: ids that begin with a dash, and ids with commas."""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mentor_pyg.cli import expanded
from mentor_pyg.errors import InputError, shown


def identifier(text: str) -> str:
    """The type of options that take original ids, which may begin with a dash."""
    return text


COMMON: dict[str, dict[str, Any]] = {
    "--data": {"type": expanded, "help": "folder of the data, where it isn't at its old place"},
    "--device": {"default": "auto", "help": "auto, cpu or cuda"},
    "--set": {
        "action": "append",
        "default": [],
        "metavar": "KEY=VALUE",
        "help": "change a setting",
    },
    "runs": {"nargs": "+", "metavar": "RUN", "type": expanded, "help": "folders of trained runs"},
}
"""Arguments of several commands."""


def add_common(parser: argparse.ArgumentParser, *names: str) -> None:
    """Adds some of :data:`COMMON`."""
    for name in names:
        parser.add_argument(name, **COMMON[name])


class Parser(argparse.ArgumentParser):
    """A parser that takes an id for an id, whatever it begins with.

    ``--user -a1 -b2 --k 5`` is read as ``--user=-a1 --user=-b2 --k 5``: after an option of
    type :func:`identifier`, only another option of the parser ends the ids. An id that is
    named like an option is written ``--user=--k``.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        args = sys.argv[1:] if args is None else args
        return super().parse_known_args(list(self._joined(args)), namespace)

    def _joined(self, args: Sequence[str]) -> Iterator[str]:
        """The arguments, with every id joined to its option."""
        option, waits = "", False  # the option that takes ids now; whether it has none yet
        for text in args:
            name, is_joined, _ = text.partition("=")
            action = self._option_string_actions.get(name)
            if action is None and text != "--" and option:
                yield f"{option}={text}"
                option = option if self._option_string_actions[option].nargs else ""
                waits = False
                continue
            if waits:
                yield option  # without an id, which is an error
            option, waits = "", False
            if action is not None and action.type is identifier:
                option = name if action.nargs or not is_joined else ""
                waits = not is_joined
            if not waits:
                yield text
        if waits:
            yield option


def split_ids(option: str, text: str) -> list[str]:
    """The ids of an option like ``a,b``; ids with commas are in quotes: ``"a, b",c``.

    Raises:
        InputError: If a quote doesn't end.
    """
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise InputError(
            f'{option}: {shown(text)} can\'t be split ({error}); expected ids like a,"b, c"'
        ) from None
    return [label.strip() for label in row]
