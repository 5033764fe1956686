"""Embeddings for other programs: arrays with their ids, and an index of FAISS."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg.extras import optional
from mentor_pyg.files import atomic_path
from mentor_pyg.serving.ids import IdMap
from mentor_pyg.serving.recommender import Recommender


def save_embeddings(recommender: Recommender, folder: Path | str) -> None:
    """Writes ``user_embeddings.npy`` [U, C] and ``item_embeddings.npy`` [I, C], and the
    original ids of their rows, ``user_ids.txt`` and ``item_ids.txt``, one a line.

    All four appear together, or none does.
    """
    folder = Path(folder)
    content: dict[str, bytes | np.ndarray] = {
        "user_embeddings.npy": recommender.user_emb.cpu().numpy(),
        "item_embeddings.npy": recommender.item_emb.cpu().numpy(),
        "user_ids.txt": _lines(recommender.users),
        "item_ids.txt": _lines(recommender.items),
    }
    _write({folder / name: value for name, value in content.items()})


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
    path = Path(path)
    ids = path.with_name(f"{path.name}.ids.txt")
    _write({path: faiss.serialize_index(index).tobytes(), ids: _lines(recommender.items)})


def _lines(ids: IdMap) -> bytes:
    return "".join(f"{label}\n" for label in ids.ids).encode()


def _write(files: Mapping[Path, bytes | np.ndarray]) -> None:
    with ExitStack() as stack:
        for path, content in files.items():
            temporary = stack.enter_context(atomic_path(path))
            with open(temporary, "wb") as file:
                if isinstance(content, np.ndarray):
                    np.save(file, content)
                else:
                    file.write(content)
