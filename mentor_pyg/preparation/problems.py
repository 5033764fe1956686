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
    """

    on_error: OnError = "fail"
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, where: str, bad: BadValue) -> None:
        """Raises an :class:`InputError`, or counts the row and logs the first of a kind."""
        message = " ".join(f"{where} {bad.found}; expected {bad.expected}".splitlines())
        if self.on_error == "fail":
            raise MissingColumn(message, bad.lacks) if bad.lacks else InputError(message) from None
        if not self.skipped[bad.reason]:
            logger.warning(f"skipped: {message}")
        self.skipped[bad.reason] += 1
