"""Values of a plan's keys, checked; ``where`` is the file and the key, for messages."""

import json
import os
import re
from collections.abc import Iterable
from typing import Any

from mentor_pyg._util.files import MAX_SLUG
from mentor_pyg.errors import InputError, shown

RESULT_SUFFIXES = (".json", ".csv", ".md", ".tex", ".html", ".png")
"""What the results of a dataset end in, which lie beside its folder."""


def folders_by_name(where: str, value: Any) -> dict[str, str]:
    """Datasets; a name is part of the names of files."""
    if not value:
        raise InputError(f"{where}: there are none; expected folders by name")
    if not isinstance(value, dict) or not all(isinstance(f, str) and f for f in value.values()):
        raise InputError(f"{where} are {shown(value)}; expected folders by name")
    check_dataset_names(where, value)
    return {name: os.path.expanduser(folder) for name, folder in value.items()}


def check_dataset_names(where: str, names: Iterable[Any]) -> None:
    """Makes sure that each is the name of a file, and that no two would share one.

    Raises:
        InputError: If they can't be used.
    """
    taken: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.=+-]*", name, re.ASCII):
            raise InputError(
                f"{where}: name {shown(name)}; expected letters, digits and any of .=+-_"
            )
        if len(name) > MAX_SLUG:
            raise InputError(f"{where}: name {shown(name)}; expected at most {MAX_SLUG} characters")
        if name.lower().endswith(RESULT_SUFFIXES):
            raise InputError(
                f"{where}: name {shown(name)} ends like a file of results; expected another"
            )
        if name.lower() in taken:
            raise InputError(
                f"{where}: names {shown(taken[name.lower()])} and {shown(name)} are one on file "
                "systems that know no capitals; expected names that differ in more"
            )
        taken[name.lower()] = name


def texts(where: str, value: Any, example: str) -> tuple[str, ...]:
    """A list of texts; empty if there is none."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{where} is {shown(value)}; expected a list like [{example}]")
    return tuple(value)


def count(where: str, value: Any) -> int:
    """A number from 0; 0 if there is none."""
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise InputError(f"{where} is {shown(value)}; expected a whole number, 0 or more")
    return value


def optional_text(where: str, value: Any) -> str | None:
    """A text, if there is one."""
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where} is {shown(value)}; expected a name")
    return value


def sweep_values(where: str, value: Any) -> dict[str, list[Any]]:
    """Lists of values by setting; empty if there are none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where} is {shown(value)}; expected lists of values by setting")
    for key, values in value.items():
        if not isinstance(key, str):
            raise InputError(
                f"{where}: {shown(key)} is no setting; expected e.g. options.num_layers"
            )
        if not isinstance(values, list) or not values:
            raise InputError(f"{where}: {key} is {shown(values)}; expected a list of values")
        try:
            json.dumps(values, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(
                f"{where}: {key} is {shown(values)}; expected finite numbers and texts"
            ) from None
    return value
