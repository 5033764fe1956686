"""The one exception for user errors, and how its messages show values."""

import reprlib
from datetime import date
from typing import Any

MAX_MESSAGE = 2500


class InputError(ValueError):
    """A file, option or value from outside that can't be used.

    The message is one line that says where, what was found and what was expected;
    command-line programs print it and exit with code 2. Of a message that the input made
    longer than 2,500 characters, the beginning and the end are kept.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        if len(text) > MAX_MESSAGE:
            text = f"{text[: MAX_MESSAGE // 2]} ... {text[-MAX_MESSAGE // 2 + 5 :]}"
        super().__init__(text)


class NotFinite(InputError):
    """Embeddings or scores with NaN or infinite entries, as after training that diverged."""


def reason(error: Exception) -> str:
    """The first line of what an exception says; its type if it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def shown(value: Any, width: int = 60) -> str:
    """How a message shows a value: on one line, of at most ``width`` characters.

    The cost doesn't depend on how long or how deeply nested the value is.
    """
    if isinstance(value, date):
        return value.isoformat()  # as YAML writes it
    short = reprlib.Repr()
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = 20
    short.maxstring = short.maxlong = short.maxother = width
    try:
        return brief(short.repr(value), width)
    except ValueError:  # of thousands of digits, which Python doesn't write out
        return "an integer of thousands of digits"


def brief(text: object, width: int = 60) -> str:
    """A text, e.g. a key, as :func:`shown` does it, but without quotes."""
    line = " ".join(str(text)[: 2 * width].split())
    return line if len(line) <= width else line[: width - 3] + "..."
