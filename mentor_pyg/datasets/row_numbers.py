"""Tells row numbers from labels that only look like them."""

from collections.abc import Iterable


def is_integer(text: str) -> bool:
    """Whether a text is an integer as Python writes it, blanks around it aside.

    ``01``, ``1_0`` and ``+1`` are labels, though :obj:`int` reads them; else several ids
    would become one.
    """
    try:
        return str(int(text)) == text.strip()
    except ValueError:
        return False


def as_integers(texts: Iterable[str]) -> list[int] | None:
    """Texts as integers of any size, or None if one of them is a label, see
    :func:`is_integer`; what the others are makes no difference."""
    texts = list(texts)
    return [int(text) for text in texts] if all(map(is_integer, texts)) else None
