import json
from functools import partial
from itertools import chain

import numpy as np
import pytest
from raw_files import ASINS, encode, image, lines, meta, review, reviews, write

from mentor_pyg import InputError
from mentor_pyg._util.formats import label
from mentor_pyg.datasets import MMRecDataset
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
    compose_text,
    find_amazon,
    prepare,
)
from mentor_pyg.preparation.folder import PREPARATION
from mentor_pyg.typing import INTERACTS, ITEM, USER

prepare = partial(prepare, progress=False)


def prepare_amazon(folder, out, settings=None, **kwargs):
    files = find_amazon(folder)
    contents = [AmazonImages(files.images), amazon_texts(files.meta, encode)]
    return prepare(amazon_reviews(files.reviews), contents, out, settings, **kwargs)


def named_pairs(data):
    """Pairs of each split by the original ids."""
    store = data[INTERACTS]
    splits = [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]
    users, items = data[USER].original_id, data[ITEM].original_id
    return [[(users[u], items[i]) for u, i in pairs.t().tolist()] for pairs in splits]


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Amazon #################################################################


def test_amazon_round_trip(amazon, tmp_path):
    out = tmp_path / "toys"
    settings = PrepareSettings(k_core=2, split="leave-last-out")
    report = prepare_amazon(amazon, out, settings)
    data = MMRecDataset(out)[0]
    train, val, test = named_pairs(data)
    raw = [(row["reviewerID"], row["asin"]) for row in reviews()]
    assert sorted(train + val + test) == sorted(raw)
    assert dict(test) == dict(raw)  # the last of each user
    assert data[USER].original_id == [f"U{u}" for u in range(10)]
    assert data[ITEM].original_id == ASINS

    x, mask = data[ITEM].x_visual.numpy(), data[ITEM].mask_visual.numpy()
    assert mask.tolist() == [False] + [True] * 7
    assert not x[0].any()
    for n in range(1, 8):
        assert (x[n] == image(n)).all()

    fields = ("title", "brand", "categories", "description")
    texts = [compose_text(item[field] for field in fields) for item in meta()[:-1]]
    assert texts[3] == "Toy 3 & box Acme Baby Toys Gifts No 3"
    assert (data[ITEM].x_textual.numpy()[:7] == encode(texts, progress=False)).all()
    assert data[ITEM].mask_textual.tolist() == [True] * 7 + [False]

    assert (report.users, report.items) == (10, 8)
    assert report.pairs == {"train": 50, "val": 10, "test": 10}
    assert report.dropped == {"repeated pair": 0, "outside of the k-core": 0}
    assert report.coverage == {"image": 7 / 8, "text": 7 / 8}
    assert report.widths == {"image": 4096, "text": 3}
    content = json.loads((out / "preparation.json").read_text())
    assert content == {**label(PREPARATION), **report.to_dict()}
    assert "image       4096-d features of 87.5% of the items" in str(report)


def test_the_table_has_times(amazon, tmp_path):
    prepare_amazon(amazon, tmp_path / "toys", name="t")
    header, first, *_ = (tmp_path / "toys/t.inter").read_text().splitlines()
    assert header == "userID\titemID\ttimestamp\tx_label"
    assert first.startswith("U0\tB000000000\t0\t")


def test_the_k_core_leaves_out_users_and_items(amazon, tmp_path):
    rare = [review("U99", asin) for asin in ASINS[:3]]
    rare += [review(f"U{u}", "B0000OTHER") for u in range(2)]
    write(amazon / "reviews_Toys_5.json.gz", lines(map(json.dumps, [*rare, *reviews()])))
    report = prepare_amazon(amazon, tmp_path / "toys")
    assert (report.users, report.items) == (10, 8)
    assert report.dropped["outside of the k-core"] == len(rare)
    data = MMRecDataset(tmp_path / "toys")[0][ITEM]
    assert data.original_id == ASINS
    assert (data.x_visual[3].numpy() == image(3)).all()


@pytest.mark.parametrize("kind", ["reviews_Toys.json", "ratings_Toys.csv"])
def test_other_forms_of_the_same_reviews(amazon, tmp_path, kind):
    prepare_amazon(amazon, tmp_path / "a" / "toys")
    (amazon / "reviews_Toys_5.json.gz").unlink()
    form = "{reviewerID},{asin},{overall},{unixReviewTime}" if "csv" in kind else "{0}"
    write(amazon / kind, lines(form.format(row, **row) for row in reviews()))
    prepare_amazon(amazon, tmp_path / "b" / "toys")
    assert files_in(tmp_path / "a" / "toys") == files_in(tmp_path / "b" / "toys")


