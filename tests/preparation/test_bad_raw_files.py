"""What raw files may have wrong: told with file and place, or left out and counted."""

import gzip
import json
import logging
import os

import numpy as np
import psutil
import pytest
from raw_files import ASINS, encode, image, lines, meta, record, review, reviews, write

from mentor_pyg import InputError
from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.datasets.problems import Problems
from mentor_pyg.preparation import (
    AmazonImages,
    ImageFolder,
    InteractionTable,
    ItemTexts,
    MMSSLFolder,
    PrepareSettings,
    ReadyFeatures,
    amazon_reviews,
    amazon_texts,
    contents,
    find_amazon,
    prepare,
)
from mentor_pyg.preparation.features import ItemRows, write_features

REVIEWS, META, IMAGES = "reviews_Toys_5.json.gz", "meta_Toys.json.gz", "image_features_Toys.b"
GOOD = [json.dumps(row) for row in reviews()]
ITEMS = [repr(item) for item in meta()]


def packed(*texts, at=1, among=GOOD):
    """Lines among which some are put, the first of them in line 2."""
    return lines([*among[:at], *texts, *among[at:]])


def with_(**changed):
    return json.dumps(review("U1", ASINS[0]) | changed)


def latin(name):
    return packed(with_(reviewerID="§")).encode().replace(b"\\u00a7", b"\xa7")


def images(*records):
    """Records of the items from the second on, after some others."""
    good = [record(asin, image(n)) for n, asin in enumerate(ASINS[2:], 2)]
    return b"".join([record(ASINS[1], image(1)), *records, *good])


def run_amazon(folder, out, on_error="fail"):
    files = find_amazon(folder)
    contents = [AmazonImages(files.images), amazon_texts(files.meta, encode)]
    settings = PrepareSettings(on_error=on_error)
    return prepare(amazon_reviews(files.reviews), contents, out, settings, progress=False)


NAN = image(0) * np.nan

