import os
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch_geometric.transforms import BaseTransform, Constant

from mentor_pyg import Adjacency, InputError
from mentor_pyg.datasets import MMRecDataset, SyntheticDataset, mmrec
from mentor_pyg.transforms import ItemKNN
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER, modalities, similar

PAIRS = [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 0, 2)]
"""The rows of a table small enough to count by hand: user, item, label."""


def write_table(folder, rows, header=("userID", "itemID", "x_label"), delimiter="\t"):
    lines = [delimiter.join(map(str, row)) for row in [header, *rows]]
    (folder / "toy.inter").write_text("\n".join(lines) + "\n")
    return folder


def pairs(data, split="train"):
    key = "edge_index" if split == "train" else f"{split}_edge_label_index"
    return data[INTERACTS][key].t().tolist()


def assert_same_graph(data, other):
    for key in ("edge_index", "val_edge_label_index", "test_edge_label_index"):
        assert torch.equal(data[INTERACTS][key], other[INTERACTS][key])
    assert modalities(data) == modalities(other)
    for modality in modalities(data):
        assert torch.equal(data[ITEM][f"x_{modality}"], other[ITEM][f"x_{modality}"])
    for node in (USER, ITEM):
        assert data[node].num_nodes == other[node].num_nodes


# Content ################################################################


def test_round_trip(toy_folder, tiny):
    dataset = MMRecDataset(toy_folder)
    assert dataset.name == "toy"
    assert len(dataset) == 1
    data = dataset[0]
    assert_same_graph(data, tiny)
    assert torch.equal(data[REV_INTERACTS].edge_index, tiny[INTERACTS].edge_index.flip(0))
    assert data[INTERACTS].edge_index.dtype == torch.int64
    assert torch.equal(data[USER].original_id, torch.arange(60))
    assert torch.equal(data[ITEM].original_id, torch.arange(40))
    assert data.validate()


def test_round_trip_from_cache(toy_folder, tiny):
    MMRecDataset(toy_folder)
    assert_same_graph(MMRecDataset(toy_folder)[0], tiny)


def test_transform_at_every_access(toy_folder):
    dataset = MMRecDataset(toy_folder, transform=Constant(node_types=USER))
    assert "x" in dataset[0][USER]
    assert "x" not in MMRecDataset(toy_folder)[0][USER]


def test_name_chooses_among_tables(toy_folder):
    (toy_folder / "toy.inter").rename(toy_folder / "chosen.inter")
    write_table(toy_folder, PAIRS)
    data = MMRecDataset(toy_folder, name="chosen")[0]
    assert data[USER].num_nodes == 60
    with pytest.raises(InputError, match=r"several tables \(chosen\.inter, toy\.inter\)"):
        MMRecDataset(toy_folder)
    with pytest.raises(FileNotFoundError, match=r"other\.inter: not found; expected"):
        MMRecDataset(toy_folder, name="other")


# Features ###############################################################


def test_modality_names(tmp_path, write_mmrec):
    channels = {"visual": 5, "textual": 4, "acoustic": 3, "brand_2": 2}
    write_mmrec(tmp_path, SyntheticDataset.tiny(channels=channels)[0])
    files = {"image_feat.npy", "text_feat.npy", "audio_feat.npy", "brand_2_feat.npy"}
    assert files < {path.name for path in tmp_path.iterdir()}
    data = MMRecDataset(tmp_path)[0]
    assert {m: data[ITEM][f"x_{m}"].size(1) for m in modalities(data)} == channels


@pytest.mark.parametrize(
    "wanted", [["textual"], ["visual"], ["visual", "textual"], []], ids=",".join
)
def test_subset_of_modalities(toy_folder, tiny, wanted):
    data = MMRecDataset(toy_folder, modalities=wanted)[0]
    assert modalities(data) == sorted(wanted)
    for modality in wanted:
        assert torch.equal(data[ITEM][f"x_{modality}"], tiny[ITEM][f"x_{modality}"])


def test_unwanted_modality_is_not_read(toy_folder):
    (toy_folder / "image_feat.npy").write_bytes(b"damaged")
    assert modalities(MMRecDataset(toy_folder, modalities=["textual"])[0]) == ["textual"]


def test_unknown_modality(toy_folder):
    with pytest.raises(InputError, match=r"'smell' \(found visual, textual\); expected"):
        MMRecDataset(toy_folder, modalities=["smell"])


