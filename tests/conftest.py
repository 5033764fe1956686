import gzip
import json
import resource
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.features import MODALITY_NAMES
from mentor_pyg.typing import INTERACTS, ITEM, modalities

# Shells let the commands that they run in the background ignore Ctrl-C, and so their children:
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def session_cache(tmp_path_factory):
    """For fixtures of modules, so that no test reads or writes the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENTOR_PYG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MENTOR_PYG_CACHE", str(folder))
    return folder


@pytest.fixture
def small_disk():
    """A context in which no file can grow beyond some bytes, as on a disk that is full."""

    @contextmanager
    def small_disk(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return small_disk


@pytest.fixture
def tiny():
    return SyntheticDataset.tiny()[0]


@pytest.fixture
def write_mmrec(tiny):
    """A function that writes a graph to a folder in the MMRec layout."""
    stems = {modality: stem for stem, modality in MODALITY_NAMES.items()}

    def write(folder, data=None, name="toy"):
        data = tiny if data is None else data
        store = data[INTERACTS]
        splits = [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]
        lines = ["userID\titemID\tx_label"]
        for label, pairs in enumerate(splits):
            lines += [f"{user}\t{item}\t{label}" for user, item in pairs.t().tolist()]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.inter").write_text("\n".join(lines) + "\n")
        for modality in modalities(data):
            stem = stems.get(modality, modality)
            np.save(folder / f"{stem}_feat.npy", data[ITEM][f"x_{modality}"].numpy())
            if f"mask_{modality}" in data[ITEM]:
                np.save(folder / f"{stem}_mask.npy", data[ITEM][f"mask_{modality}"].numpy())
        return folder

    return write


@pytest.fixture
def toy_folder(tmp_path, write_mmrec):
    """A folder ``toy`` with the tiny dataset: ``toy.inter``, visual and textual features."""
    return write_mmrec(tmp_path / "toy")


@pytest.fixture
def raw_amazon(tmp_path):
    """A folder ``raw`` of Amazon's files: who bought what, descriptions, image features."""
    data = SyntheticDataset.tiny(num_users=80, num_pairs=800)[0]
    folder = tmp_path / "raw"
    folder.mkdir()
    store = data[INTERACTS]
    pairs = [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]
    with gzip.open(folder / "reviews_Toys_5.json.gz", "wt") as file:
        for day, (user, item) in enumerate(torch.cat(pairs, dim=1).t().tolist()):
            review = {"reviewerID": f"U{user}", "asin": f"B{item:09}", "unixReviewTime": day}
            file.write(json.dumps(review) + "\n")
    with gzip.open(folder / "meta_Toys.json.gz", "wt") as file:
        for item in range(40):
            file.write(repr({"asin": f"B{item:09}", "title": f"Toy {item}"}) + "\n")
    with open(folder / "image_features_Toys.b", "wb") as binary:
        for item, x in enumerate(data[ITEM].x_visual):
            image = np.zeros(4096, dtype="<f4")
            image[: x.numel()] = x
            binary.write(f"B{item:09}".encode() + image.tobytes())
    return folder
