"""The one exception for user errors, and how its messages show values."""

import reprlib
from datetime import date
from typing import Any


class InputError(ValueError):
    """A file, option or value from outside that can't be used.

    The message is one line that says where, what was found and what was expected;
    command-line programs print it and exit with code 2.
    """


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
        text = " ".join(short.repr(value).split())
    except ValueError:  # an integer of thousands of digits has no decimal form
        text = f"a number of type {type(value).__name__}"
    return text if len(text) <= width else text[: width - 3] + "..."
