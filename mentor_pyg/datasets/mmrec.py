import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData, InMemoryDataset

from mentor_pyg._util.cache import cache_dir, cached, file_hash, transform_key
from mentor_pyg._util.files import check_folder
from mentor_pyg._util.hashes import fingerprint
from mentor_pyg.datasets.arrays import EXPECTED as ARRAY
from mentor_pyg.datasets.features import (
    IDS,
    IDS_SUFFIX,
    check_modality,
    find_features,
    mask_path,
    read_features,
    read_ids,
)
from mentor_pyg.datasets.interactions import TABLE, Interactions, read_interactions
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.datasets.row_numbers import is_integer
from mentor_pyg.datasets.sizes import DatasetStatistics, statistics
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER

FORMAT = 4
"""Version in the cache key; increase it when the processed form or its meaning changes."""


@checked
class MMRecDataset(InMemoryDataset):
    r"""A folder in the layout of the `MMRec <https://arxiv.org/abs/2302.03497>`_ toolbox.

    ======================  ============================================================
    ``<name>.inter``        table (tab or comma) with the columns ``userID``, ``itemID``
                            and ``x_label`` (0 train, 1 validation, 2 test)
    ``<stem>_feat.npy``     features of one modality, float [I, D_m], row = itemID;
                            ``image``, ``text`` and ``audio`` become the modalities
                            ``visual``, ``textual`` and ``acoustic``
    ``<stem>_mask.npy``     optional, bool [I], False where an item has no content
    ``user_ids.txt``,       optional, original IDs in the order of rows, one per line;
    ``item_ids.txt``        required for features if item IDs are labels
    ======================  ============================================================

    The only element is a :class:`~torch_geometric.data.HeteroData` with ``user`` and ``item``
    nodes, ``item.x_<modality>`` (and ``item.mask_<modality>`` if content is missing), training
    pairs as ``(user, interacts, item).edge_index``, held-out pairs as its
    ``val_edge_label_index`` and ``test_edge_label_index``, and reverse edges
    ``(item, rev_interacts, user)``. Both node types have an ``original_id``.

    Processed data are cached in ``$MENTOR_PYG_CACHE`` or ``~/.cache/mentor_pyg``; the key covers
    all arguments and the content of all files. Nothing is unpickled.
    Args:
        root: Folder of the dataset.
        name: Stem of the ``.inter`` file; optional if there is only one.
        modalities: Modalities to load; all if not given, none if empty.
        transform: Applied at each access.
        pre_transform: Applied once, before caching, if it is a transform of PyG or this package
            with a known key, or a list or composition of these. Other functions and classes
            are applied at each load to the cached data, since their keys could be ambiguous.
        force_reload: Whether to ignore the cache.

    Raises:
        FileNotFoundError: If the folder or its table does not exist.
        InputError: If a file is invalid; the message says where and why.
    """

    def __init__(
        self,
        root: str | Path,
        name: str | None = None,
        modalities: Sequence[str] | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        force_reload: bool = False,
    ) -> None:
        self.folder = Path(os.path.expanduser(root))
        self.table = find_table(self.folder, name)
        self.name = self.table.stem
        self.features = _choose(self.folder, find_features(self.folder), modalities)
        self.id_files = {node: self.folder / f"{node}{IDS_SUFFIX}" for node in (USER, ITEM)}
        # Transforms without a reliable key are applied after caching.
        key_of_transform = transform_key(pre_transform)
        kept = None if key_of_transform is None else pre_transform
        self.key = fingerprint(FORMAT, self._content(), key_of_transform)
        super().__init__(str(self.folder), transform, pre_transform)

        def build() -> dict[str, Any]:
            content = self._content()
            data = self._read()
            if self._content() != content:
                raise InputError(
                    f"{self.folder}: changed while it was read; expected unchanged files"
                )
            return (data if kept is None else kept(data)).to_dict()

        # PyG's `process()` would leave pickles behind.
        name = f"{self._kept_as}/{self.processed_file_names}"
        data = HeteroData.from_dict(cached(name, build, force_reload))
        self.data = data if kept is pre_transform else self.pre_transform(data)

    @property
    def _kept_as(self) -> str:
        return f"{self.name[:100]}-{self.key}"

    @property
    def processed_dir(self) -> str:
        return str(cache_dir() / self._kept_as)

    @property
    def processed_file_names(self) -> str:
        return "data.pt"

    def _content(self) -> list[tuple[str, str]]:
        """Names and hashes of all files, with features in their order."""
        kinds = {self.table: TABLE} | dict.fromkeys(self.id_files.values(), IDS)
        for path in self.features.values():
            kinds |= {path: ARRAY, mask_path(path): ARRAY}
        return [
            (path.name, file_hash(path, kind))
            for path, kind in kinds.items()
            if path == self.table or os.path.lexists(path)
        ]

    def _read(self) -> HeteroData:
        ids = {node: read_ids(path) for node, path in self.id_files.items()}
        table = read_interactions(self.table, ids[USER], ids[ITEM])
        if table.item_ids is not None and ids[ITEM] is None and self.features:
            first = next(iter(self.features.values()))
            label = next(label for label in table.item_ids if not is_integer(label))
            raise InputError(
                f"{self.table}: itemIDs are labels ({shown(label)}), so rows of "
                f"{first.name} can't be assigned; expected {self.id_files[ITEM].name} beside it"
            )
        features = {m: read_features(p, table.num_items) for m, p in self.features.items()}
        return to_hetero_data(table, features)

    def statistics(self) -> DatasetStatistics:
        """Sizes of the splits, cold users and items, and coverage of each modality."""
        return statistics(self._data)


