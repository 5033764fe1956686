"""Times of interactions, exact to the last digit."""

import re
from array import array
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.errors import InputError, shown

LIMIT = 2**63
"""No digits, and no sum of seconds, may be as large as this."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""What :obj:`float` reads, but no ``nan``, ``1_0``, or digits of other scripts."""

DATE = re.compile(
    r"(\d{4})([-/.])(\d\d?)\2(\d\d?)"
    r"(?:[T ]\s*(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)?"
    r"\s*(Z|UTC|GMT|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
"""Year, separator, month, day; hour, minute, second, fraction; zone, its sign, hours, minutes."""

COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)", re.ASCII | re.IGNORECASE)
AMBIGUOUS = re.compile(r"\d\d?([-/.])\d\d?\1\d{2,4}\b.*", re.ASCII)
"""Such as 01/02/2023, which some read as January and others as February."""

EPOCH = date(1970, 1, 1).toordinal()
EXPECTED = "a finite number, or a date such as 2023-05-23 or 2023-05-23T21:28:00Z"


class Time(NamedTuple):
    r"""A time, :math:`digits / 10^{decimals}`, and what it was written as."""

    digits: int
    decimals: int = 0
    kind: str = "a number"


def as_time(value: Any) -> Time:
    """A number, of whatever unit the file has, or a date, as seconds since 1970 in UTC.

    Dates are those of ISO 8601, with or without a time of day, its fraction and its zone;
    without a zone, they are taken for UTC. Other orders of day, month and year aren't certain.

    Raises:
        BadValue: If it is neither.
    """
    if type(value) is int:
        return _time(value, 0, value)
    text = repr(value) if isinstance(value, float) else value
    if not isinstance(text, str) or len(text) > 100:
        raise _no_time(value)
    if len(text) < 19 and text.isascii() and text.isdecimal():  # as most are
        return Time(int(text))
    text = text.strip()
    if NUMBER.fullmatch(text):
        return _time(*_digits(text), value)
    match = DATE.fullmatch(COMPACT.sub(r"\1-\2-\3T\4:\5:\6", text, count=1))
    if match:
        return _date(match, value)
    if AMBIGUOUS.fullmatch(text):
        found = f"has time {shown(value)}, whose order of day and month isn't certain"
        raise BadValue("date of uncertain order", found, "a date such as 2023-05-23")
    raise _no_time(value)


def _no_time(value: Any) -> BadValue:
    return BadValue("time isn't a number or date", f"has time {shown(value)}", EXPECTED)


def _digits(text: str) -> tuple[int, int]:
    """All digits of a number, and how many of them are decimals, without needless zeros."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    digits, decimals = int(whole + fraction or "0"), len(fraction) - int(exponent or 0)
    if decimals < 0:
        return digits * 10**-decimals, 0
    while decimals and digits % 10 == 0:
        digits, decimals = digits // 10, decimals - 1
    return digits, decimals


def _date(match: re.Match[str], value: Any) -> Time:
    year, _, month, day, *clock, fraction, zone, sign, zone_hours, zone_minutes = match.groups()
    hour, minute, second = (int(part or 0) for part in clock)
    fraction = (fraction or "").rstrip("0")
    offset = 60 * int(zone_hours or 0) + int(zone_minutes or 0)
    try:
        days = date(int(year), int(month), int(day)).toordinal() - EPOCH
    except ValueError:
        raise _no_time(value) from None
    if hour > 23 or minute > 59 or second > 59 or offset > 24 * 60:
        raise _no_time(value)
    minutes = 60 * hour + minute - (-offset if sign == "-" else offset)
    seconds = 60 * (24 * 60 * days + minutes) + second
    digits = seconds * 10 ** len(fraction) + int(fraction or 0)
    kind = "a date with a zone" if zone else "a date"
    return _time(digits, len(fraction), value, kind)


def _time(digits: int, decimals: int, value: Any, kind: str = "a number") -> Time:
    if abs(digits) >= LIMIT:
        found = f"has time {shown(value)}"
        raise BadValue("time isn't in range", found, "at most 18 digits")
    return Time(digits, decimals, kind)


class TimeColumn:
    """Collects the times of a table, which must be of one kind."""

    def __init__(self) -> None:
        self.kind = ""
        self._digits, self._decimals = array("q"), array("h")

    def read(self, value: Any) -> Time:
        """A time of the same kind as the others before it.

        Raises:
            BadValue: If it is none, or of another kind.
        """
        time = as_time(value)
        self.kind = self.kind or time.kind
        if time.kind != self.kind:
            found = f"has time {shown(value)}, {time.kind}, after {self.kind}"
            raise BadValue("time of another kind", found, "times of one kind")
        return time

    def append(self, time: Time) -> None:
        self._digits.append(time.digits)
        self._decimals.append(time.decimals)

    def collect(self, where: str) -> tuple[np.ndarray, int]:
        r"""All times, and the number d of decimals: they are in units of :math:`10^{-d}`.

        Args:
            where: The file and column, for messages.

        Returns:
            Times [n], int64 where these suffice; else float64 of unit 1.

        Raises:
            InputError: If neither int64 nor float64 holds all of them exactly.
        """
        digits, decimals = np.array(self._digits, np.int64), np.array(self._decimals, np.int64)
        most = int(decimals.max(initial=0))
        factors = [10**power for power in range(most + 1)]
        missing = most - decimals
        largest = np.array([(LIMIT - 1) // factor for factor in factors], dtype=np.int64)
        if (abs(digits) <= largest[missing]).all():
            in_range = np.array([min(factor, LIMIT - 1) for factor in factors], dtype=np.int64)
            return digits * in_range[missing], most
        exact = [Decimal(n).scaleb(-d) for n, d in zip(digits.tolist(), decimals.tolist())]
        times = [float(time) for time in exact]
        for time, rounded in zip(exact, times):
            if Decimal(repr(rounded)) != time:
                raise InputError(
                    f"{where}: has times of {most} decimals, but also {time}; "
                    "expected at most 18 digits in all, from the largest to the smallest"
                )
        return np.array(times), 0


def time_texts(time: np.ndarray, decimals: int) -> list[Any]:
    """Times as they are written: all digits, and no needless zeros."""
    if not np.issubdtype(time.dtype, np.integer):
        whole = (time == np.floor(time)).all() and (abs(time) < 2**53).all()
        return (time.astype(np.int64) if whole else time).tolist()
    if not decimals:
        return time.tolist()
    return [f"{Decimal(digits).scaleb(-decimals).normalize():f}" for digits in time.tolist()]
