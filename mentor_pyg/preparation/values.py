"""The values that tables must have: ids and ratings."""

import math
import re
from typing import Any

from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.errors import shown
from mentor_pyg.preparation.times import NUMBER

MAX_ID = 2**16
"""Characters of an id, so that the table that holds it can be read again."""

BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\ufeff")
"""What no line of a UTF-8 file can hold; a mark of byte order is taken off where it begins."""

FLOAT = re.compile(r"-?(0|[1-9]\d*)\.0|-?\d(\.\d+)?e[+]\d+", re.ASCII)
"""How floats that are whole numbers are written, by pandas and by Python."""

EXACT = 2**53
"""From here on, floats skip whole numbers."""


def as_id(value: Any, what: str) -> str:
    """An id as text without blanks around it.

    Whole numbers are ids too, and so are floats that are one, in a text too: ``12.0``, as
    pandas writes the integers of a column that lacks some, is ``12``.

    Raises:
        BadValue: If there is none, or it can't be a line of a file.
    """
    if value is None or value != value:
        value = ""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            found = f"has {what} id {shown(value)}"
            raise BadValue(f"{what} id isn't UTF-8", found, "UTF-8") from None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadValue(
            f"{what} id of a wrong type",
            f"has {what} id {shown(value)}",
            "text or a whole number",
        )
    if isinstance(value, int) and value.bit_length() > 1000:
        found = f"has {what} id {shown(value)}"
        raise BadValue(f"too long {what} id", found, "at most 300 digits")
    label = str(value).strip()
    if not label:
        raise BadValue(f"empty {what} id", f"has an empty {what} id", "an id")
    if len(label) > MAX_ID:
        found = f"has {what} id {shown(label)} of {len(label)} characters"
        raise BadValue(f"too long {what} id", found, f"at most {MAX_ID}")
    if BREAKS.search(label):
        found = f"has {what} id {shown(label)}"
        expected = "no control characters, line separators or halves of characters"
        raise BadValue(f"unprintable {what} id", found, expected)
    if FLOAT.fullmatch(label) or not isinstance(value, str | int):
        return _whole(label, what)
    return label


def _whole(label: str, what: str) -> str:
    """The whole number that a float is; other floats are kept as they are written."""
    number = float(label)
    if not abs(number) < EXACT:
        found = f"has {what} id {label}, a float that has lost digits"
        raise BadValue(f"{what} id that lost digits", found, "text or a whole number")
    return str(int(number)) if number.is_integer() else label


def as_rating(value: Any) -> float:
    """A rating of at least 0.

    Raises:
        BadValue: If it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_number |= isinstance(value, str) and NUMBER.fullmatch(value.strip()) is not None
    try:
        rating = float(value) if is_number else math.nan
    except OverflowError:
        rating = math.inf
    if not math.isfinite(rating):
        found = f"has rating {shown(value)}"
        raise BadValue("rating isn't a number", found, "a finite number")
    if rating < 0:
        raise BadValue("negative rating", f"has rating {shown(value)}", "0 or more")
    return rating
