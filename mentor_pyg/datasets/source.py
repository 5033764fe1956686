"""Data sources of runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg._util.hashes import fingerprint
from mentor_pyg._util.tensor_files import content_hash
from mentor_pyg.datasets import MMRecDataset, SyntheticDataset
from mentor_pyg.datasets.amazon import BY_NAME
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked

SYNTHETIC = "synthetic"
"""Origin of synthetic data."""

KNOWN = (SYNTHETIC, *BY_NAME)
"""Names of datasets that :func:`open_source` accepts."""


@dataclass(frozen=True)
class Source:
    """A dataset with its name and origin: a folder, or "synthetic"."""

    name: str
    origin: str
    dataset: Any


@checked
def open_source(folder: str | Path) -> Source:
    """Opens a dataset.

    Args:
        folder: A folder in the MMRec layout; :obj:`"baby"`, :obj:`"sports"` or
            :obj:`"clothing"`, downloaded to ``data`` if necessary; or :obj:`"synthetic"` for
            a synthetic dataset of the size of Baby.

    Raises:
        FileNotFoundError: If the folder or its table does not exist.
        InputError: If the data are invalid.
    """
    if folder == "":
        raise InputError("data: folder '' not found; expected a folder with a .inter file")
    if folder == SYNTHETIC:
        return Source("synthetic-baby", SYNTHETIC, SyntheticDataset())
    if folder in BY_NAME and not Path(folder).exists():
        dataset = BY_NAME[str(folder)]()
    else:
        dataset = MMRecDataset(folder)
    return Source(dataset.name, str(dataset.folder.resolve()), dataset)


def synthetic_warning(origin: str) -> list[str]:
    """Warning line for results on synthetic data; empty for other data."""
    if origin != SYNTHETIC:
        return []
    return ["!! SYNTHETIC DATA: results are not comparable with published ones !!"]


def data_fingerprint(data: HeteroData) -> str:
    """Fingerprint of all pairs, features and masks, without IDs."""
    parts = [
        (str(store._key), name, content_hash(value))
        for store in data.stores
        for name, value in sorted(store.items())
        if isinstance(value, Tensor) and name != "original_id"
    ]
    return fingerprint(parts)
