"""Where a run's data comes from."""

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
"""The origin of data that are made up."""

KNOWN = (SYNTHETIC, *BY_NAME)
"""Datasets that :func:`open_source` knows by name."""


@dataclass(frozen=True)
class Source:
    """A dataset with its name and where it is from: a folder, or "synthetic"."""

    name: str
    origin: str
    dataset: Any


@checked
def open_source(folder: str | Path) -> Source:
    """The dataset in a folder.

    Args:
        folder: A folder in the MMRec layout; :obj:`"baby"`, :obj:`"sports"` or
            :obj:`"clothing"`, downloaded to ``data`` if need be; or :obj:`"synthetic"`
            for a synthetic dataset of the size of Baby.

    Raises:
        FileNotFoundError: If the folder or its table doesn't exist.
        InputError: If the data can't be used.
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
    """The line that goes with figures on made-up data; none for data from elsewhere."""
    if origin != SYNTHETIC:
        return []
    return ["!! SYNTHETIC DATA: made up by a seed; the figures compare with no paper !!"]


def data_fingerprint(data: HeteroData) -> str:
    """A key of the content of all pairs, features and masks; ids don't count."""
    parts = [
        (str(store._key), name, content_hash(value))
        for store in data.stores
        for name, value in sorted(store.items())
        if isinstance(value, Tensor) and name != "original_id"
    ]
    return fingerprint(parts)
