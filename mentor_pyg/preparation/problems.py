"""What happens to rows that can't be used, and the checks that find them."""

import logging
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mentor_pyg.errors import InputError

logger = logging.getLogger("mentor_pyg")

OnError = Literal["fail", "skip"]


class BadValue(ValueError):
    """A row that can't be used: a short reason to count it by, what it has, what was expected."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        super().__init__(reason, found, expected)
        self.reason, self.found, self.expected = reason, found, expected


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

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise InputError(f"on_error: is '{self.on_error}'; expected fail or skip")

    def add(self, where: str, bad: BadValue) -> None:
        """Raises an :class:`InputError`, or counts the row and logs the first of a kind."""
        message = f"{where} {bad.found}; expected {bad.expected}"
        if self.on_error == "fail":
            raise InputError(message) from None
        if not self.skipped[bad.reason]:
            logger.warning(f"skipped: {message}")
        self.skipped[bad.reason] += 1


def as_id(value: Any, what: str) -> str:
    """An id as text without blanks around it; whole numbers are ids too."""
    if type(value) is int:
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadValue(f"empty {what} id", f"has an empty {what} id", "an id")
    if not isinstance(value, str):
        raise BadValue(
            f"{what} id of a wrong type",
            f"has {what} id {shorten(value)}",
            "text or a whole number",
        )
    label = value.strip()
    if not label.isprintable():
        raise BadValue(
            f"unprintable {what} id", f"has {what} id {shorten(label)}", "printable characters"
        )
    return label


def as_time(value: Any) -> float:
    """A time in seconds, or whatever unit the file has."""
    return _as_number(value, "time")


def as_rating(value: Any) -> float:
    """A rating of at least 0."""
    rating = _as_number(value, "rating")
    if rating < 0:
        raise BadValue("negative rating", f"has rating {shorten(value)}", "0 or more")
    return rating


def _as_number(value: Any, what: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadValue(f"{what} isn't a number", f"has {what} {shorten(value)}", "a finite number")
    return number


def shorten(value: Any, width: int = 60) -> str:
    """How a value is shown in a message."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."
