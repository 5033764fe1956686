"""Export of embeddings: arrays with original IDs, and FAISS indices."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mentor_pyg._util.extras import optional
from mentor_pyg._util.file_sets import Writer, whole, write_together
from mentor_pyg.datasets.features import IDS_SUFFIX
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.serving.ids import IdMap
from mentor_pyg.serving.recommender import Recommender
from mentor_pyg.typing import ITEM, USER


@checked
def save_embeddings(recommender: Recommender, folder: Path | str) -> None:
    """Writes ``user_embeddings.npy`` [U, C] and ``item_embeddings.npy`` [I, C], with original
    IDs in ``user_ids.txt`` and ``item_ids.txt``, one per line.

    Either all four files are written, or none.

    Raises:
        InputError: If embeddings of the model are sparse.
    """
    _check_dense(recommender)
    contents = (
        _array(recommender.user_emb),
        _array(recommender.item_emb),
        _lines(recommender.users),
        _lines(recommender.items),
    )
    write_together(dict(zip(embedding_files(folder), contents, strict=True)))


def embedding_files(folder: Path | str) -> list[Path]:
    """Paths of the files that :func:`save_embeddings` writes."""
    return [
        Path(folder) / f"{node}{suffix}"
        for suffix in ("_embeddings.npy", IDS_SUFFIX)
        for node in (USER, ITEM)
    ]


@checked
def save_faiss(recommender: Recommender, path: Path | str) -> None:
    """Writes a FAISS index of the items, whose inner products with users are the scores.

    The index numbers items by row; ``<path>.ids.txt`` lists their original IDs, one per line.

    Raises:
        InputError: If FAISS is not installed, or embeddings of the model are sparse.
    """
    _check_dense(recommender)
    faiss = optional("faiss")
    index: Any = faiss.IndexFlatIP(recommender.item_emb.size(1))
    index.add(recommender.item_emb.cpu().numpy())
    file, ids = faiss_files(path)
    index_bytes = faiss.serialize_index(index).tobytes()
    write_together({file: whole(index_bytes), ids: _lines(recommender.items)})


def faiss_files(path: Path | str) -> list[Path]:
    """Paths of the files that :func:`save_faiss` writes."""
    path = Path(path)
    return [path, path.with_name(f"{path.name}.ids.txt")]


def _check_dense(recommender: Recommender) -> None:
    if recommender.user_emb.is_sparse or recommender.item_emb.is_sparse:
        raise InputError(
            f"{type(recommender.model).__name__}: its users are rows of interactions, not "
            "embeddings that can be exported; expected a model with embeddings of users and items"
        )


def _lines(ids: IdMap) -> Writer:
    return whole("".join(f"{label}\n" for label in ids.ids))


def _array(x: Tensor) -> Writer:
    def write(path: Path) -> None:
        with open(path, "wb") as file:  # given a path, np.save might append a suffix
            np.save(file, x.cpu().numpy())

    return write
