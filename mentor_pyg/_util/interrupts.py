"""Signals that ask a program to end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def deferring(*signals: signal.Signals) -> Iterator[None]:
    """Lets signals wait until the end of a block, which should be a matter of moments."""
    waiting: list[int] = []
    with handling(lambda number, frame: waiting.append(number), *signals):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


@contextmanager
def handling(
    handler: Callable[[int, FrameType | None], None], *signals: signal.Signals
) -> Iterator[None]:
    """Handles signals within a block; in threads other than the main one, which never
    receive any, it does nothing."""
    before = {}
    with suppress(ValueError):
        before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