def test_two_files_of_one_modality(toy_folder):
    np.save(toy_folder / "visual_feat.npy", np.load(toy_folder / "image_feat.npy"))
    with pytest.raises(InputError, match=r"image_feat\.npy and visual_feat\.npy .* expected one"):
        MMRecDataset(toy_folder)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_features_become_float32(toy_folder, dtype):
    x = np.load(toy_folder / "image_feat.npy").astype(dtype)
    np.save(toy_folder / "image_feat.npy", x)
    loaded = MMRecDataset(toy_folder)[0][ITEM].x_visual
    assert loaded.dtype == torch.float32
    assert np.array_equal(loaded.numpy(), x.astype(np.float32))


def test_fortran_order(toy_folder, tiny):
    np.save(toy_folder / "image_feat.npy", np.asfortranarray(tiny[ITEM].x_visual.numpy()))
    assert torch.equal(MMRecDataset(toy_folder)[0][ITEM].x_visual, tiny[ITEM].x_visual)


@pytest.mark.parametrize("filler", [0.0, 7.0, np.nan, np.inf])
def test_masked_rows_are_zero(toy_folder, tiny, filler):
    mask = np.arange(40) % 4 != 0
    x = tiny[ITEM].x_visual.numpy().copy()
    x[~mask] = filler
    np.save(toy_folder / "image_feat.npy", x)
    np.save(toy_folder / "image_mask.npy", mask)
    items = MMRecDataset(toy_folder)[0][ITEM]
    assert items.mask_visual.tolist() == mask.tolist()
    assert not items.x_visual[~mask].any()
    assert torch.equal(items.x_visual[mask], tiny[ITEM].x_visual[mask])


def test_mask_is_kept_only_where_something_is_missing(toy_folder):
    np.save(toy_folder / "image_mask.npy", np.arange(40) > 0)
    np.save(toy_folder / "text_mask.npy", np.ones(40, dtype=bool))
    items = MMRecDataset(toy_folder)[0][ITEM]
    assert "mask_visual" in items
    assert "mask_textual" not in items


# The table ##############################################################


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
def test_columns_in_any_order(tmp_path, delimiter, end, start):
    header = ["x_label", "rating", "itemID", "timestamp", "userID"]
    lines = [[label, 5.0, item, 123, user] for user, item, label in PAIRS]
    text = end.join(delimiter.join(map(str, line)) for line in [header, *lines])
    (tmp_path / "toy.inter").write_text(start + text + end, encoding="utf-8", newline="")
    data = MMRecDataset(tmp_path)[0]
    assert pairs(data) == [[0, 0], [1, 2]]
    assert pairs(data, "val") == [[0, 1]]
    assert pairs(data, "test") == [[1, 0]]


@pytest.mark.parametrize(
    ("delimiter", "title"),
    [
        (",", '"Soft, ""blue"" bib"'),
        (",", '19" monitor'),
        ("\t", '"Soft\t""blue"" bib"'),
        ("\t", '"5 inch tablet'),
        ("\t", 'monitor of 19"'),
        ("\t", '"Best" of'),
    ],
)
def test_quotes_in_a_text_column(tmp_path, delimiter, title):
    """The first and the last title have the quotes, so that all between might vanish."""
    titles = [title, "bib", "toy", title]
    rows = [(*row, name) for row, name in zip(PAIRS, titles)]
    write_table(tmp_path, rows, ("userID", "itemID", "x_label", "title"), delimiter)
    data = MMRecDataset(tmp_path)[0]
    assert pairs(data) == [[0, 0], [1, 2]]
    assert pairs(data, "val") == [[0, 1]]
    assert pairs(data, "test") == [[1, 0]]


@pytest.mark.parametrize("titles", [('"5 inch', '"7 inch'), ('"5 inch', 'of 19"')])
def test_a_stray_quote_between_commas_swallows_no_rows(tmp_path, titles):
    names = [titles[0], "bib", "toy", titles[1]]
    rows = [(*row, name) for row, name in zip(PAIRS, names)]
    write_table(tmp_path, rows, ("userID", "itemID", "x_label", "title"), ",")
    with pytest.raises(InputError, match=r"toy\.inter: line 2 has a stray quote.*; expected a row"):
        MMRecDataset(tmp_path)


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
def test_everything_quoted(tmp_path, delimiter, start):
    header = (f'{start}"userID"', '"itemID"', '"x_label"')
    write_table(tmp_path, [[f'"{x}"' for x in row] for row in PAIRS], header, delimiter)
    assert pairs(MMRecDataset(tmp_path)[0]) == [[0, 0], [1, 2]]