def test_descriptions_as_json(amazon, tmp_path):
    prepare_amazon(amazon, tmp_path / "a" / "toys")
    write(amazon / "meta_Toys.json.gz", lines(map(json.dumps, meta())))
    prepare_amazon(amazon, tmp_path / "b" / "toys")
    assert files_in(tmp_path / "a" / "toys") == files_in(tmp_path / "b" / "toys")


def test_the_5_core_is_preferred_and_several_are_refused(amazon):
    write(amazon / "reviews_Toys.json.gz", "")
    assert [path.name for path in find_amazon(amazon).reviews] == ["reviews_Toys_5.json.gz"]
    write(amazon / "reviews_Baby_5.json.gz", "")
    with pytest.raises(InputError, match=r"reviews_Baby_5.json.gz, reviews_Toys_5.json.gz"):
        find_amazon(amazon)


def test_deterministic(amazon, tmp_path):
    for out in ("a", "b"):
        prepare_amazon(amazon, tmp_path / out / "toys")
    prepare_amazon(amazon, tmp_path / "c" / "toys", PrepareSettings(seed=1))
    a, b, c = (files_in(tmp_path / out / "toys") for out in "abc")
    assert a == b
    assert a["toys.inter"] != c["toys.inter"]


def test_pieces_of_any_size_give_the_same(amazon, tmp_path, monkeypatch):
    prepare_amazon(amazon, tmp_path / "a" / "toys")
    monkeypatch.setattr("mentor_pyg.preparation.amazon.RECORDS_AT_ONCE", 3)
    monkeypatch.setattr("mentor_pyg.preparation.contents.ENCODED_AT_ONCE", 2)
    prepare_amazon(amazon, tmp_path / "b" / "toys")
    assert files_in(tmp_path / "a" / "toys") == files_in(tmp_path / "b" / "toys")
    path = amazon / "image_features_Toys.b"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="record 8 has 16393 bytes"):
        prepare_amazon(amazon, tmp_path / "c")


# Tables #################################################################

ROWS = [(f"u{n % 6}", f"i{n // 6}", n % 7, n % 5 + 1) for n in range(36)]


def csv_text(delimiter=","):
    rows = [("user", "when", "sku", "stars"), *((u, t, i, r) for u, i, t, r in ROWS)]
    return lines(delimiter.join(map(str, row)) for row in rows)


def write_parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    columns = dict(zip(("user", "sku", "when", "stars"), zip(*ROWS)))
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow.parquet.write_table(pyarrow.table({k: list(v) for k, v in columns.items()}), path)
    return path


def json_text(form):
    names = ("user", "sku", "when", "stars")
    return lines(form(dict(zip(names, row))) for row in ROWS)


FORMS = {
    "log.csv": csv_text,
    "log.tsv": partial(csv_text, "\t"),
    "log.csv.gz": csv_text,
    "log.jsonl": partial(json_text, json.dumps),
    "log.json.gz": partial(json_text, repr),
}


@pytest.mark.parametrize("name", [*FORMS, "log.parquet"])
def test_every_form_of_a_table(tmp_path, name):
    path = tmp_path / "raw" / name
    write(path, FORMS[name]()) if name in FORMS else write_parquet(path)
    table = InteractionTable([path], "user", "sku", "when", "stars", min_rating=2)
    report = prepare(table, [], tmp_path / "shop", PrepareSettings(k_core=1))
    data = MMRecDataset(tmp_path / "shop")[0]
    expected = sorted((u, i) for u, i, _, stars in ROWS if stars >= 2)
    assert sorted(chain(*named_pairs(data))) == expected
    assert report.dropped["low rating"] == len(ROWS) - len(expected) > 0


@pytest.mark.parametrize(("keep", "time"), [("first", 3), ("latest", 8)])
def test_repeated_pairs(tmp_path, keep, time):
    rows = ["u,i,t", "a,x,5", "a,x,3", "a,x,8", *(f"a,i{n},{n}" for n in range(4))]
    path = write(tmp_path / "log.csv", lines(rows))
    settings = PrepareSettings(k_core=1, duplicates=keep)
    report = prepare(InteractionTable([path], "u", "i", "t"), [], tmp_path / "out", settings)
    assert report.dropped["repeated pair"] == 2
    assert sum(report.pairs.values()) == 5
    (row,) = [
        r for r in (tmp_path / "out/out.inter").read_text().splitlines() if r.startswith("a\tx")
    ]
    assert row.split("\t")[2] == str(time)


