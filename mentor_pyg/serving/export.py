"""Embeddings for other programs: arrays with their ids, and an index of FAISS."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mentor_pyg._util.extras import optional
from mentor_pyg._util.file_sets import Writer, whole, write_together
from mentor_pyg.datasets.features import IDS_SUFFIX
from mentor_pyg.options import checked
from mentor_pyg.serving.ids import IdMap
from mentor_pyg.serving.recommender import Recommender
from mentor_pyg.typing import ITEM, USER


@checked
def save_embeddings(recommender: Recommender, folder: Path | str) -> None:
    """Writes ``user_embeddings.npy`` [U, C] and ``item_embeddings.npy`` [I, C], and the
    original ids of their rows, ``user_ids.txt`` and ``item_ids.txt``, one a line.

    All four appear together, or none does.
    """
    contents = (
        _array(recommender.user_emb),
        _array(recommender.item_emb),
        _lines(recommender.users),
        _lines(recommender.items),
    )
    write_together(dict(zip(embedding_files(folder), contents, strict=True)))


def embedding_files(folder: Path | str) -> list[Path]:
    """The files that :func:`save_embeddings` writes."""
    return [
        Path(folder) / f"{node}{suffix}"
        for suffix in ("_embeddings.npy", IDS_SUFFIX)
        for node in (USER, ITEM)
    ]


@checked
def save_faiss(recommender: Recommender, path: Path | str) -> None:
    """Writes an index of FAISS whose inner products with users' embeddings are scores.

    It knows items by their rows; ``<path>.ids.txt`` has the original id of each, one a
    line.

    Raises:
        InputError: If FAISS isn't installed.
    """
    faiss = optional("faiss")
    index: Any = faiss.IndexFlatIP(recommender.item_emb.size(1))
    index.add(recommender.item_emb.cpu().numpy())
    file, ids = faiss_files(path)
    index_bytes = faiss.serialize_index(index).tobytes()
    write_together({file: whole(index_bytes), ids: _lines(recommender.items)})


def faiss_files(path: Path | str) -> list[Path]:
    """The files that :func:`save_faiss` writes."""
    path = Path(path)
    return [path, path.with_name(f"{path.name}.ids.txt")]


def _lines(ids: IdMap) -> Writer:
    return whole("".join(f"{label}\n" for label in ids.ids))


def _array(x: Tensor) -> Writer:
    def write(path: Path) -> None:
        with open(path, "wb") as file:  # by its name np.save would make another of it
            np.save(file, x.cpu().numpy())

    return write
