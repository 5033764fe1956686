"""Distinction between row numbers and labels that look similar."""

from collections.abc import Iterable


def is_integer(text: str) -> bool:
    """Whether a string is an integer in Python's notation, apart from blanks around it.

    ``01``, ``1_0`` and ``+1`` are labels, though :obj:`int` accepts them; otherwise different
    IDs would become equal.
    """
    try:
        return str(int(text)) == text.strip()
    except ValueError:
        return False


def as_integers(texts: Iterable[str]) -> list[int] | None:
    """Converts strings to integers of any size; None if one is a label, see
    :func:`is_integer`."""
    texts = list(texts)
    return [int(text) for text in texts] if all(map(is_integer, texts)) else None
