"""Where a run's data comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.datasets import MMRecDataset, SyntheticDataset
from mentor_pyg.datasets.amazon import BY_NAME
from mentor_pyg.datasets.mmrec import find_table
from mentor_pyg.files import content_hash, fingerprint


@dataclass(frozen=True)
class Source:
    """A dataset with its name and where it is from: a folder, or "synthetic"."""

    name: str
    origin: str
    dataset: Any

    @property
    def is_synthetic(self) -> bool:
        return self.origin == "synthetic"


def open_source(folder: str | Path | None, default: str | Path | None = None) -> Source:
    """The dataset in a folder.

    Args:
        folder: A folder in the MMRec layout; :obj:`"baby"`, :obj:`"sports"` or
            :obj:`"clothing"`, downloaded to ``data`` if need be; or
            :obj:`"synthetic"`. If it is None, ``default`` is tried, and if that holds no
            table, a synthetic dataset of the size of Baby is made.
        default: Where data is looked for if no folder is named.
    """
    if folder is None:
        try:
            find_table(Path(default or "data"))
        except FileNotFoundError:
            folder = "synthetic"
        else:
            folder = default or "data"
    if folder == "synthetic":
        return Source("synthetic-baby", "synthetic", SyntheticDataset())
    if folder in BY_NAME and not Path(folder).exists():
        dataset = BY_NAME[str(folder)]()
    else:
        dataset = MMRecDataset(folder)
    return Source(dataset.name, str(dataset.folder.resolve()), dataset)


def data_fingerprint(data: HeteroData) -> str:
    """A key of the content of all pairs, features and masks; ids don't count."""
    parts = [
        (str(store._key), name, content_hash(value))
        for store in data.stores
        for name, value in sorted(store.items())
        if isinstance(value, Tensor) and name != "original_id"
    ]
    return fingerprint(parts)
