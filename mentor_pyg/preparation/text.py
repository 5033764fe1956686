"""One clean text from the fields of an item."""

import html
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mentor_pyg.preparation.problems import BadValue, shorten

TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
"""A tag of HTML, but no inequality such as ``1 < 2``."""


def compose_text(values: Iterable[Any]) -> str:
    """Joins the fields of an item in their order.

    Nested lists, such as Amazon's categories, are flattened and name everything once. HTML
    tags and entities are resolved, and every run of blanks becomes one.

    Args:
        values: Texts, numbers, None or lists of these.

    Returns:
        The text; empty if nothing is left.

    Raises:
        BadValue: If a field is of another kind.
    """
    parts = (clean_text(part) for value in values for part in dict.fromkeys(_flatten(value)))
    return " ".join(part for part in parts if part)


def clean_text(text: str) -> str:
    """Text without HTML, control characters, broken characters and needless blanks."""
    text = TAG.sub(" ", html.unescape(text))
    text = text.encode("utf-8", "ignore").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _flatten(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _flatten(part)
    elif isinstance(value, int | float):
        if not math.isnan(value):
            yield str(value)
    elif value is not None:
        raise BadValue("not a text", f"has {shorten(value)}", "text, numbers or lists of them")
