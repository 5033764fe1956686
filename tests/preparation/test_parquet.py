"""Parquet files of every usual type of column, and of those that can't be used."""

import sys
from decimal import Decimal

import pytest

from mentor_pyg import InputError
from mentor_pyg.datasets.problems import Problems
from mentor_pyg.preparation import InteractionTable, ItemTexts, prepare

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IDS = ["b", "a", "c"]
NUMBERS = [11, 7, 3]


def read(tmp_path, user=IDS, item=NUMBERS, time=None, on_error="fail"):
    columns = {"u": user, "i": item} | ({} if time is None else {"t": time})
    parquet.write_table(arrow.table(columns), tmp_path / "log.parquet")
    table = InteractionTable([tmp_path / "log.parquet"], "u", "i", time and "t")
    return table.read(Problems(on_error), progress=False)


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (arrow.array(IDS, arrow.large_string()), IDS),
        (arrow.array([b"b", b"a", b"caf\xc3\xa9"]), ["b", "a", "café"]),
        (arrow.array([b"b", b"a", b"c"], arrow.large_binary()), IDS),
        (arrow.array([b"b", b"a", b"c"], arrow.binary(1)), IDS),
        (arrow.array(IDS).dictionary_encode(), IDS),
        (arrow.array(NUMBERS).dictionary_encode(), ["11", "7", "3"]),
        (arrow.array(NUMBERS, arrow.uint64()), ["11", "7", "3"]),
        (arrow.array([11.0, 7.0, 3.0], arrow.float16()), ["11", "7", "3"]),
        (arrow.array([11.0, 7.0, 3.0]), ["11", "7", "3"]),
        (arrow.array([Decimal(n) for n in NUMBERS], arrow.decimal128(20, 2)), ["11", "7", "3"]),
        (arrow.array([Decimal("1.5"), Decimal("7.25"), Decimal(3)]), ["1.50", "7.25", "3"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, arrow.Array) else "",
)
def test_ids_of_every_type(tmp_path, column, ids):
    assert read(tmp_path, column).user_ids == ids


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamps_are_seconds_in_utc(tmp_path, unit, zone):
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    instants = [1609459200 * 10**digits + k for k in (2, 0, 1)]
    pairs = read(tmp_path, time=arrow.array(instants, arrow.timestamp(unit, zone)))
    assert pairs.time_decimals == digits
    assert pairs.time.tolist() == instants


@pytest.mark.parametrize(
    ("column", "times", "decimals"),
    [
        (arrow.array([2, 0, 1], arrow.date32()), [172800, 0, 86400], 0),
        (arrow.array([86400000, 0, 0], arrow.date64()), [86400, 0, 0], 0),
        (arrow.array([1.5, 2.0, 1.6e9]), [15, 20, 16 * 10**9], 1),
        (arrow.array([Decimal("1.25"), Decimal(2), Decimal(3)]), [125, 200, 300], 2),
        (arrow.array([2**62 + 1, 0, 1]), [2**62 + 1, 0, 1], 0),
        (arrow.array(["2023-05-23", "1970-01-01", "1970-01-02"]), [19500 * 86400, 0, 86400], 0),
    ],
    ids=lambda value: str(value.type) if isinstance(value, arrow.Array) else "",
)
def test_times_of_every_type(tmp_path, column, times, decimals):
    pairs = read(tmp_path, time=column)
    assert (pairs.time.tolist(), pairs.time_decimals) == (times, decimals)


def invalid_text():
    offsets, data = arrow.array([0, 1, 2, 3], arrow.int32()), arrow.py_buffer(b"b\xffc")
    return arrow.Array.from_buffers(arrow.string(), 3, [None, offsets.buffers()[1], data])


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"user": invalid_text()}, r"row 2 has user id b'\xff'; expected UTF-8"),
        ({"user": [b"b", b"\xff", b"c"]}, r"row 2 has user id b'\xff'; expected UTF-8"),
        ({"user": ["b", None, "c"]}, "row 2 has an empty user id"),
        ({"user": [1.0, float("nan"), 2.0]}, "row 2 has an empty user id"),
        ({"user": [True, False, True]}, "row 1 has user id True; expected text or a whole"),
        ({"user": [["b"], ["a"], ["c"]]}, "row 1 has user id ['b']"),
        ({"user": [{"x": 1}, {"x": 2}, None]}, "row 1 has user id {'x': 1}"),
        (
            {"time": arrow.array([0, 2**62, 0], arrow.timestamp("ms"))},
            "row 2 has time '<value out of range: 4611686018427387904>'",
        ),
        (
            {"time": arrow.array([0, -(2**62), 0], arrow.timestamp("us", "UTC"))},
            "row 2 has time '<value out of range: -4611686018427387904>Z'",
        ),
        ({"time": arrow.array([0, 2**30, 0], arrow.date32())}, "row 2 has time '<value out"),
        ({"time": arrow.array([1, 2, 3], arrow.duration("s"))}, "row 1 has time datetime"),
        ({"time": arrow.array([1, 2, 3], arrow.time32("s"))}, "row 1 has time datetime"),
        ({"time": [1.0, None, 2.0]}, "row 2 has time None"),
    ],
)
def test_bad_rows(tmp_path, columns, found):
    with pytest.raises(InputError) as caught:
        read(tmp_path, **columns)
    assert f"log.parquet: {found}" in str(caught.value)
    assert "; expected " in str(caught.value)


def test_values_that_have_no_counterpart_in_python(tmp_path):
    with pytest.raises(InputError, match=r"log.parquet: can't be read \(.*; expected a complete"):
        read(tmp_path, arrow.array([[1], [2], [3]], arrow.list_(arrow.timestamp("ns"))))


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "log.parquet").write_text("u,i\n")
    with pytest.raises(InputError, match="expected a complete Parquet file"):
        InteractionTable([tmp_path / "log.parquet"], "u", "i").read(Problems(), progress=False)


def test_lists_of_texts(tmp_path):
    columns = {"i": ["a", "b"], "words": [["x", "y"], None]}
    parquet.write_table(arrow.table(columns), tmp_path / "items.parquet")
    seen = []

    def encode(texts, *, progress):
        seen.extend(texts)
        raise InterruptedError

    contents = [ItemTexts([tmp_path / "items.parquet"], "i", ["words", "i"], encode)]
    (tmp_path / "log.csv").write_text(
        "u,i\n" + "".join(f"{u},{i}\n" for u in "uvwxyz" for i in "abcdef")
    )
    with pytest.raises(InterruptedError):
        prepare(
            InteractionTable([tmp_path / "log.csv"], "u", "i"),
            contents,
            tmp_path / "out",
            progress=False,
        )
    assert seen == ["x y a", "b"]


def test_without_pyarrow_nothing_is_read(tmp_path, monkeypatch):
    (tmp_path / "log.csv").write_text("not read")
    (tmp_path / "items.PQ").write_text("not read")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"expected `pip install 'mentor_pyg\[parquet\]'`"):
        prepare(
            InteractionTable([tmp_path / "log.csv"], "u", "i"),
            [ItemTexts([tmp_path / "items.PQ"], "i", ["words"])],
            tmp_path / "out",
            progress=False,
        )
