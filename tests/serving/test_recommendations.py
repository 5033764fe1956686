import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.serving import Recommendations


@pytest.fixture(params=["labels", "numbers"])
def lists(request):
    """Lists of two, no and one item."""
    queries, items = np.array([7, 1, 5]), np.array([30, 20, 30])
    if request.param == "labels":
        queries, items = np.array(["ünï", "b,c", "d"]), np.array(["x", 'y"', "x"])
    scores = np.array([1.5, 0.1, -2.25], dtype=np.float32)
    return Recommendations(queries, items, scores, np.array([0, 2, 2, 3]))


def test_rows_and_dict(lists):
    first, second, third = lists.queries.tolist()
    x, y, _ = lists.items.tolist()
    tenth = float(np.float32(0.1))
    assert lists.to_rows() == [(first, 1, x, 1.5), (first, 2, y, tenth), (third, 1, x, -2.25)]
    assert lists.to_dict() == {first: [(x, 1.5), (y, tenth)], second: [], third: [(x, -2.25)]}
    assert len(lists) == 3
    assert lists.to_records()[1] == {"user": second, "items": [], "scores": []}


def test_csv(lists, tmp_path):
    lists.save(tmp_path / "lists.csv")
    with open(tmp_path / "lists.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["user", "rank", "item", "score"]
    kind = type(lists.items.tolist()[0])
    assert [(kind(u), int(r), kind(i), float(s)) for u, r, i, s in rows] == lists.to_rows()


@pytest.mark.parametrize("safe", [False, True])
def test_csv_for_spreadsheets(tmp_path, safe):
    """On request no cell is a formula; else ids are those of the data."""
    formula = '=HYPERLINK("http://x")'
    lists = Recommendations(
        np.array(["-u"]), np.array([formula]), np.array([-1.5], np.float32), np.array([0, 1])
    )
    lists.save(tmp_path / "lists.csv", safe_csv=safe)
    with open(tmp_path / "lists.csv", encoding="utf-8", newline="") as file:
        (row,) = list(csv.reader(file))[1:]
    mark = "'" if safe else ""
    assert row == [f"{mark}-u", "1", f"{mark}{formula}", "-1.5"]


def test_json_lines(lists, tmp_path):
    lists.save(tmp_path / "lists.jsonl")
    lines = (tmp_path / "lists.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == lists.to_records()


def test_parquet(lists, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    lists.save(tmp_path / "lists.parquet")
    table = parquet.read_table(tmp_path / "lists.parquet").to_pydict()
    assert list(zip(*table.values())) == lists.to_rows()
    assert list(table) == ["user", "rank", "item", "score"]


@pytest.mark.parametrize("names", [[("shop", 1), 5], ["x", 5], [5, 2**70], [5, 7]])
def test_names_in_files_are_of_one_kind(lists, tmp_path, names):
    queries = np.fromiter(names, dtype=object, count=2)
    named = replace(lists, queries=queries, ptr=lists.ptr[[0, 1, -1]])
    written = names if names == [5, 7] else [str(name) for name in names]
    for suffix in (".csv", ".jsonl"):
        named.save(tmp_path / f"lists{suffix}")
    lines = (tmp_path / "lists.jsonl").read_text().splitlines()
    assert [json.loads(line)["user"] for line in lines] == written
    with open(tmp_path / "lists.csv", newline="") as file:
        found = list(dict.fromkeys(row["user"] for row in csv.DictReader(file)))
    assert found == [str(name) for name in names]
    parquet = pytest.importorskip("pyarrow.parquet")
    named.save(tmp_path / "lists.parquet")
    table = parquet.read_table(tmp_path / "lists.parquet")
    assert list(dict.fromkeys(table["user"].to_pylist())) == written


def test_table_for_the_terminal(lists):
    text = str(lists)
    for label in lists.queries.tolist():
        assert f"user {label}" in text
    assert "1.5000" in text
    assert "nothing left" in text


@pytest.mark.parametrize("name", ["lists.txt", "lists", "lists.csv.gz"])
def test_unknown_format(lists, tmp_path, name):
    with pytest.raises(InputError, match=r"expected one of \.csv, \.jsonl, \.parquet"):
        lists.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_package(lists, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pyarrow isn't installed; .*mentor_pyg\[parquet\]"):
        lists.save(tmp_path / "lists.parquet")
