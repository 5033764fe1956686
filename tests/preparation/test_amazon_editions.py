"""The editions of 2018 and 2023 give what that of 2014 gives."""

import json

import pytest
from raw_files import encode, lines, meta, reviews, write

from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.errors import InputError
from mentor_pyg.preparation import amazon_reviews, amazon_texts, find_amazon, prepare
from mentor_pyg.typing import INTERACTS, ITEM


def run(folder, out):
    found = find_amazon(folder)
    contents = [amazon_texts(found.meta, encode)] if found.meta else []
    prepare(amazon_reviews(found.reviews), contents, out, progress=False)
    return MMRecDataset(out)[0]


def write_2014(folder):
    write(folder / "reviews_Toys_5.json.gz", lines(map(json.dumps, reviews())))
    write(folder / "meta_Toys.json.gz", lines(map(repr, meta())))


def write_2018(folder, name="Toys_5"):
    write(folder / f"{name}.json.gz", lines(map(json.dumps, reviews())))
    rows = [{"category": row.pop("categories", []), **row} for row in meta()]
    write(folder / "meta_Toys.json.gz", lines(map(json.dumps, rows)))


def write_2023(folder):
    rows = [
        {
            "rating": row["overall"],
            "asin": "X" + row["asin"],
            "parent_asin": row["asin"],
            "user_id": row["reviewerID"],
            "timestamp": 1000 * row["unixReviewTime"],
        }
        for row in reviews()
    ]
    write(folder / "Toys.jsonl.gz", lines(map(json.dumps, rows)))
    rows = [
        {"parent_asin": row.pop("asin"), "store": row.pop("brand", None), "features": [], **row}
        for row in meta()
    ]
    write(folder / "meta_Toys.jsonl.gz", lines(map(json.dumps, rows)))


@pytest.mark.parametrize("write_edition", [write_2018, write_2023])
def test_editions_are_equal(tmp_path, write_edition):
    write_2014(tmp_path / "2014")
    write_edition(tmp_path / "other")
    first = run(tmp_path / "2014", tmp_path / "first")
    other = run(tmp_path / "other", tmp_path / "second")
    assert other[ITEM].original_id == first[ITEM].original_id
    assert (other[ITEM].x_textual == first[ITEM].x_textual).all()
    for key in ("edge_index", "val_edge_label_index", "test_edge_label_index"):
        assert (other[INTERACTS][key] == first[INTERACTS][key]).all()


def test_times_of_2023_are_milliseconds(tmp_path):
    write_2023(tmp_path / "raw")
    run(tmp_path / "raw", tmp_path / "out")
    table = (tmp_path / "out/out.inter").read_text().splitlines()
    times = [int(row.split("\t")[2]) for row in table if row.startswith("U1\t")]
    assert times == [86_400_000 * day for day in range(10, 17)]


def test_reviews_of_2018_outside_of_the_5_core(tmp_path):
    write_2018(tmp_path, "Toys")
    assert [path.name for path in find_amazon(tmp_path).reviews] == ["Toys.json.gz"]
    write_2018(tmp_path, "Toys_5")
    assert [path.name for path in find_amazon(tmp_path).reviews] == ["Toys_5.json.gz"]


def test_reviews_of_2023_alone(tmp_path):
    write_2023(tmp_path)
    (tmp_path / "meta_Toys.jsonl.gz").unlink()
    assert [path.name for path in find_amazon(tmp_path).reviews] == ["Toys.jsonl.gz"]


def test_two_categories(tmp_path):
    write_2023(tmp_path)
    write(tmp_path / "Games.jsonl", "")
    with pytest.raises(InputError, match=r"has Games.jsonl, Toys.jsonl.gz; expected one"):
        find_amazon(tmp_path)


def test_json_of_something_else(tmp_path):
    write(tmp_path / "settings.json", "{}")
    with pytest.raises(FileNotFoundError, match="has neither reviews"):
        find_amazon(tmp_path)


def test_a_record_of_2023_that_lacks_its_user(tmp_path):
    path = write(tmp_path / "Toys.jsonl", '[1]\n{"parent_asin": "B1", "timestamp": 1}\n')
    source = amazon_reviews([path])
    assert source.user == "user_id"
    with pytest.raises(InputError, match=r"Toys.jsonl: line 1 is \[1\]; expected a dict"):
        prepare(source, [], tmp_path / "out", progress=False)
