import json

import numpy as np
import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.typing import INTERACTS, ITEM

RATINGS = [f"u{u},B00000000{i},5.0,{10 * i + u}" for u in range(6) for i in range(6)]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command in the folder of the test; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        code = main(["prepare", *map(str, args), "--quiet"])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def amazon(tmp_path):
    """Amazon's ratings, and image features of all items but one."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "ratings_Toys.csv").write_text("\n".join(RATINGS) + "\n")
    x = np.arange(5 * 4096, dtype="<f4").reshape(5, 4096)
    records = [f"B00000000{n}".encode() + x[n].tobytes() for n in range(5)]
    (folder / "image_features_Toys.b").write_bytes(b"".join(records))
    return folder


def test_a_folder_of_amazon(run, amazon, tmp_path):
    code, out, err = run("raw", "--out", "data/toys", "--split", "leave-last-out")
    assert (code, err) == (0, "")
    assert "pairs       train 24, val 6, test 6; sparsity 0.00%" in out
    assert "image       4096-d features of 83.3% of the items" in out
    assert out.endswith(f"written to {tmp_path / 'data/toys'}\n")
    data = MMRecDataset(tmp_path / "data/toys")[0]
    assert data[ITEM].mask_visual.tolist() == [True] * 5 + [False]
    assert data[INTERACTS].test_edge_label_index[1].tolist() == [5] * 6


def test_named_files_equal_the_folder(run, amazon, tmp_path):
    assert run("raw", "--out", "a/toys")[0] == 0
    files = ("--reviews", "raw/ratings_Toys.csv", "--images", "raw/image_features_Toys.b")
    assert run(*files, "--out", "b/toys")[0] == 0
    for path in (tmp_path / "a/toys").iterdir():
        assert path.read_bytes() == (tmp_path / "b/toys" / path.name).read_bytes()


def test_json(run, amazon):
    code, out, _ = run("raw", "--out", "toys", "--json", "--no-images", "--seed", 3)
    assert code == 0
    report = json.loads(out)
    assert report["pairs"] == {"train": 24, "val": 6, "test": 6}
    assert report["coverage"] == {}
    assert report["settings"]["seed"] == 3


def test_a_table_with_features(run, tmp_path):
    rows = [f"{u}\t{i}\t{stars}" for u in range(6) for i, stars in enumerate([5, 4, 5, 4, 5, 1])]
    (tmp_path / "log.tsv").write_text("\n".join(["who\twhat\tstars", *rows]))
    np.save(tmp_path / "x.npy", np.eye(5))
    (tmp_path / "ids.txt").write_text("4\n3\n2\n1\n0\n")
    columns = ("--user-column", "who", "--item-column", "what", "--rating-column", "stars")
    features = ("--features", "audio=x.npy", "--feature-ids", "ids.txt")
    args = ("log.tsv", "--out", "shop", "--min-rating", 2, "--name", "s", *columns, *features)
    assert run(*args)[0] == 0
    data = MMRecDataset(tmp_path / "shop", "s")[0]
    assert (data[ITEM].x_acoustic.numpy() == np.eye(5)[::-1]).all()
    assert run(*args)[0] == 2
    assert run(*args, "--force")[0] == 0


def test_skipped_rows_are_reported(run, amazon):
    path = amazon / "ratings_Toys.csv"
    path.write_text(path.read_text() + "u1,B000000001,5.0\nu1,,5.0,1\nu1,\n")
    code, out, err = run("raw", "--out", "toys", "--on-error", "skip")
    assert code == 0
    assert "skipped     wrong number of columns 2, empty item id 1" in out
    assert f"skipped: {path.relative_to(amazon.parent)}: line 37 has 3 columns" in err


@pytest.fixture
def mmssl(tmp_path):
    folder = tmp_path / "mmssl"
    folder.mkdir()
    for name, split in (("train", {"0": [0]}), ("val", {"0": [1]}), ("test", {"0": [2]})):
        (folder / f"{name}.json").write_text(json.dumps(split))
    return folder


def test_a_given_split(run, mmssl, tmp_path):
    assert run("mmssl", "--out", "tiktok")[0] == 0
    data = MMRecDataset(tmp_path / "tiktok")[0]
    assert data[INTERACTS].edge_index.tolist() == [[0], [0]]


def test_a_folder_of_microlens(run, tmp_path):
    rows = [f"{u},{i},{i}" for u in range(6) for i in range(1, 7)]
    (tmp_path / "raw").mkdir()
    pairs = tmp_path / "raw/MicroLens-50k_pairs.csv"
    pairs.write_text("\n".join(["user,item,timestamp", *rows]))
    np.save(tmp_path / "raw/MicroLens-50k_video_features_VideoMAE.npy", np.eye(6))
    assert run("raw", "--out", "videos", "--split", "leave-last-out")[0] == 0
    data = MMRecDataset(tmp_path / "videos")[0]
    assert (data[ITEM].x_video.numpy() == np.eye(6)).all()
    assert data[INTERACTS].test_edge_label_index[1].tolist() == [5] * 6


def test_into_the_folder_in_which_the_shell_is(run, tmp_path, monkeypatch):
    lines = [f"u{u},i{i}" for u in range(6) for i in range(6)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item", *lines]) + "\n")
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    args = ["../log.csv", "--out", ".", "--user-column", "user", "--item-column", "item"]
    for force in ([], ["--force"]):
        code, _, err = run(*args, *force)
        assert (code, err) == (0, "")
    assert MMRecDataset(".").name == "shop"
    code, _, err = run(*args)
    assert code == 2
    assert "isn't empty (item_ids.txt); expected a new folder, or --force to replace" in err
    monkeypatch.chdir(tmp_path)
    code, _, err = run("log.csv", "--out", "shop/..", *args[3:])
    assert "holds log.csv, which is read; expected another folder" in err


@pytest.mark.parametrize(
    ("args", "fragments"),
    [
        (["nowhere"], ["nowhere: not found"]),
        ([], ["SOURCE", "--reviews"]),
        (["raw", "--reviews", "x"], ["SOURCE"]),
        (["empty"], ["empty: has neither reviews_*.json.gz nor ratings_*.csv nor train.json"]),
        (["raw", "--k-core", "7"], ["none of 36 interactions", "k = 7"]),
        (["raw", "--k-core", "-1"], ["k_core: is -1; expected at least 0"]),
        (["raw", "--min-rating", "nan"], ["min_rating: is nan; expected a finite number"]),
        (["raw", "--batch-size", "0"], ["batch_size: is 0; expected at least 1"]),
        (["raw", "--name", "my shop"], ["name: is 'my shop'; expected letters", "--name"]),
        (
            ["raw", "--features", "my.stem=raw/x.npy", "--feature-ids", "ids"],
            ["raw/x.npy: is of modality 'my.stem', which PyTorch refuses", "a name like 'visual'"],
        ),
        (["raw", "--held-out", "0.7"], ["held_out: is 0.7"]),
        (["raw", "--items", "raw/ratings_Toys.csv"], ["--text-columns"]),
        (
            ["raw", "--items", "raw/ratings_Toys.csv", "--text-columns", "title,,about"],
            ["--text-columns: is 'title,,about'; expected names with commas between them"],
        ),
        (["raw", "--features", "x.npy"], ["--features: is 'x.npy'; expected STEM=FILE"]),
        (["raw", "--features", "a=x.npy"], ["x.npy", "--feature-ids"]),
        (["raw", "--image-folder", "empty"], ["both of modality"]),
        (["raw", "--meta", "no.json.gz"], ["no.json.gz: not found"]),
        (
            ["raw/ratings_Toys.csv"],
            [
                "column 'userID' is not among u0, B000000000, 5.0, 0",
                "expected it once, or another name by --user-column\n",
            ],
        ),
        (["raw/ratings_Toys.csv", "--user-column", "u0"], ["another name by --item-column\n"]),
        (
            ["log.jsonl", "--user-column", "u", "--item-column", "i", "--time-column", "t"],
            ["log.jsonl: line 1 has no 't'", "another name by --time-column\n"],
        ),
        (
            [
                *("log.jsonl", "--user-column", "u", "--item-column", "i"),
                *("--items", "raw/ratings_Toys.csv", "--text-columns", "title,about"),
                *("--item-id-column", "u0"),
            ],
            ["column 'title' is not among u0,", "another name by --text-columns\n"],
        ),
        (["diffmm"], ["diffmm/trnMat.pkl: is a pickle", "expected trnMat.npz, see 'Pickles' in"]),
        (["microlens"], ["MicroLens-50k_pairs.tsv: has lists", "expected MicroLens-50k_pairs.csv"]),
        (["mmssl", "--k-core", "5"], ["--k-core: doesn't go with a given split"]),
        (["mmssl", "--min-rating", "3"], ["--min-rating: doesn't go with a given split"]),
    ],
)
def test_mistakes(run, amazon, mmssl, tmp_path, args, fragments):
    (tmp_path / "empty").mkdir()
    for name in ("diffmm/trnMat.pkl", "microlens/MicroLens-50k_pairs.tsv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "log.jsonl").write_text(
        "".join(f'{{"u": {u}, "i": {i}}}\n' for u in range(6) for i in range(6))
    )
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*args, "--out", "toys")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for fragment in (*fragments, "; expected "):
        assert fragment in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [100, 3000, 50_000])
def test_a_full_disk_ends_with_one_line_and_leaves_nothing(run, amazon, tmp_path, small_disk, size):
    """A map of the features in memory would end the process by SIGBUS."""
    before = sorted(tmp_path.rglob("*"))
    with small_disk(size):
        code, out, err = run("raw", "--out", "data/toys", "--force", "--k-core", 0)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / 'data/toys'}/")
    assert "can't be written (" in err
    assert err.count("\n") == 1
    (tmp_path / "data").rmdir()  # which is empty
    assert sorted(tmp_path.rglob("*")) == before