def test_ids_that_are_numbers_are_ordered_as_numbers(tmp_path):
    rows = [(u, i) for u in (10, 9, 100) for i in (3, 20, 1)]
    path = write(tmp_path / "log.csv", lines(["u,i", *(f"{u},{i}" for u, i in rows)]))
    prepare(InteractionTable([path], "u", "i"), [], tmp_path / "out", PrepareSettings(k_core=1))
    assert (tmp_path / "out/user_ids.txt").read_text().split() == ["9", "10", "100"]
    assert (tmp_path / "out/item_ids.txt").read_text().split() == ["1", "3", "20"]


def test_unusual_ids_survive(tmp_path):
    names = ['"quoted"', "a,b", " blanks ", "naïve", "x y", "'"]
    rows = [{"u": f"{user}", "i": name} for user in names for name in names]
    path = write(tmp_path / "log.jsonl", lines(map(json.dumps, rows)))
    prepare(InteractionTable([path], "u", "i"), [], tmp_path / "out")
    data = MMRecDataset(tmp_path / "out")[0]
    assert set(data[ITEM].original_id) == {name.strip() for name in names}
    assert len(list(chain(*named_pairs(data)))) == 36


def test_content_of_tables_folders_and_arrays(tmp_path, monkeypatch):
    path = write(tmp_path / "log.csv", csv_text())
    texts = write(tmp_path / "items.tsv", "sku\tname\tabout\ni1\tBall\tRound\ni2\t\t\nzz\tx\ty\n")
    for name in ("i0.png", "i3.JPG", "notes.txt", "zz.png"):
        write(tmp_path / "photos" / name, name)
    np.save(tmp_path / "sound.npy", np.arange(8, dtype=np.float16).reshape(4, 2))
    monkeypatch.setattr("mentor_pyg.preparation.contents.ROWS_AT_ONCE", 3)
    ids = write(tmp_path / "ids.txt", "i5\ni4\ni0\ni2\n")
    report = prepare(
        InteractionTable([path], "user", "sku"),
        [
            ItemTexts([texts], "sku", ["name", "about"], encode),
            ImageFolder(tmp_path / "photos", encode),
            ReadyFeatures(tmp_path / "sound.npy", "audio", ids),
        ],
        tmp_path / "shop",
    )
    data = MMRecDataset(tmp_path / "shop")[0][ITEM]
    assert data.original_id == [f"i{n}" for n in range(6)]
    assert data.mask_textual.tolist() == [False, True, False, False, False, False]
    assert (data.x_textual[1].numpy() == encode(["Ball Round"], progress=False)).all()
    assert data.mask_visual.tolist() == [True, False, False, True, False, False]
    assert np.load(tmp_path / "shop/audio_feat.npy", mmap_mode="r").dtype == np.float32
    paths = [tmp_path / "photos/i0.png", tmp_path / "photos/i3.JPG"]
    assert (data.x_visual[[0, 3]].numpy() == encode(paths, progress=False)).all()
    assert data.x_acoustic.tolist() == [[4, 5], [0, 0], [6, 7], [0, 0], [2, 3], [0, 1]]
    assert report.coverage == {"text": 1 / 6, "image": 2 / 6, "audio": 4 / 6}


# MMSSL ##################################################################


@pytest.fixture
def mmssl(tmp_path):
    folder = tmp_path / "raw"
    splits = {
        "train": {"0": [1, 2, 2], "1": [0], "2": []},
        "val": {"0": [3], "2": [1]},
        "test": {"1": [3]},
    }
    for name, split in splits.items():
        write(folder / f"{name}.json", json.dumps(split))
    np.save(folder / "image_feat.npy", np.arange(10.0).reshape(5, 2))
    np.save(folder / "audio_feat.npy", np.arange(5, dtype=np.float32).reshape(5, 1))
    return folder


def test_mmssl_keeps_splits_and_rows(mmssl, tmp_path):
    source = MMSSLFolder(mmssl)
    report = prepare(source, source.contents(), tmp_path / "tiktok")
    data = MMRecDataset(tmp_path / "tiktok")[0]
    train, val, test = named_pairs(data)
    assert sorted(train) == [("0", "1"), ("0", "2"), ("1", "0")]
    assert sorted(val) == [("0", "3"), ("2", "1")]
    assert test == [("1", "3")]
    assert data[USER].num_nodes == 3
    assert data[ITEM].num_nodes == 5  # the last is in the features alone
    assert data[ITEM].original_id == list("01234")
    assert (data[ITEM].x_visual.numpy() == np.arange(10).reshape(5, 2)).all()
    assert report.dropped == {"repeated pair": 1}
    assert report.coverage == {"audio": 1.0, "image": 1.0}
