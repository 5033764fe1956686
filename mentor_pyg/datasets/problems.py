"""What happens to rows that can't be used."""

import logging
from collections import Counter
from dataclasses import dataclass, field

from mentor_pyg.choices import OnError
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked

logger = logging.getLogger("mentor_pyg")


class MissingColumn(InputError):
    """A table or a record of it lacks a column; whoever named the column may say how."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


class BadValue(ValueError):
    """A row that can't be used: a short reason to count it by, what it has, what was expected,
    and which column it lacks, if it lacks one."""

    def __init__(self, reason: str, found: str, expected: str, lacks: str | None = None) -> None:
        super().__init__(reason, found, expected)
        self.reason, self.found, self.expected, self.lacks = reason, found, expected, lacks


@checked
@dataclass
class Problems:
    """Fails at the first row that can't be used, or leaves such rows out and counts them.

    Args:
        on_error: :obj:`"fail"` or :obj:`"skip"`.

    Attributes:
        skipped: How many rows were left out, by reason.
        examples: Where the first of them is, by reason.
    """

    on_error: OnError = "fail"
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, bad: BadValue) -> None:
        """Raises an :class:`InputError`, or leaves the row out."""
        if self.on_error == "fail":
            message = _line(where, bad)
            raise MissingColumn(message, bad.lacks) if bad.lacks else InputError(message) from None
        self.leave_out(where, bad)

    def leave_out(self, where: str, bad: BadValue) -> None:
        """Counts the row and logs the first of a kind."""
        if bad.reason not in self.examples:
            self.examples[bad.reason] = where
            logger.warning(f"skipped: {_line(where, bad)}")
        self.skipped[bad.reason] += 1


def _line(where: str, bad: BadValue) -> str:
    return " ".join(f"{where} {bad.found}; expected {bad.expected}".splitlines())