def test_unused_row_numbers_are_kept(tmp_path):
    write_table(tmp_path, [*PAIRS, (4, 9, 0)])
    data = MMRecDataset(tmp_path)[0]
    assert (data[USER].num_nodes, data[ITEM].num_nodes) == (5, 10)


def test_table_larger_than_a_piece(tmp_path):
    """Rows are read 2^16 at a time; a bad row of the second piece has the right line."""
    size = 70_000
    rows = [(n // 300, n % 300, min(2, max(0, n + 3 - size))) for n in range(size)]
    write_table(tmp_path, rows)
    data = MMRecDataset(tmp_path)[0]
    assert data[INTERACTS].edge_index.size(1) == size - 2
    assert pairs(data)[-1] == [(size - 3) // 300, (size - 3) % 300]
    write_table(tmp_path, [*rows, (1, 2)])
    with pytest.raises(InputError, match=f"line {size + 2} has 2 columns"):
        MMRecDataset(tmp_path)


# Labels as ids ##########################################################

LABELLED = [("bob", "tea", 0), ("ann", "ale", 0), ("bob", "gin", 1), ("ann", "tea", 2)]


def test_string_ids_are_numbered(tmp_path):
    data = MMRecDataset(write_table(tmp_path, LABELLED))[0]
    assert data[USER].original_id == ["ann", "bob"]
    assert data[ITEM].original_id == ["ale", "gin", "tea"]
    assert pairs(data) == [[1, 2], [0, 0]]
    assert pairs(data, "val") == [[1, 1]]
    assert pairs(data, "test") == [[0, 2]]


@pytest.mark.parametrize("odd", ["01", "1_0", "+1", "-0", "\u0661", "1.0"])
def test_what_only_looks_like_a_number_is_a_label(tmp_path, odd):
    data = MMRecDataset(write_table(tmp_path, [*PAIRS, (odd, 0, 0)]))[0]
    assert data[USER].original_id == sorted(["0", "1", odd])
    assert data[INTERACTS].edge_index.size(1) == 3


def test_blanks_around_numbers(tmp_path):
    rows = [(f" {user}", f"{item} ", label) for user, item, label in PAIRS]
    data = MMRecDataset(write_table(tmp_path, rows, delimiter=","))[0]
    assert torch.equal(data[USER].original_id, torch.arange(2))
    assert pairs(data) == [[0, 0], [1, 2]]


def test_id_files_give_the_order(tmp_path):
    write_table(tmp_path, LABELLED)
    (tmp_path / "user_ids.txt").write_text("bob\nann\ncid\n")
    (tmp_path / "item_ids.txt").write_text("\ufefftea\r\nrum\r\ngin\r\nale\r\n", encoding="utf-8")
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.save(tmp_path / "text_feat.npy", x)
    data = MMRecDataset(tmp_path)[0]
    assert data[USER].original_id == ["bob", "ann", "cid"]
    assert data[ITEM].original_id == ["tea", "rum", "gin", "ale"]
    assert pairs(data) == [[0, 0], [1, 3]]
    assert data[USER].num_nodes == 3
    assert data[ITEM].x_textual.tolist() == x.tolist()


def test_labels_survive_the_cache(tmp_path):
    write_table(tmp_path, LABELLED)
    first, second = MMRecDataset(tmp_path)[0], MMRecDataset(tmp_path)[0]
    assert first[ITEM].original_id == second[ITEM].original_id == ["ale", "gin", "tea"]


def test_features_need_the_order_of_labels(tmp_path):
    write_table(tmp_path, LABELLED)
    np.save(tmp_path / "text_feat.npy", np.ones((3, 2), dtype=np.float32))
    with pytest.raises(InputError, match=r"labels \('ale'\).*text_feat.*expected item_ids\.txt"):
        MMRecDataset(tmp_path)
    assert MMRecDataset(tmp_path, modalities=[])[0][ITEM].num_nodes == 3


# Caching ################################################################


@pytest.fixture
def reader(monkeypatch):
    """Counts how often a table is read."""
    mock = Mock(wraps=mmrec.read_interactions)
    monkeypatch.setattr(mmrec, "read_interactions", mock)
    return mock


def test_second_load_reads_no_file(toy_folder, reader, monkeypatch):
    MMRecDataset(toy_folder)
    monkeypatch.setattr(mmrec, "read_features", Mock(side_effect=AssertionError))
    MMRecDataset(toy_folder)
    assert reader.call_count == 1


def test_times_of_files_make_no_difference(toy_folder, reader):
    """The data are those of the content, wherever and whenever it was written."""
    MMRecDataset(toy_folder)
    os.utime(toy_folder / "toy.inter", ns=(0, 0))
    MMRecDataset(toy_folder)
    assert reader.call_count == 1


def test_new_content_of_the_same_size_and_time_is_seen(toy_folder):
    """As unzip, cp -p and rsync -t leave it."""
    before = MMRecDataset(toy_folder)[0]
    for path in (toy_folder / "toy.inter", toy_folder / "image_feat.npy"):
        stat = path.stat()
        content = path.read_bytes()
        if path.suffix == ".npy":
            path.write_bytes(content[:-4] + content[-8:-4])
        else:
            swap = bytes.maketrans(b"12", b"21")
            lines = [line[:-1] + line[-1:].translate(swap) for line in content.splitlines()]
            path.write_bytes(b"\n".join(lines) + b"\n")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert path.stat().st_size == stat.st_size
    after = MMRecDataset(toy_folder)[0]
    assert pairs(after, "val") == pairs(before, "test")
    assert pairs(after, "test") == pairs(before, "val")
    assert after[ITEM].x_visual[-1, -1] == before[ITEM].x_visual[-1, -2]


class Scale(BaseTransform):
    def __init__(self, factor):
        self.factor = factor

    def forward(self, data):
        data[ITEM].x_visual = data[ITEM].x_visual * self.factor
        return data


@pytest.mark.parametrize(
    "make", [Scale, lambda f: Scale(f).forward, lambda f: lambda d: Scale(f)(d)]
)
def test_transforms_that_look_alike(toy_folder, tiny, make, reader):
    for factor in (1, 10, 100, 10):
        x = MMRecDataset(toy_folder, pre_transform=make(factor))[0][ITEM].x_visual
        assert torch.equal(x, factor * tiny[ITEM].x_visual)
    assert reader.call_count == 1


def test_item_graphs_before_the_cache(toy_folder, reader, recwarn):
    first, second = (MMRecDataset(toy_folder, pre_transform=ItemKNN(3))[0] for _ in range(2))
    assert reader.call_count == 1
    for key in (similar("visual"), similar("textual")):
        for one, other in zip(first[key].adjacency, second[key].adjacency):
            assert torch.equal(one, other)
    assert type(second[similar("visual")].adjacency) is Adjacency
    assert not [str(w.message) for w in recwarn if "cache" in str(w.message)]


def test_files_that_change_while_they_are_read(toy_folder, cache_folder, monkeypatch):
    def read(path, *args):
        with open(toy_folder / "text_feat.npy", "r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"abcd")
        return read_interactions(path, *args)

    read_interactions = mmrec.read_interactions
    monkeypatch.setattr(mmrec, "read_interactions", read)
    with pytest.raises(InputError, match="toy: changed while it was read; expected"):
        MMRecDataset(toy_folder)
    assert not list(cache_folder.rglob("data.pt"))


@pytest.mark.parametrize("name", ["toy.inter", "image_feat.npy", "image_mask.npy", "item_ids.txt"])
def test_pipe_is_refused_at_once(toy_folder, name):
    (toy_folder / name).unlink(missing_ok=True)
    os.mkfifo(toy_folder / name)
    with pytest.raises(InputError, match=rf"{name}: is a pipe; expected "):
        MMRecDataset(toy_folder)


def test_new_mask_is_seen(toy_folder):
    MMRecDataset(toy_folder)
    np.save(toy_folder / "image_mask.npy", np.arange(40) > 0)
    assert "mask_visual" in MMRecDataset(toy_folder)[0][ITEM]


def test_changed_content_is_seen(toy_folder):
    before = MMRecDataset(toy_folder)[0]
    lines = (toy_folder / "toy.inter").read_text().splitlines()
    (toy_folder / "toy.inter").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    assert pairs(MMRecDataset(toy_folder)[0]) == pairs(before)[1:]


def test_arguments_are_told_apart(toy_folder, reader):
    for _ in range(2):
        assert modalities(MMRecDataset(toy_folder)[0]) == ["textual", "visual"]
        assert modalities(MMRecDataset(toy_folder, modalities=["visual"])[0]) == ["visual"]
        assert "x" in MMRecDataset(toy_folder, pre_transform=Constant())[0][USER]
    assert reader.call_count == 3


def test_force_reload(toy_folder, reader):
    MMRecDataset(toy_folder)
    MMRecDataset(toy_folder, force_reload=True)
    assert reader.call_count == 2


@pytest.mark.parametrize(("keep", "found"), [(0, "EOFError"), (1000, "zip")])
def test_damaged_cache_is_made_again(toy_folder, tiny, cache_folder, reader, keep, found):
    MMRecDataset(toy_folder)
    (path,) = cache_folder.rglob("data.pt")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.warns(
        UserWarning, match=rf"data\.pt: can't be loaded .*{found}.*; making it again"
    ):
        assert_same_graph(MMRecDataset(toy_folder)[0], tiny)
    MMRecDataset(toy_folder)
    assert reader.call_count == 2


def test_failed_load_leaves_no_cache(toy_folder, cache_folder):
    (toy_folder / "text_feat.npy").write_bytes(b"")
    with pytest.raises(InputError):
        MMRecDataset(toy_folder)
    assert not list(cache_folder.rglob("*data.pt*"))


# Statistics #############################################################


def test_statistics_against_counting(toy_folder):
    np.save(toy_folder / "image_mask.npy", np.arange(40) >= 10)
    lines = (toy_folder / "toy.inter").read_text().splitlines()
    rows = [tuple(map(int, line.split("\t"))) for line in lines[1:]]
    # Two users and three items without training pairs:
    rows = [
        (u, i, max(1, label) if u in (3, 5) or i in (0, 1, 2) else label) for u, i, label in rows
    ]
    write_table(toy_folder, rows)
    found = MMRecDataset(toy_folder).statistics()

    train = [(u, i) for u, i, label in rows if label == 0]
    cold_users = set(range(60)) - {u for u, _ in train}
    cold_items = set(range(40)) - {i for _, i in train}
    assert cold_users >= {3, 5}
    assert cold_items >= {0, 1, 2}
    held_out = {"val": 1, "test": 2}
    assert found.to_dict() == {
        "users": 60,
        "items": 40,
        "pairs": {"train": len(train)}
        | {k: sum(row[2] == label for row in rows) for k, label in held_out.items()},
        "sparsity": pytest.approx(1 - len(rows) / 2400),
        "cold_users": len(cold_users),
        "dropped_pairs": {
            k: sum(row[0] in cold_users and row[2] == label for row in rows)
            for k, label in held_out.items()
        },
        "cold_items": len(cold_items),
        "coverage": {"textual": 1.0, "visual": 0.75},
        "widths": {"textual": 8, "visual": 12},
    }


def test_home_of_nobody_is_not_found():
    with pytest.raises(FileNotFoundError, match=r"~nobody-here/toy: not found; expected a folder"):
        MMRecDataset("~nobody-here/toy")


def test_statistics_as_text(tmp_path):
    rows = [*PAIRS, (2, 1, 1), (2, 2, 2), (2, 0, 2)]
    np.save(tmp_path / "image_feat.npy", np.ones((3, 4), dtype=np.float16))
    np.save(tmp_path / "image_mask.npy", np.array([True, False, False]))
    assert str(MMRecDataset(write_table(tmp_path, rows)).statistics()) == (
        "users       3 (1 without training pairs, their pairs dropped: val 1, test 2)\n"
        "items       3 (1 without training pairs)\n"
        "pairs       train 2, val 2, test 3; sparsity 22.22%\n"
        "visual      4-d features of 33.3% of the items"
    )


def test_blank_lines_at_the_end_are_no_rows(toy_folder):
    before = MMRecDataset(toy_folder).statistics()
    with open(toy_folder / "toy.inter", "a") as file:
        file.write("\n\n")
    assert MMRecDataset(toy_folder).statistics() == before
