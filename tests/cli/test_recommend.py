import csv
import json

import numpy as np
import pytest

from mentor_pyg._util.environment import choose_device
from mentor_pyg.cli.main import main
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train
from mentor_pyg.serving import Recommender


@pytest.fixture
def trained(toy_folder, tmp_path):
    config = load_config("paper", ["graph.k=5", "train.lr=1e-2"], epochs=1)
    train(config, open_source(toy_folder), tmp_path / "run", choose_device("cpu"), False)
    return tmp_path / "run"


@pytest.fixture
def run(trained, capsys, tmp_path, monkeypatch):
    """Runs the command in this process; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        capsys.readouterr()
        code = main(["recommend", str(trained), "--quiet", "--device", "cpu", *map(str, args)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def lists_of(run):
    """Runs the command with --json; the lists."""

    def lists_of(*args):
        code, out, err = run("--json", *args)
        assert (code, err) == (0, "")
        return json.loads(out)["lists"]

    return lists_of


@pytest.fixture
def rec(trained):
    return Recommender.load(trained, progress=False)


def test_users_by_name_by_file_and_all(lists_of, rec, tmp_path):
    everyone = rec.recommend(k=4).to_records()
    some = lists_of("--user", 7, 12, "--k", 4)
    assert [record["items"] for record in some] == [everyone[u]["items"] for u in (7, 12)]
    assert [record["user"] for record in some] == [7, 12]
    (tmp_path / "users.txt").write_text("7\n12\n")
    assert lists_of("--users", "users.txt", "--k", 4) == some
    assert lists_of("--all-users", "--k", 4) == everyone


def test_a_readable_table(run, rec):
    code, out, _ = run("--user", 7, "--k", 3)
    assert code == 0
    assert out.strip() == str(rec.recommend(7, k=3))
    assert len(out.splitlines()) == 4


def test_a_new_user_and_similar_items(lists_of, rec):
    new = lists_of("--items-of-new-user", "3, 5", "--k", 4)
    assert new == rec.recommend_new_users({"new user": [3, 5]}, 4).to_records()
    assert lists_of("--similar-to", 9, "--k", 4) == rec.similar_items(9, 4).to_records()


def test_labels_with_dashes_and_commas(toy_folder, tmp_path, monkeypatch, capsys):
    table = toy_folder / "toy.inter"
    header, *lines = table.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    table.write_text("\n".join([header, *(f"-u{u}\t-i, {i}\t{x}" for u, i, x in rows)]) + "\n")
    for node, text in (("user", "-u"), ("item", "-i, ")):
        ids = "".join(f"{text}{row}\n" for row in range(60 if node == "user" else 40))
        (toy_folder / f"{node}_ids.txt").write_text(ids)
    config = load_config("lightgcn", epochs=1)
    train(config, open_source(toy_folder), tmp_path / "run", choose_device("cpu"), False)

    def run(*args):
        code = main(["recommend", str(tmp_path / "run"), "--quiet", "--json", *args])
        out, err = capsys.readouterr()
        return err if code else json.loads(out)["lists"]

    both = run("--user", "-u1", "-u2", "--k", "1")
    assert [record["user"] for record in both] == ["-u1", "-u2"]
    assert run("--user=-u1", "-u2", "--k", "1") == both
    (similar,) = run("--similar-to", "-i, 3", "--k", "1")
    assert similar["item"] == "-i, 3"
    (new,) = run("--items-of-new-user", '"-i, 3","-i, 4"', "--k", "40")
    assert set(new["items"]) == {f"-i, {i}" for i in range(40)} - {"-i, 3", "-i, 4"}
    assert "'-i, 3' is one id with a comma; expected it in quotes" in run(
        "--items-of-new-user", "-i, 3"
    )


def test_filters(lists_of, rec, tmp_path):
    (tmp_path / "allow.txt").write_text("".join(f"{i}\n" for i in range(20)))
    (tmp_path / "deny.txt").write_text("3\n4\n")
    filters = ["--allow", "allow.txt", "--deny", "deny.txt", "--k", 50]
    (record,) = lists_of("--user", 7, *filters, "--include-seen")
    assert set(record["items"]) == set(range(20)) - {3, 4}
    (unseen,) = lists_of("--user", 7, "--k", 50)
    (unknown,) = lists_of("--user", 7, "--k", 50, "--seen", "train", "val", "test")
    assert set(unknown["items"]) < set(unseen["items"]) < set(range(40))
    assert unseen == rec.recommend([7], 50).to_records()[0]
    (record,) = lists_of("--similar-to", 9, *filters)
    assert set(record["similar_items"]) == set(range(20)) - {3, 4, 9}


@pytest.fixture
def arrivals(tmp_path):
    """A folder of three new items, one of them without a picture."""
    folder = tmp_path / "arrivals"
    folder.mkdir()
    (folder / "item_ids.txt").write_text("100\n200\n300\n")
    rng = np.random.default_rng(0)
    np.save(folder / "image_feat.npy", rng.standard_normal((3, 12), dtype=np.float32))
    np.save(folder / "text_feat.npy", rng.standard_normal((3, 8), dtype=np.float32))
    np.save(folder / "image_mask.npy", np.array([True, True, False]))
    return folder


def test_new_items(lists_of, rec, arrivals):
    features = {
        "visual": np.load(arrivals / "image_feat.npy"),
        "textual": np.load(arrivals / "text_feat.npy"),
    }
    mask = {"visual": np.load(arrivals / "image_mask.npy")}
    for args, scale in (([], "fair"), (["--new-scale", "3"], 3.0)):
        more = rec.add_items([100, 200, 300], features, mask, scale)
        found = lists_of("--new-items", arrivals, "--user", 7, "--k", 43, "--include-seen", *args)
        assert found == more.recommend([7], 43, exclude_seen=False).to_records()
        assert {100, 200, 300} < set(found[0]["items"])
    (record,) = lists_of("--new-items", arrivals, "--user", 7, "--allow", arrivals / "item_ids.txt")
    assert set(record["items"]) == {100, 200, 300}


def test_files(run, rec, tmp_path):
    pytest.importorskip("faiss")
    files = ["--out", "lists.csv", "--embeddings", "emb", "--faiss", "index/items.faiss"]
    code, out, err = run("--all-users", "--k", 2, *files, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "lists": "lists.csv",
        "embeddings": "emb",
        "index": "index/items.faiss",
    }
    with open(tmp_path / "lists.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["item"]) for row in rows] == rec.recommend(k=2).items.tolist()
    assert np.array_equal(np.load("emb/item_embeddings.npy"), rec.item_emb.numpy())
    assert (tmp_path / "index" / "items.faiss").stat().st_size > 0


def test_embeddings_alone(run, tmp_path):
    code, out, _ = run("--embeddings", "emb")
    assert code == 0
    assert out == "embeddings written to emb\n"
    assert len(list((tmp_path / "emb").iterdir())) == 4


def write_ids(text):
    return lambda folder: (folder / "item_ids.txt").write_text(text)


NEW = ["--user", "7", "--new-items", "arrivals"]


@pytest.mark.parametrize(
    ("args", "spoil", "message"),
    [
        ([], None, "nothing is asked for; expected --user"),
        (["--embeddings", "e", "--out", "x.csv"], None, "--out x.csv: there are no lists; expec"),
        (["--user", "99"], None, "user '99': unknown; expected one of 60 from 0 to 59"),
        (["--user", "7", "--out", "x.txt"], None, "x.txt: ends in '.txt'; expected one of .csv"),
        (["--user", "7", "--safe-csv"], None, "--safe-csv: --out is None; expected a .csv file"),
        (["--user", "7", "--k", "0"], None, "k: is 0; expected 1 or more"),
        (
            ["--users", "none.txt"],
            None,
            "not found; expected a file with one id per line",
        ),
        (["--user", "7", "--deny", "none.txt"], None, "none.txt: not found"),
        (["--items-of-new-user", "3,"], None, "item '': isn't an integer"),
        (["--user", "7", "--new-items", "none"], None, "item_ids.txt: not found; expected a file"),
        ([*NEW, "--new-scale", "big"], None, "--new-scale: is 'big'; expected 'fair' or a number"),
        (NEW, write_ids("100\n200\n"), "image_feat.npy: has 3 rows; expected one for each of 2"),
        (NEW, write_ids("100\n200\n100\n"), "item_ids.txt: line 3 repeats '100'"),
        (NEW, write_ids("100\n200\n7\n"), "new item '7': is known; expected new ids"),
        (NEW, write_ids("100\n200\nx\n"), "item 'x': isn't an integer"),
        (NEW, write_ids(""), "image_feat.npy: has 3 rows; expected one for each of 0 items"),
        (
            NEW,
            lambda folder: np.save(folder / "text_feat.npy", np.full((3, 8), np.nan)),
            "text_feat.npy: row 0, column 0 is nan; expected finite numbers",
        ),
        (
            NEW,
            lambda folder: np.save(folder / "text_feat.npy", np.ones((3, 9))),
            "textual features of new items: have shape [3, 9]; expected [3, 8]",
        ),
    ],
)
def test_bad_input(run, arrivals, tmp_path, args, spoil, message):
    if spoil is not None:
        spoil(arrivals)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_run(run, trained):
    (trained / "best.safetensors").write_bytes(b"PK\x03\x04")
    code, out, err = run("--user", 7)
    assert (code, out) == (2, "")
    assert "best.safetensors: can't be loaded" in err
