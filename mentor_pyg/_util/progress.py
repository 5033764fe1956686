"""Progress bars, on stderr and on terminals alone."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(
    iterable: Iterable[Any] | None = None, description: str = "", show: bool = True, **kwargs: Any
) -> "tqdm[Any]":
    """A :class:`tqdm.tqdm` that vanishes when it is done.

    Args:
        iterable: What to go through.
        description: What is being done, in a word or two.
        show: Whether to draw at all; never if stderr isn't a terminal.
        **kwargs: Further arguments of :class:`tqdm.tqdm`.
    """
    return tqdm(iterable, desc=description, leave=False, disable=None if show else True, **kwargs)
