from fractions import Fraction

import numpy as np
import pytest
from raw_files import lines, write

from mentor_pyg import InputError
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.preparation import InteractionTable, PrepareSettings, prepare
from mentor_pyg.preparation.times import TimeColumn, as_time, time_texts

MAY = 1684877280  # 2023-05-23 21:28 UTC


def exact(value):
    digits, decimals, _ = as_time(value)
    return Fraction(digits, 10**decimals)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1609459200123456789, 1609459200123456789),
        ("1609459200123456789", 1609459200123456789),
        ("12.0", 12),
        (12.0, 12),
        ("1.6e9", 1600000000),
        (1.6e9, 1600000000),
        ("-0.0", 0),
        (" 7 ", 7),
        ("1684877280.123456789", Fraction("1684877280.123456789")),
        (0.1, Fraction("0.1")),
        ("2023-05-23 21:28:00", MAY),
        ("2023-05-23T21:28Z", MAY),
        ("2023-05-23T21:28:00.000+00:00", MAY),
        ("2023-05-23 23:28:00 +0200", MAY),
        ("2023-05-23T16:58:00-04:30", MAY),
        ("2023-05-24T06+09", None),
        ("2023/05/23 21:28:00 UTC", MAY),
        ("20230523T212800Z", MAY),
        ("2023-05-23T21:28:00,123456789Z", Fraction("1684877280.123456789")),
        ("2023-05-23", 19500 * 86400),
        ("1969-12-31 23:59:59.5", Fraction(-1, 2)),
        ("0001-01-01", -62135596800),
        ("9999-12-31", 253402214400),
    ],
)
def test_times(value, seconds):
    if seconds is None:
        with pytest.raises(BadValue, match="isn't a number or date"):
            as_time(value)
    else:
        assert exact(value) == seconds


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("01/02/2023", "date of uncertain order"),
        ("23.05.2023 21:28", "date of uncertain order"),
        ("5-23-23", "date of uncertain order"),
        *((text, "time isn't a number or date") for text in ("May", "", "nan", "inf", "1_0", "１")),
        *((text, "time isn't a number or date") for text in ("2023-02-30", "2023-05-23 25:00")),
        *(
            (value, "time isn't a number or date")
            for value in (None, True, [1], b"1", float("nan"))
        ),
        *((value, "time isn't in range") for value in (2**63, 10**400, "1e999", 1e300, "9" * 20)),
        ("9" * 101, "time isn't a number or date"),
        ("2300-01-01T00:00:00.000000001", "time isn't in range"),
    ],
)
def test_what_is_no_time(value, reason):
    with pytest.raises(BadValue) as caught:
        as_time(value)
    assert caught.value.reason == reason
    assert "has time " in caught.value.found


def column(*values):
    times = TimeColumn()
    for value in values:
        times.append(times.read(value))
    return times.collect("log.csv: column 'time'")


@pytest.mark.parametrize(
    "values",
    [
        ["1609459200123456789", "-9223372036854775807", "0"],
        ["1684877280.123456789", "1684877280.5", "3"],
        ["0.00012345678901234567", "0.5", "123456.25"],  # floats, as no power of ten suffices
        [],
    ],
)
def test_what_is_written_is_what_was_read(values):
    time, decimals = column(*values)
    assert [Fraction(str(text)) for text in time_texts(time, decimals)] == [*map(Fraction, values)]
    assert np.argsort(time).tolist() == np.argsort([Fraction(v) for v in values]).tolist()


def test_digits_that_nothing_holds():
    with pytest.raises(InputError, match=r"log.csv: column 'time': has times of 20 decimals, but"):
        column("0.00012345678901234567", "1684877280.123456789")


@pytest.mark.parametrize(
    ("first", "second"),
    [("5", "2023-05-23"), ("2023-05-23", "1684877280"), ("2023-05-23", "2023-05-23T21:28Z")],
)
def test_times_of_several_kinds_cannot_be_compared(first, second):
    with pytest.raises(BadValue, match="time of another kind"):
        column(first, second)


def log(form):
    return [(f"u{k // 8}", f"i{k % 8}", form(k)) for k in reversed(range(80))]


@pytest.mark.parametrize(
    "form",
    [
        lambda k: 1609459200123456789 + 20 * k,
        lambda k: f"2023-05-23 21:28:00.{123456700 + k}",
        lambda k: f"16094592{k:02}.000000001",
    ],
    ids=["nanoseconds", "dates", "fractions"],
)
def test_the_last_is_the_last_to_the_nanosecond(tmp_path, form):
    path = write(tmp_path / "log.csv", lines(["u,i,t", *(f"{u},{i},{t}" for u, i, t in log(form))]))
    settings = PrepareSettings(k_core=0, split="leave-last-out")
    prepare(InteractionTable([path], "u", "i", "t"), [], tmp_path / "out", settings, progress=False)
    rows = [row.split() for row in (tmp_path / "out/out.inter").read_text().splitlines()[1:]]
    assert {user: item for user, item, _, label in rows if label == "2"} == {
        f"u{n}": "i7" for n in range(10)
    }
    read = {(user, item): exact(str(time)) for user, item, time in log(form)}
    assert {(user, item): Fraction(time) for user, item, time, _ in rows} == read


def test_a_date_among_numbers_is_a_row_that_cannot_be_used(tmp_path):
    path = write(tmp_path / "log.csv", "u,i,t\na,b,1\na,c,2023-05-23\na,d,2.5\n")
    table = InteractionTable([path], "u", "i", "t")
    with pytest.raises(InputError, match=r"log.csv: line 3 has time '2023-05-23', a date, after a"):
        table.read(Problems(), progress=False)
    pairs = table.read(Problems("skip"), progress=False)
    assert (pairs.time.tolist(), pairs.time_decimals) == ([10, 25], 1)
