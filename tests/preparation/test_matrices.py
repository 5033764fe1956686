"""Splits as sparse matrices and as arrays equal those of MMSSL's JSON."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raw_files import write

from mentor_pyg import TrainConfig, fit
from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.errors import InputError
from mentor_pyg.nn.models import LightGCN
from mentor_pyg.preparation import (
    ArrayFolder,
    MatrixFolder,
    MMSSLFolder,
    PrepareSettings,
    find_splits,
    prepare,
)
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER

U, I = 6, 5  # noqa: E741
SPLIT = np.array([[(0, 0, 0, 1, 2)[(u + i) % 5] for i in range(I)] for u in range(U)])
X = np.linspace(-1, 1, I * 3).reshape(I, 3)
DIFFMM, MMSSL = ("trnMat", "valMat", "tstMat"), ("train_mat", "val_mat", "test_mat")


def matrices(form=sp.csr_matrix, dtype=np.float64):
    return [form((label == SPLIT).astype(dtype)) for label in range(3)]


def save(folder, saved=None, names=DIFFMM):
    folder.mkdir(exist_ok=True)
    for name, matrix in zip(names, saved or matrices()):
        sp.save_npz(folder / name, matrix)
    np.save(folder / "image_feat.npy", X)
    return folder


def save_arrays(folder, **changed):
    folder.mkdir()
    for label, name in enumerate(("train", "valid", "test")):
        np.save(folder / f"{name}.npy", changed.get(name, np.stack(np.nonzero(label == SPLIT))))
    np.save(folder / "image_feat.npy", X)
    return folder


def prepared(folder, out, on_error="fail"):
    source = find_splits(folder)
    settings = PrepareSettings(on_error=on_error)
    prepare(source, source.contents(), out, settings, progress=False)
    return MMRecDataset(out)[0]


def pairs(data):
    store = data[INTERACTS]
    edges = (store.edge_index, store.val_edge_label_index, store.test_edge_label_index)
    return [sorted(map(tuple, edge.T.tolist())) for edge in edges]


@pytest.fixture
def expected(tmp_path):
    """What MMSSL's JSON gives."""
    for label, name in enumerate(("train", "val", "test")):
        split = {str(u): np.flatnonzero(SPLIT[u] == label).tolist() for u in range(U)}
        write(tmp_path / "json" / f"{name}.json", json.dumps(split))
    np.save(tmp_path / "json/image_feat.npy", X)
    return pairs(prepared(tmp_path / "json", tmp_path / "from_json"))


@pytest.mark.parametrize("names", [DIFFMM, MMSSL], ids=["diffmm", "mmssl"])
@pytest.mark.parametrize(
    "form", [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.coo_array]
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_matrices_of_every_form(expected, tmp_path, form, names, dtype):
    folder = save(tmp_path / "raw", matrices(form, dtype), names)
    data = prepared(folder, tmp_path / "out")
    assert isinstance(find_splits(folder), MatrixFolder)
    assert pairs(data) == expected
    assert data[ITEM].x_visual.numpy() == pytest.approx(X)


def test_arrays_of_row_numbers(expected, tmp_path):
    folder = save_arrays(tmp_path / "raw")
    assert isinstance(find_splits(folder), ArrayFolder)
    assert pairs(prepared(folder, tmp_path / "out")) == expected


def test_a_training_step(tmp_path):
    data = LightGCNNorm()(prepared(save(tmp_path / "raw"), tmp_path / "out"))
    torch.manual_seed(0)
    model = LightGCN.from_data(data, hidden_channels=4)
    before = [p.clone() for p in model.parameters()]
    fit(model, data, TrainConfig(epochs=1, ks=(2,), monitor="recall@2"))
    assert any((p != q).any() for p, q in zip(model.parameters(), before))


def test_users_and_items_without_pairs_keep_their_rows(tmp_path):
    wide = [sp.csr_matrix((m.data, m.indices, np.append(m.indptr, m.nnz))) for m in matrices()]
    for m in wide:
        m.resize(U + 1, I)
    data = prepared(save(tmp_path / "raw", wide), tmp_path / "out")
    assert data[USER].num_nodes == U + 1


def test_stored_zeros_are_no_pairs_and_repeated_entries_are_one(expected, tmp_path):
    train, val, test = matrices(sp.coo_matrix)
    row, col = np.append(train.row, [0, *train.row]), np.append(train.col, [3, *train.col])
    data = np.append(train.data, [0, *train.data])
    save(tmp_path / "raw", [sp.coo_matrix((data, (row, col)), train.shape), val, test])
    assert pairs(prepared(tmp_path / "raw", tmp_path / "out")) == expected


def archive(folder, **changed):
    """Writes training pairs whose archive holds other arrays, or raw bytes."""
    m = matrices()[0]
    arrays = {"format": b"csr", "shape": m.shape, "data": m.data}
    arrays |= {"indices": m.indices, "indptr": m.indptr} | changed
    with zipfile.ZipFile(folder / "trnMat.npz", "w") as file:
        for name, x in arrays.items():
            content = io.BytesIO()
            if isinstance(x, bytes) and name != "format":
                content.write(x)
            else:
                np.lib.format.write_array(content, np.asanyarray(x), allow_pickle=True)
            file.writestr(f"{name}.npy", content.getvalue())


def huge():
    file = io.BytesIO()
    layout = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(file, layout)
    return file.getvalue()


class Trap:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"data": np.array([Trap()], dtype=object)}, "data.npy holds Python objects"),
        ({"data": huge()}, "data.npy isn't complete"),
        ({"data": b"\x80\x04."}, "trnMat.npz: can't be read"),
        ({"indices": np.full(18, 5)}, "trnMat.npz: can't be read"),
        ({"indices": np.full(18, -1)}, "trnMat.npz: can't be read"),
        ({"indices": np.full(18, 0.5)}, "indices.npy holds float64"),
        ({"indptr": np.array([0, 18, 3, 6, 9, 12, 18])}, "trnMat.npz: can't be read"),
        ({"format": b"dia"}, "trnMat.npz: can't be read"),
        ({"format": b"xyz"}, "trnMat.npz: can't be read"),
        ({"data": np.full(18, np.nan)}, "trnMat.npz: has entries that are no finite numbers"),
        ({"data": np.full(18, 1j)}, "trnMat.npz: has entries that are no finite numbers"),
    ],
)
def test_damaged_matrices(tmp_path, capsys, changed, found):
    archive(save(tmp_path / "raw"), **changed)
    with pytest.raises(InputError) as caught:
        prepared(tmp_path / "raw", tmp_path / "out", on_error="skip")
    message = str(caught.value)
    assert found in message
    assert "; expected " in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(matrices()[0])])