def find_table(folder: Path, name: str | None = None) -> Path:
    """Path of the table of interactions in a folder."""
    check_folder(folder, "a folder with a .inter file")
    if name is not None:
        return folder / f"{name}.inter"
    tables = sorted(folder.glob("*.inter"))
    if not tables:
        raise FileNotFoundError(f"{folder}: has no .inter file; expected <name>.inter")
    if len(tables) > 1:
        found = ", ".join(path.name for path in tables)
        raise InputError(f"{folder}: has several tables ({found}); expected one, or its name")
    return tables[0]


def _choose(folder: Path, found: dict[str, Path], wanted: Sequence[str] | None) -> dict[str, Path]:
    for modality in wanted or ():
        if modality not in found:
            known = ", ".join(found) or "none"
            raise InputError(
                f"{folder}: has no features of modality '{modality}' (found {known}); "
                "expected a file <stem>_feat.npy"
            )
    chosen = found if wanted is None else {modality: found[modality] for modality in sorted(wanted)}
    for modality, path in chosen.items():
        check_modality(modality, path)
    return chosen


def to_hetero_data(
    table: Interactions, features: dict[str, tuple[np.ndarray, np.ndarray]]
) -> HeteroData:
    """Creates a graph from interactions, and features with masks."""
    pairs = torch.from_numpy(np.stack([table.user, table.item]))
    train, val, test = (pairs[:, torch.from_numpy(table.label == split)] for split in range(3))

    data = HeteroData()
    data[USER].num_nodes = table.num_users
    data[USER].original_id = _original_ids(table.user_ids, table.num_users)
    data[ITEM].num_nodes = table.num_items
    data[ITEM].original_id = _original_ids(table.item_ids, table.num_items)
    for modality, (x, mask) in features.items():
        data[ITEM][f"x_{modality}"] = torch.from_numpy(x)
        if not mask.all():
            data[ITEM][f"mask_{modality}"] = torch.from_numpy(mask)
    data[INTERACTS].edge_index = train
    data[INTERACTS].val_edge_label_index = val
    data[INTERACTS].test_edge_label_index = test
    data[REV_INTERACTS].edge_index = train.flip(0)
    return data


def _original_ids(labels: list[str] | None, num_rows: int) -> Tensor:
    return torch.arange(num_rows) if labels is None else OriginalIds(labels)
