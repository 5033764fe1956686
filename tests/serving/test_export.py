import sys

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.serving.export import embedding_files, save_embeddings, save_faiss


def test_embeddings(rec, new_features, tmp_path):
    rec = rec.add_items([99], new_features(1))
    save_embeddings(rec, tmp_path / "out")
    for node, emb in (("user", rec.user_emb), ("item", rec.item_emb)):
        loaded = np.load(tmp_path / "out" / f"{node}_embeddings.npy", allow_pickle=False)
        assert np.array_equal(loaded, emb.numpy())
        ids = (tmp_path / "out" / f"{node}_ids.txt").read_text().splitlines()
        assert len(ids) == len(loaded)
    assert ids == [*map(str, range(40)), "99"]
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize("blocked", ["user_embeddings.npy", "item_ids.txt"])
def test_all_files_or_none(rec, tmp_path, blocked):
    out = tmp_path / "out"
    out.mkdir()
    for path in embedding_files(out):
        path.write_text("old")
    (out / blocked).unlink()
    (out / blocked).mkdir()
    with pytest.raises(InputError, match=f"{blocked}: is a folder; expected a file"):
        save_embeddings(rec, out)
    assert len(list(out.iterdir())) == 4
    assert {p.read_text() for p in out.iterdir() if p.is_file()} == {"old"}


def test_faiss_gives_the_same_lists(rec, tmp_path):
    faiss = pytest.importorskip("faiss")
    path = tmp_path / "items.index"
    save_faiss(rec, path)
    scores, rows = faiss.read_index(str(path)).search(rec.user_emb.numpy(), 5)
    ids = np.array((tmp_path / "items.index.ids.txt").read_text().split(), dtype=int)
    lists = rec.recommend(k=5, exclude_seen=False)
    assert np.array_equal(ids[rows].flatten(), lists.items)
    np.testing.assert_allclose(scores.flatten(), lists.scores, rtol=1e-5)


def test_without_faiss(rec, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"faiss isn't installed; .*mentor_pyg\[faiss\]"):
        save_faiss(rec, tmp_path / "items.index")