def test_what_is_no_archive(tmp_path, content):
    write(save(tmp_path / "raw") / "valMat.npz", content)
    with pytest.raises(InputError, match=r"valMat.npz: can't be read .*; expected a sparse matrix"):
        prepared(tmp_path / "raw", tmp_path / "out")


def test_a_missing_matrix(tmp_path):
    (save(tmp_path / "raw") / "valMat.npz").unlink()
    message = r"valMat.npz: not found; expected the val pairs beside the other two files"
    with pytest.raises(FileNotFoundError, match=message):
        prepared(tmp_path / "raw", tmp_path / "out")


def test_matrices_of_several_shapes(tmp_path):
    train, val, test = matrices()
    val.resize(U, I + 1)
    save(tmp_path / "raw", [train, val, test])
    with pytest.raises(InputError, match=r"valMat.npz: is of shape \(6, 6\); expected \(6, 5\)"):
        prepared(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("rows", [I - 1, I + 1])
def test_features_of_another_number_of_items(tmp_path, rows):
    np.save(save(tmp_path / "raw") / "image_feat.npy", np.ones((rows, 2)))
    message = rf"image_feat.npy: has {rows} rows; expected {I}, one for each item"
    with pytest.raises(InputError, match=message):
        prepared(tmp_path / "raw", tmp_path / "out")


def test_pairs_in_two_splits(tmp_path):
    train, val, _ = matrices()
    save(tmp_path / "raw", [train, val, val])
    with pytest.raises(InputError, match=r"tstMat.npz: user 0, item 3 is in valMat.npz too"):
        prepared(tmp_path / "raw", tmp_path / "out")


def test_a_shape_that_is_mostly_empty(tmp_path):
    wide = matrices(sp.coo_matrix)
    for matrix in wide:
        matrix.resize(U, 10**12)
    with pytest.raises(InputError, match=r"has item 999999999999, but only 5 different ones"):
        prepared(save(tmp_path / "raw", wide), tmp_path / "out")


@pytest.mark.parametrize("name", ["trnMat.pkl", "val_mat", "tstMat.pickle"])
def test_pickles_are_not_read(tmp_path, capsys, name):
    folder = tmp_path / "raw"
    write(folder / name, pickle.dumps(Trap()))
    stem = name.split(".")[0]
    with pytest.raises(InputError, match=rf"{name}: is a pickle, .* expected {stem}.npz, see"):
        find_splits(folder)
    assert capsys.readouterr().out == ""


def test_pickles_beside_what_is_read_are_ignored(tmp_path):
    folder = save(tmp_path / "raw")
    for name in DIFFMM:
        write(folder / f"{name}.pkl", pickle.dumps(Trap()))
    assert isinstance(find_splits(folder), MatrixFolder)
    write(tmp_path / "json/train.json", "{}")
    write(tmp_path / "json/train_mat", pickle.dumps(Trap()))
    assert isinstance(find_splits(tmp_path / "json"), MMSSLFolder)


def test_splits_in_two_formats(tmp_path):
    write(save(tmp_path / "raw") / "train.json", "{}")
    with pytest.raises(InputError, match=r"has splits as train.json and trnMat.npz; expected"):
        find_splits(tmp_path / "raw")


def test_other_folders(tmp_path):
    assert find_splits(tmp_path) is None


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.zeros((2, 3)), r"valid.npy: is float64, \[2, 3\]; expected integers of shape \[2, pai"),
        (np.zeros((3, 2), int), r"valid.npy: is int64, \[3, 2\]; expected integers"),
        (np.array([[0], [-1]]), "valid.npy: has row -1; expected 0 or more"),
        (np.array([[0], [10**15]]), "valid.npy: has row 1000000000000000; expected"),
        (np.array([[0], [10**8]]), "has item 100000000, but only"),
        (np.zeros((2, 0), int), "valid.npy: has no pairs that can be used"),
        (np.array([[0], [1]], dtype=object), "valid.npy: can't be read"),
    ],
)
def test_damaged_arrays(tmp_path, x, found):
    folder = save_arrays(tmp_path / "raw", valid=x)
    (folder / "image_feat.npy").unlink()
    with pytest.raises(InputError, match=found):
        prepared(folder, tmp_path / "out", on_error="skip")