ROWS = {
    "bad JSON": (REVIEWS, packed('{"asin": "B0'), "line 2 is '", "neither JSON nor a literal"),
    "a list": (REVIEWS, packed("[1, 2]"), "line 2 is [1, 2]", "not a dict"),
    "a call": (
        META,
        packed("{'asin': __import__('os').abort()}", among=ITEMS),
        "line 2 is ",
        "neither JSON nor a literal",
    ),
    "a set": (META, packed("{'asin', 'title'}", among=ITEMS), "line 2 is {", "not a dict"),
    "two of a key": (
        REVIEWS,
        packed(with_()[:-1] + ', "asin": "B"}'),
        "line 2 has 'asin' twice",
        "repeated key",
    ),
    "two of a key in a literal": (
        META,
        packed(f"{{'asin': '{ASINS[-1]}', 'asin': 'B'}}", among=ITEMS),
        "line 2 has 'asin' twice",
        "repeated key",
    ),
    "two of a key within": (
        META,
        packed(f"{{'asin': '{ASINS[-1]}', 'also': [('x', {{'b': 1, 'b': 2}})]}}", among=ITEMS),
        "line 2 has 'b' twice",
        "repeated key",
    ),
    "half a character": (REVIEWS, packed(with_(asin="B\ud800")), "id 'B\\ud800'", "unprintable"),
    "infinite id": (REVIEWS, packed(with_(asin=float("inf"))), "item id inf", "lost digits"),
    "digits without end": (
        REVIEWS,
        packed(with_(asin=0).replace('"asin": 0', '"asin": ' + "9" * 5000)),
        "line 2 is ",
        "neither JSON",
    ),
    "hexadecimal digits": (
        REVIEWS,
        packed("{'reviewerID': 'u', 'unixReviewTime': 1, 'asin': 0x" + "f" * 5000 + "}"),
        "line 2 has item id an integer of thousands of digits",
        "too long item id",
    ),
    "deeply nested": (META, packed("[" * 9999, among=ITEMS), "line 2", "neither JSON"),
    "an unhashable key": (META, packed("{[]: 1}", among=ITEMS), "line 2", "neither JSON"),
    "no user": (REVIEWS, packed('{"asin": "B"}'), "line 2 has no 'reviewerID'", "no 'reviewerID'"),
    "no item in meta": (META, packed("{'title': 'x'}", among=ITEMS), "has no 'asin'", "no 'asin'"),
    "empty id": (REVIEWS, packed(with_(asin=" ")), "line 2 has an empty item id", "empty item id"),
    "null id": (REVIEWS, packed(with_(reviewerID=None)), "an empty user id", "empty user id"),
    "list as id": (REVIEWS, packed(with_(asin=["B"])), "line 2 has item id ['B']", "wrong type"),
    "newline in id": (REVIEWS, packed(with_(asin="a\nb")), "item id 'a\\nb'", "unprintable"),
    "time": (REVIEWS, packed(with_(unixReviewTime="May")), "has time 'May'", "time isn't a"),
    "time null": (REVIEWS, packed(with_(unixReviewTime=None)), "has time None", "time isn't a"),
    "time NaN": (REVIEWS, packed(with_(unixReviewTime=float("nan"))), "time nan", "time isn't a"),
    "huge time": (REVIEWS, packed(with_(unixReviewTime=10**400)), "has time 1000", "time isn't"),
    "not UTF-8": (REVIEWS, latin("u"), "line 2 isn't UTF-8 at byte 17", "not UTF-8"),
    "repeated item": (META, packed(ITEMS[0], among=ITEMS), "line 2 repeats item", "repeated item"),
    "odd text": (
        META,
        packed(f"{{'asin': '{ASINS[-1]}', 'title': {{'a': 1}}}}", among=ITEMS),
        "line 2 has {'a': 1}",
        "not a text",
    ),
    "truncated record": (IMAGES, images()[:-5], "record 7 has 16389 bytes", "truncated record"),
    "no ASIN": (IMAGES, images(record("B\x00\x00 nonsen", image(0))), "record 2 has", "not an"),
    "NaN": (IMAGES, images(record(ASINS[0], NAN)), "record 2 has nan in column 0", "not finite"),
    "repeated record": (
        IMAGES,
        images(record(ASINS[1], image(5))),
        "record 2 rep",
        "repeated item",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_fails(amazon, tmp_path, case):
    name, content, found, _ = ROWS[case]
    path = write(amazon / name, content)
    with pytest.raises(InputError) as caught:
        run_amazon(amazon, tmp_path / "toys")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert "; expected " in message
    assert "\n" not in message
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_skipped_and_counted(amazon, tmp_path, case, caplog):
    caplog.set_level(logging.WARNING, "mentor_pyg")
    name, content, found, reason = ROWS[case]
    write(amazon / name, content)
    report = run_amazon(amazon, tmp_path / "toys", "skip")
    (counted,) = report.skipped
    assert reason in counted
    assert report.skipped[counted] == 1
    assert found in caplog.text
    assert report.pairs["train"] == 50
    images_left = 6 / 8 if case == "truncated record" else 7 / 8
    assert report.coverage == {"image": images_left, "text": 7 / 8}
    coverage = MMRecDataset(tmp_path / "toys").statistics().coverage
    assert coverage == {"visual": images_left, "textual": 7 / 8}


def cut(text):
    return gzip.compress(text.encode())[:-40]


FILES = {
    "truncated gzip": (REVIEWS, lambda path: path.write_bytes(cut(lines(GOOD))), "unpacked after"),
    "not gzip": (REVIEWS, lambda path: path.write_text(lines(GOOD)), "line 0 (Not a gzipped file"),
    "damaged gzip": (
        META,
        lambda path: path.write_bytes(gzip.compress(b"x" * 99)[:10] + b"\xff" * 50),
        "can't be unpacked",
    ),
    "wrong checksum": (
        REVIEWS,
        lambda path: path.write_bytes(gzip.compress(lines(GOOD).encode())[:-8] + bytes(8)),
        "can't be unpacked after line 70 (CRC check failed",
    ),
    "a bomb": (
        META,
        lambda path: path.write_bytes(gzip.compress(b"0" * 2**23)),
        "line 1 has more than 4194304 bytes; expected shorter lines",
    ),
    "packed twice": (
        META,
        lambda path: path.write_bytes(gzip.compress(path.read_bytes())),
        "is gzip; expected UTF-8",
    ),
    "UTF-16": (
        META,
        lambda path: path.write_bytes(gzip.compress(lines(ITEMS).encode("utf-16"))),
        "is UTF-16 or UTF-32; expected UTF-8",
    ),
    "empty": (REVIEWS, lambda path: write(path, ""), "is empty"),
    "empty without gzip": (META, lambda path: path.write_bytes(b""), "is empty"),
    "empty images": (IMAGES, lambda path: path.write_bytes(b""), "is empty"),
    "other images": (
        IMAGES,
        lambda path: path.write_bytes(record("B0000OTHER", image(0))),
        "has no image of any of the 8 items",
    ),
    "other items": (META, lambda path: write(path, ITEMS[-1]), "has no text of any of the 8"),
}


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_always_fails(amazon, tmp_path, case, on_error):
    name, spoil, found = FILES[case]
    spoil(amazon / name)
    with pytest.raises(InputError) as caught:
        run_amazon(amazon, tmp_path / "toys", on_error)
    assert str(caught.value).startswith(f"{amazon / name}: ")
    assert found in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_members_of_a_gzip_file_are_read_one_after_another(amazon, tmp_path):
    halves = [gzip.compress(lines(half).encode()) for half in (GOOD[:30], GOOD[30:])]
    (amazon / REVIEWS).write_bytes(b"".join(halves))
    assert run_amazon(amazon, tmp_path / "toys").pairs["train"] == 50


def test_descriptions_of_other_items_are_not_parsed(amazon, tmp_path):
    write(amazon / META, packed("{'asin': 'B0000OTHER', 'title': cut of", among=ITEMS))
    assert not run_amazon(amazon, tmp_path / "toys").skipped


def test_nothing_of_a_line_is_run(amazon, tmp_path):
    trap = tmp_path / "trap"
    call = f"{{'asin': __import__('pathlib').Path({str(trap)!r}).touch()}}"
    write(amazon / META, packed(call, among=ITEMS))
    run_amazon(amazon, tmp_path / "toys", "skip")
    assert not trap.exists()


# Tables #################################################################

TABLE = [f"u{u},i{i},{u + i},4" for u in range(5) for i in range(5)]


def table_of(tmp_path, *rows, header="user,item,time,stars", name="log.csv"):
    return write(tmp_path / "raw" / name, lines([header, *rows, *TABLE]))


def run_table(path, out, contents=(), on_error="fail", **columns):
    columns = {"time": "time", "rating": "stars", "min_rating": 1.0} | columns
    settings = PrepareSettings(on_error=on_error)
    table = InteractionTable([path], "user", "item", **columns)
    return prepare(table, contents, out, settings, progress=False)


BAD_ROWS = {
    "columns": ("u,i,1", "line 2 has 3 columns; expected 4"),
    "blank id": (",i,1,4", "line 2 has an empty user id"),
    "time": ("u,i,soon,4", "line 2 has time 'soon'"),
    "rating": ("u,i,1,good", "line 2 has rating 'good'"),
    "negative rating": ("u,i,1,-1", "line 2 has rating '-1'; expected 0 or more"),
    "long field": ("u,i,1," + 200_000 * "x", "line 2 has a field of 200000 characters"),
    "stray quote": ('u,i,1,"4', "line 2 has a stray quote (unexpected end of data)"),
    "quote within a quote": ('u,i,1,"4"5', "line 2 has a stray quote (',' expected"),
    "carriage return": ("u,i,1,4\ru,j,1,4", "line 2 has a carriage return in it"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_of_a_table(tmp_path, case):
    row, found = BAD_ROWS[case]
    path = table_of(tmp_path, row)
    with pytest.raises(InputError) as caught:
        run_table(path, tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: ")
    assert found in str(caught.value)
    report = run_table(path, tmp_path / "out", on_error="skip")
    assert sum(report.skipped.values()) == 1
    assert sum(report.pairs.values()) == 25


def write_parquet(path):
    table = pytest.importorskip("pyarrow").table({"user": ["u", ""], "item": ["i", "i"]})
    pytest.importorskip("pyarrow.parquet").write_table(table, path)
    return path


@pytest.mark.parametrize(
    "path_of",
    [
        lambda folder: write(folder / "log.csv", lines(["user,item", "u,i", ",i"])),
        lambda folder: write(folder / "log.csv.gz", lines(["user,item", "u,i", ",i"])),
        lambda folder: write(folder / "log.jsonl", lines(['{"user": 1, "item": 1}', "{}"])),
        lambda folder: write_parquet(folder / "log.parquet"),
    ],
)
def test_tables_are_closed_while_the_error_lives(tmp_path, path_of):
    path = path_of(tmp_path)
    with pytest.raises(InputError, match=r"(line|row) ") as caught:
        run_table(path, tmp_path / "out", time=None, rating=None, min_rating=None)
    assert str(path) not in [file.path for file in psutil.Process().open_files()]
    del caught


def test_texts_are_closed_when_encoding_fails(tmp_path, monkeypatch):
    def fail(texts, progress):
        raise InputError("no model")

    monkeypatch.setattr(contents, "ENCODED_AT_ONCE", 2)
    path = write(tmp_path / "items.csv", lines(["item,title", *(f"{n},a" for n in range(9))]))
    row_of = {str(n): n for n in range(9)}
    items = ItemRows(row_of, frozenset(row_of), Problems())
    with pytest.raises(InputError, match="no model") as caught:
        write_features(tmp_path, ItemTexts([path], "item", ["title"], fail), items, progress=False)
    assert str(path) not in [file.path for file in psutil.Process().open_files()]
    del caught


@pytest.mark.parametrize("shape", [(2, 0), (3, 4), (2,)])
def test_encoders_give_a_row_for_each_text(tmp_path, shape):
    path = write(tmp_path / "items.csv", lines(["item,title", "0,a", "1,b"]))
    items = ItemRows({"0": 0, "1": 1}, frozenset("01"), Problems())
    content = ItemTexts([path], "item", ["title"], lambda texts, progress: np.ones(shape))
    with pytest.raises(
        InputError, match=r"items.csv: line 2: .* as \[.*\]; expected features \[2, features"
    ):
        write_features(tmp_path, content, items, progress=False)


def test_the_line_is_right_after_skipped_ones(tmp_path):
    path = table_of(tmp_path, "u,i,1,4", "", "u,i,1")
    with pytest.raises(InputError, match="line 4 has 3 columns"):
        run_table(path, tmp_path / "out")


def test_stray_quotes_swallow_no_rows(tmp_path):
    """Two of them, in a column that isn't read, enclose 5 rows: they would be one field."""
    rows = [f"{row},toy" for row in TABLE]
    rows[5], rows[10] = f'{TABLE[5]},"5 inch', f'{TABLE[10]},of 19"'
    path = write(tmp_path / "log.csv", lines(["user,item,time,stars,title", *rows]))
    with pytest.raises(InputError, match="line 7 has a stray quote"):
        run_table(path, tmp_path / "out")
    table = InteractionTable([path], "user", "item")
    assert len(table.read(Problems("skip"), progress=False)) == 24
    path = write(tmp_path / "log.tsv", path.read_text().replace(",", "\t"))
    assert sum(run_table(path, tmp_path / "out").pairs.values()) == 25


def test_a_quoted_table(tmp_path):
    quoted = [",".join(f'"{field}"' for field in row.split(",")) for row in TABLE]
    path = write(tmp_path / "log.csv", lines(['"user","item","time","stars"', *quoted]))
    assert sum(run_table(path, tmp_path / "out").pairs.values()) == 25


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x" * 200_000, "line 1 has a field of 200000 characters; expected a header"),
        ("user,item,time,stars\ru,i,1,4\r", "line 1 has a carriage return in it; expected"),
        ('user,item,time,"stars\nu,i,1,4\n', "line 1 has a stray quote"),
    ],
    ids=["no line", "old Mac", "quote"],
)
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_first_lines_that_are_no_header(tmp_path, text, found, on_error):
    path = write(tmp_path / "log.csv", text)
    with pytest.raises(InputError) as caught:
        run_table(path, tmp_path / "out", on_error=on_error)
    assert str(caught.value).startswith(f"{path}: {found}")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("user,sku,time,stars", "column 'item' is not among user, sku, time, stars"),
        ("user,item,item,stars", "column 'item' is repeated"),
        ("user;item;time;stars", "line 1 has neither tab nor comma"),
    ],
)
def test_bad_headers(tmp_path, header, found):
    with pytest.raises(InputError, match=found):
        run_table(table_of(tmp_path, header=header), tmp_path / "out", on_error="skip")


def test_no_interaction_is_left(tmp_path):
    path = write(tmp_path / "log.csv", lines(["user,item,time,stars", *TABLE[:9]]))
    with pytest.raises(InputError, match="none of 9 interactions is left by k = 5"):
        run_table(path, tmp_path / "out")
    write(path, "user,item,time,stars\n")
    with pytest.raises(InputError, match="none of 0 interactions"):
        run_table(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lines(["user,item,time,stars", *TABLE]).encode("utf-16"), "is UTF-16 or UTF-32"),
        (lines(["user,item,time,stars", *TABLE]).encode("utf-16-le"), "column 'user' is not among"),
        (
            gzip.compress(b"user,item", mtime=0),
            "is gzip; expected UTF-8, or a name that ends in .gz",
        ),
        (b"PK\x03\x04", "is a ZIP archive or a spreadsheet"),
        (b"caf\xe9,item\nuser,item,time,stars\nu,i,1,4\n", "line 1 isn't UTF-8 at byte 4"),
        (b"\n\xff\nuser,item,time,stars\nu,i,1,4\n", "line 2 isn't UTF-8 at byte 1"),
        (b" \n\n", "has only blank lines"),
    ],
)
def test_files_that_are_no_table_fail_even_if_rows_may_be_skipped(tmp_path, content, found):
    path = write(tmp_path / "log.csv", content)
    with pytest.raises(InputError) as caught:
        run_table(path, tmp_path / "out", on_error="skip")
    assert str(caught.value).startswith(f"{path}: {found}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet", "log.csv.gz"])
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, kind, name):
    path = tmp_path / name
    {
        "a pipe": lambda: os.mkfifo(path),
        "a device": lambda: path.symlink_to("/dev/zero"),
        "a folder": path.mkdir,
    }[kind]()
    with pytest.raises(InputError, match=f"{name}: is {kind}; expected"):
        run_table(path, tmp_path / "out")


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    path = table_of(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read all
    with pytest.raises(InputError, match=r"log.csv: can't be read \(Permission denied\); expected"):
        run_table(path, tmp_path / "out")


def test_names_that_no_file_can_have(tmp_path):
    with pytest.raises(InputError, match=r"xxx\.\.\.: can't be read \(File name too long\); exp"):
        run_table(tmp_path / f"{300 * 'x'}.csv", tmp_path / "out")


def test_memory_that_does_not_suffice(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError("Unable to allocate 9 TiB")

    path = table_of(tmp_path)
    monkeypatch.setattr(InteractionTable, "read", fail)
    with pytest.raises(InputError, match=r"more memory than there is \(Unable to allocate 9 TiB"):
        run_table(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def features(tmp_path, x, ids):
    np.save(tmp_path / "x.npy", x)
    ids = write(tmp_path / "ids.txt", lines(ids))
    return ReadyFeatures(tmp_path / "x.npy", "audio", ids)


IDS = [f"i{n}" for n in range(5)]
X = np.arange(10.0).reshape(5, 2)


@pytest.mark.parametrize(
    ("x", "ids", "found"),
    [
        (X, [*IDS[:4], "j"], "ids.txt: line 5 has item 'j'; expected an item of the interact"),
        (X, [*IDS[:4], "i0"], "ids.txt: line 5 repeats item 'i0'"),
        (np.where(X == 7, np.nan, X), IDS, "x.npy: row 3 has nan in column 1"),
        (np.where(X == 7, np.inf, X), IDS, "x.npy: row 3 has inf in column 1"),
        (np.where(X == 7, 1e300, X), IDS, "x.npy: row 3 has inf in column 1"),
    ],
)
def test_bad_rows_of_features(tmp_path, x, ids, found):
    path = table_of(tmp_path)
    with pytest.raises(InputError) as caught:
        run_table(path, tmp_path / "out", [features(tmp_path, x, ids)])
    assert found in str(caught.value)
    report = run_table(path, tmp_path / "out", [features(tmp_path, x, ids)], "skip")
    assert report.coverage == {"audio": 4 / 5}
    assert sum(report.skipped.values()) == 1


@pytest.mark.parametrize(
    ("x", "ids", "found"),
    [
        (X, IDS[:4], "has 4 ids; expected 5"),
        (X[0], IDS, "is float64, \\[2\\]; expected floats"),
        (X.astype(int), IDS, "is int64"),
        (X.astype(object), IDS, "can't be read"),
    ],
)
def test_bad_files_of_features(tmp_path, x, ids, found):
    with pytest.raises(InputError, match=found):
        run_table(table_of(tmp_path), tmp_path / "out", [features(tmp_path, x, ids)], "skip")


def test_items_of_the_log_outside_of_the_core_are_no_mistake(tmp_path):
    path = table_of(tmp_path, "u0,rare,1,4")
    report = run_table(path, tmp_path / "out", [features(tmp_path, X, [*IDS[:4], "rare"])])
    assert report.coverage == {"audio": 4 / 5}


def test_the_same_image_twice(tmp_path):
    for name in ("i0.png", "i0.jpg"):
        write(tmp_path / "photos" / name, "x")
    with pytest.raises(InputError, match=r"i0.png repeats item 'i0'"):
        run_table(table_of(tmp_path), tmp_path / "o", [ImageFolder(tmp_path / "photos", encode)])


def test_mistakes_that_are_told_before_reading(tmp_path):
    path = table_of(tmp_path)
    missing = ItemTexts([tmp_path / "items.csv"], "item", ["name"], encode)
    with pytest.raises(FileNotFoundError, match=r"items.csv: not found; expected"):
        run_table(path, tmp_path / "out", [missing])
    audio = features(tmp_path, X, IDS)
    with pytest.raises(FileNotFoundError, match="photos: not found; expected a folder"):
        ImageFolder(tmp_path / "photos")
    with pytest.raises(InputError, match="both of modality 'acoustic'"):
        run_table(path, tmp_path / "out", [audio, audio])
    with pytest.raises(InputError, match=r"x.npy: is called '../x'; expected letters"):
        run_table(path, tmp_path / "out", [ReadyFeatures(audio.path, "../x", audio.id_file)])
    for stem in ("a.b", "training", "keys"):
        with pytest.raises(InputError, match=f"x.npy: is of modality '{stem}', which PyTorch"):
            run_table(path, tmp_path / "out", [ReadyFeatures(audio.path, stem, audio.id_file)])
    with pytest.raises(InputError, match=r"holds log.csv, which is read"):
        run_table(path, path.parent)
    with pytest.raises(InputError, match="no column of ratings"):
        run_table(path, tmp_path / "out", rating=None)
    for number in ("nan", "inf", "-inf"):
        with pytest.raises(InputError, match=f"min_rating: is {number}; expected a finite number"):
            run_table(path, tmp_path / "out", min_rating=float(number))
    with pytest.raises(InputError, match="users and items are both in 'user'; expected two"):
        InteractionTable([path], "user", "user")
    with pytest.raises(InputError, match="duplicates: is 'last'"):
        PrepareSettings(duplicates="last")
    with pytest.raises(InputError, match=r"k_core: is 10+; expected at least 0"):
        PrepareSettings(k_core=10**30)
    with pytest.raises(InputError, match="k_core: is -1; expected at least 0"):
        PrepareSettings(k_core=-1)
    with pytest.raises(InputError, match=r"raw: is a folder; expected a file"):
        run_table(path, tmp_path / "out", [ReadyFeatures(path.parent, "audio", audio.id_file)])
    with pytest.raises(InputError, match=r"log.csv: is a file; expected a folder of images"):
        ImageFolder(path)
    np.save(tmp_path / "x.npy", np.zeros((5, 0), np.float32))
    with pytest.raises(InputError, match=r"x.npy: is float32, \[5, 0\]; .* with a column or more"):
        run_table(path, tmp_path / "out", [audio])
    with pytest.raises(InputError, match="on_error: is 'ignore'"):
        run_table(path, tmp_path / "out", on_error="ignore")


# MMSSL ##################################################################

SPLITS = {"train": {"0": [0, 1], "1": [1]}, "val": {"0": [2]}, "test": {"1": [2]}}


def run_mmssl(folder, out, on_error="fail", **changed):
    for name, split in (SPLITS | changed).items():
        write(folder / f"{name}.json", split if isinstance(split, str) else json.dumps(split))
    source = MMSSLFolder(folder)
    settings = PrepareSettings(on_error=on_error)
    return prepare(source, source.contents(), out, settings, progress=False)


@pytest.mark.parametrize(
    ("split", "found"),
    [
        ({"x": [1], "1": [2]}, "user 'x' isn't a row"),
        ({"01": [1], "1": [2]}, "user '01' isn't a row"),
        ({"0": 3, "1": [2]}, "user '0' has 3; expected a list"),
        ({"1": [2, -1]}, "user '1' has item -1"),
        ({"1": [2, 10**30]}, "user '1' has item 1000"),
        ({"1": [2, True]}, "user '1' has item True"),
        ({"1": [2, "0"]}, "user '1' has item '0'"),
        ({"0": [1], "1": [2]}, "user 0, item 1 is in train.json too"),
    ],
)
def test_bad_rows_of_mmssl(tmp_path, split, found):
    with pytest.raises(InputError) as caught:
        run_mmssl(tmp_path / "raw", tmp_path / "out", test=split)
    assert f"test.json: {found}" in str(caught.value)
    report = run_mmssl(tmp_path / "raw", tmp_path / "out", "skip", test=split)
    assert sum(report.skipped.values()) == 1
    assert report.pairs == {"train": 3, "val": 1, "test": 1}


@pytest.mark.parametrize("name", ["train", "val", "test"])
@pytest.mark.parametrize("content", [{}, {"0": []}, {"x": [0]}], ids=str)
def test_mmssl_without_pairs_of_a_split(tmp_path, name, content):
    """What is prepared can be loaded."""
    with pytest.raises(InputError, match=rf"{name}\.json: has no pairs that can be used; expected"):
        run_mmssl(tmp_path / "raw", tmp_path / "out", on_error="skip", **{name: content})
    assert not (tmp_path / "out").exists()


def test_mmssl_whose_split_lies_in_another_one(tmp_path):
    with pytest.raises(InputError, match=r"val\.json: has no pairs that can be used"):
        run_mmssl(tmp_path / "raw", tmp_path / "out", on_error="skip", val=SPLITS["train"])


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"val": "[1"}, "val.json: isn't JSON"),
        ({"val": "[1]"}, "val.json: is a list"),
        ({"val": {"0": [999_999]}}, "has item 999999, but only"),
        ({"val": '{"0": [2], "0": [1]}'}, "val.json: has '0' twice; expected each key once"),
        ({"val": '{"0": [' + "9" * 5000 + "]}"}, "val.json: isn't JSON"),
        ({"val": "[" * 100_000}, "val.json: isn't JSON"),
    ],
)
def test_bad_files_of_mmssl(tmp_path, changed, found):
    with pytest.raises(InputError, match=found):
        run_mmssl(tmp_path / "raw", tmp_path / "out", "skip", **changed)


def test_features_of_mmssl_that_do_not_fit(tmp_path):
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw/image_feat.npy", X[:2])
    with pytest.raises(InputError, match=r"image_feat.npy: has 2 rows; expected 3"):
        run_mmssl(tmp_path / "raw", tmp_path / "out")
