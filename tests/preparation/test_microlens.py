import numpy as np
import pytest
from raw_files import encode, lines, write

from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.errors import InputError
from mentor_pyg.preparation import PrepareSettings, find_microlens, prepare
from mentor_pyg.typing import ITEM

NUM_ITEMS = 6
X = np.arange(NUM_ITEMS * 2, dtype=np.float32).reshape(NUM_ITEMS, 2)


@pytest.fixture
def folder(tmp_path):
    """Seven users with items 1 to 6, of which each lacks one; times in milliseconds."""
    rows = [
        f"{u},{i},{1_600_000_000_000 + 1000 * i}"
        for u in range(1, 8)
        for i in range(1, NUM_ITEMS + 1)
        if i != u
    ]
    write(tmp_path / "raw/MicroLens-50k_pairs.csv", lines(["user,item,timestamp", *rows]))
    write(tmp_path / "raw/MicroLens-50k_pairs.tsv", "1\t2 3 4 5 6\n")
    titles = [f'{i},"Video, {i}"' for i in range(1, NUM_ITEMS + 1)]
    write(tmp_path / "raw/MicroLens-50k_titles.csv", lines(["item,title", *titles]))
    return tmp_path / "raw"


def run(folder, out):
    table, contents = find_microlens(folder, encode=encode)
    prepare(table, contents, out, PrepareSettings(split="leave-last-out"), progress=False)
    return MMRecDataset(out)[0]


def test_pairs_and_titles(folder, tmp_path):
    data = run(folder, tmp_path / "out")
    assert data[ITEM].original_id == list("123456")
    texts = [f"Video, {i}" for i in range(1, NUM_ITEMS + 1)]
    assert (data[ITEM].x_textual.numpy() == encode(texts, progress=False)).all()
    test = data["user", "interacts", "item"].test_edge_label_index
    assert sorted(test[1].tolist()) == [4, 5, 5, 5, 5, 5, 5]  # the last but for the sixth user


@pytest.mark.parametrize("place", [".", "extracted_modality_features"])
def test_features_are_of_the_item_after_their_row(folder, tmp_path, place):
    (folder / place).mkdir(exist_ok=True)
    np.save(folder / place / "MicroLens-50k_title_en_text_features_BgeM3.npy", X)
    np.save(folder / place / "MicroLens-50k_image_features_CLIPRN50.npy", X + 1)
    data = run(folder, tmp_path / "out")[ITEM]
    assert (data.x_textual.numpy() == X).all()
    assert (data.x_visual.numpy() == X + 1).all()


def test_features_of_more_items(folder, tmp_path):
    np.save(folder / "MicroLens-50k_video_features_VideoMAE.npy", np.ones((7, 2)))
    with pytest.raises(InputError, match=r"VideoMAE.npy: row 6 has item '7'; expected an item of"):
        run(folder, tmp_path / "out")


def test_pairs_without_times(folder):
    (folder / "MicroLens-50k_pairs.csv").unlink()
    message = r"50k_pairs.tsv: has lists .*; expected MicroLens-50k_pairs.csv"
    with pytest.raises(InputError, match=message):
        find_microlens(folder)


def test_several_files_of_pairs(folder):
    write(folder / "MicroLens-100k_pairs.csv", "user,item,timestamp\n")
    with pytest.raises(InputError, match=r"has MicroLens-100k_pairs.csv, MicroLens-50k_pairs.csv"):
        find_microlens(folder)


def test_no_ratings(folder):
    with pytest.raises(InputError, match="there is no column of ratings"):
        find_microlens(folder, min_rating=3)


def test_other_folders(tmp_path):
    assert find_microlens(tmp_path) is None
