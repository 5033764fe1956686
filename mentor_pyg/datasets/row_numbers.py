"""Tells row numbers from labels that only look like them."""

import numpy as np


def is_integer(text: str) -> bool:
    """Whether a text is an integer as Python writes it, blanks around it aside.

    ``01``, ``1_0`` and ``+1`` are labels, though :obj:`int` reads them; else several ids
    would become one.
    """
    try:
        return str(int(text)) == text.strip()
    except ValueError:
        return False


def as_integers(texts: np.ndarray) -> np.ndarray | None:
    """Texts [n] as int64, or None if one of them isn't an integer, see :func:`is_integer`.

    Raises:
        OverflowError: If one is too large.
    """
    try:
        numbers = texts.astype(np.int64)
    except ValueError:
        return None
    return numbers if (numbers.astype(texts.dtype) == np.char.strip(texts)).all() else None
