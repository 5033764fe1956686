"""Texts from data, made harmless for terminals and spreadsheets."""

import logging
import re
from collections.abc import Sequence
from typing import Any

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # but tabs and line ends; C1 controls, too
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # which reorder what is around them
    "\u2028\u2029\ufeff\ud800-\udfff]"
)

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How cells begin that spreadsheets compute, also in full width."""


def printable(text: str) -> str:
    r"""A text for a terminal: control characters become escapes such as ``\x1b``.

    An id or a name from a file may hold any character; as they are, some would clear the
    screen, set its title or hide what comes before them.
    """
    return CONTROLS.sub(lambda found: ascii(found.group())[1:-1], text)


def without_formulas(row: Sequence[Any]) -> list[Any]:
    """A row of a CSV file in which no spreadsheet finds a formula.

    Texts that begin like one get an apostrophe before them, which spreadsheets take for the
    mark of a text; numbers stay as they are.
    """
    return [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in row]


class PrintableMessages(logging.Filter):
    """Passes messages of a log on by :func:`printable`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), ()
        return True
