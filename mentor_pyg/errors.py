"""Exceptions for user errors, and the formatting of values in messages."""

import reprlib
from datetime import date
from typing import Any

MAX_MESSAGE = 2500


class InputError(ValueError):
    """Raised for a file, option or value from the user that cannot be used.

    The message is one line that says where, what was found and what was expected. Commands
    print it and exit with code 2. Messages of more than 2,500 characters are shortened in
    the middle.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        if len(text) > MAX_MESSAGE:
            text = f"{text[: MAX_MESSAGE // 2]} ... {text[-MAX_MESSAGE // 2 + 5 :]}"
        super().__init__(text)


class NotFinite(InputError):
    """Raised for NaN or infinite embeddings or scores, e.g. after diverged training."""


def reason(error: Exception) -> str:
    """First line of an exception's message, or its type if it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def shown(value: Any, width: int = 60) -> str:
    """Formats a value for a message, on one line of at most ``width`` characters.

    The cost does not depend on the value's length or depth.
    """
    if isinstance(value, date):
        return value.isoformat()  # as in YAML
    short = reprlib.Repr()
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = 20
    short.maxstring = short.maxlong = short.maxother = width
    try:
        return brief(short.repr(value), width)
    except ValueError:  # Python does not format thousands of digits
        return "an integer of thousands of digits"


def brief(text: object, width: int = 60) -> str:
    """Formats a text, e.g. a key, as :func:`shown` does, but without quotes."""
    line = " ".join(str(text)[: 2 * width].split())
    return line if len(line) <= width else line[: width - 3] + "..."
