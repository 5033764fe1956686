import numpy as np
import pytest

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.features import MODALITY_NAMES
from mentor_pyg.typing import INTERACTS, ITEM, modalities


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MENTOR_PYG_CACHE", str(folder))
    return folder


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
