"""Handling of invalid rows."""

import logging
from collections import Counter
from dataclasses import dataclass, field

from mentor_pyg.choices import OnError
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked

logger = logging.getLogger("mentor_pyg")


class MissingColumn(InputError):
    """Raised if a table or record lacks a column, so that callers can explain the column."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


class BadValue(ValueError):
    """An invalid row: the reason to count it by, what was found and expected, and the missing
    column, if any."""

    def __init__(self, reason: str, found: str, expected: str, lacks: str | None = None) -> None:
        super().__init__(reason, found, expected)
        self.reason, self.found, self.expected, self.lacks = reason, found, expected, lacks


@checked
@dataclass
class Problems:
    """Raises an error for the first invalid row, or skips and counts invalid rows.

    Args:
        on_error: :obj:`"fail"` or :obj:`"skip"`.

    Attributes:
        skipped: Number of skipped rows by reason.
        examples: Location of the first one by reason.
    """

    on_error: OnError = "fail"
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, bad: BadValue) -> None:
        """Raises an :class:`InputError`, or skips the row."""
        if self.on_error == "fail":
            message = _line(where, bad)
            raise MissingColumn(message, bad.lacks) if bad.lacks else InputError(message) from None
        self.leave_out(where, bad)

    def leave_out(self, where: str, bad: BadValue) -> None:
        """Counts a skipped row, and logs the first for each reason."""
        if bad.reason not in self.examples:
            self.examples[bad.reason] = where
            logger.warning(f"skipped: {_line(where, bad)}")
        self.skipped[bad.reason] += 1


def _line(where: str, bad: BadValue) -> str:
    return " ".join(f"{where} {bad.found}; expected {bad.expected}".splitlines())
