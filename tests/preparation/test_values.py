"""Ids are the same in CSV, JSON and Parquet."""

import json
import unicodedata

import pytest
from raw_files import lines, write

from mentor_pyg import InputError
from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.preparation import InteractionTable, prepare
from mentor_pyg.preparation.features import ItemRows
from mentor_pyg.preparation.values import MAX_ID, as_id, as_rating
from mentor_pyg.typing import USER


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (" a ", "a"),
        (12, "12"),
        (12.0, "12"),
        ("12.0", "12"),
        ("-3.0", "-3"),
        (-0.0, "0"),
        ("007", "007"),
        ("007.0", "007.0"),
        ("12.00", "12.00"),
        ("610.5", "610.5"),
        (610.5, "610.5"),
        ("12e5", "12e5"),
        (10**20, str(10**20)),
        (b"caf\xc3\xa9", "café"),
        *(
            (text, text)
            for text in ("👩\u200d💻", "می\u200cخواهم", "A\u00a0B", "全\u3000角", "\U0001fae9")
        ),
    ],
)
def test_ids(value, label):
    assert as_id(value, "user") == label


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *((value, "empty user id") for value in (None, "", " \t", float("nan"))),
        *((value, "user id of a wrong type") for value in (True, [1], {"a": 1}, 1j)),
        *((f"a{c}b", "unprintable user id") for c in "\n\r\0\x1b\x85\u2028\u2029\ud800"),
        ("\ufeffa", "unprintable user id"),
        *((value, "user id that lost digits") for value in (1e16, "1e+16", 2.0**53, float("inf"))),
        ("9007199254740992.0", "user id that lost digits"),
        (b"\xff", "user id isn't UTF-8"),
        ("x" * (MAX_ID + 1), "too long user id"),
        (16**5000, "too long user id"),  # which Python doesn't turn into a text
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else type(value).__name__,
)
def test_what_is_no_id(value, reason):
    with pytest.raises(BadValue) as caught:
        as_id(value, "user")
    assert caught.value.reason == reason
    assert "\n" not in caught.value.found


@pytest.mark.parametrize("value", ["4,5", "1_0", "nan", None, True, [4], 10**400, "１"])
def test_what_is_no_rating(value):
    with pytest.raises(BadValue, match="rating isn't a number"):
        as_rating(value)


QUOTES = 300 * '"'
IDS = ["👩\u200d💻", "می\u200cخواهم", "A\u00a0B", "全\u3000角", "\U0001fae9", "x" * MAX_ID, QUOTES]


@pytest.mark.parametrize("ending", ["CSV", "JSON", "tsv"])
def test_unusual_ids_in_files_with_any_ending(tmp_path, ending):
    rows = [(user, f"i{n}") for user in IDS for n in range(6)]
    if ending == "JSON":
        text = lines(json.dumps({"u": user, "i": item}) for user, item in rows)
    else:
        delimiter = "," if ending == "CSV" else "\t"
        quoted = {QUOTES: f'"{QUOTES * 2}"'}
        text = lines(f"{quoted.get(u, u)}{delimiter}{i}" for u, i in [("u", "i"), *rows])
    path = write(tmp_path / f"log.{ending}", text)
    prepare(InteractionTable([path], "u", "i"), [], tmp_path / "out", progress=False)
    assert sorted(MMRecDataset(tmp_path / "out")[0][USER].original_id) == sorted(IDS)


@pytest.mark.parametrize("form", ["{u},{i}.0", "{u}.0,{i}"])
def test_floats_of_columns_that_lack_some_are_integers(tmp_path, form):
    rows = [form.format(u=u, i=i) for u in range(6) for i in range(6)]
    path = write(tmp_path / "log.csv", lines(["u,i", *rows]))
    prepare(InteractionTable([path], "u", "i"), [], tmp_path / "out", progress=False)
    assert (tmp_path / "out/user_ids.txt").read_text().split() == list("012345")
    assert (tmp_path / "out/item_ids.txt").read_text().split() == list("012345")


def test_items_are_found_by_their_letters():
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    rows = ItemRows({nfc: 0, "cola": 1}, frozenset([nfc, "cola", "eau"]), Problems())
    assert rows.wants(nfd)
    assert not rows.wants("eau")
    assert rows.find("cafe") is None
    assert rows.take(nfd, "photo") == 0
    with pytest.raises(InputError, match="repeats item"):
        rows.take(nfc, "photo")
    both = ItemRows({nfc: 0, nfd: 1}, frozenset([nfc, nfd]), Problems())
    assert [both.take(item, "photo") for item in (nfd, nfc)] == [1, 0]
