from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData, InMemoryDataset

from mentor_pyg.datasets.features import (
    IDS_SUFFIX,
    check_modality,
    find_features,
    mask_path,
    read_features,
    read_ids,
)
from mentor_pyg.datasets.interactions import Interactions, read_interactions
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.datasets.row_numbers import is_integer
from mentor_pyg.datasets.statistics import DatasetStatistics, statistics
from mentor_pyg.errors import InputError
from mentor_pyg.files import cache_dir, cached, check_folder, fingerprint
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER

FORMAT = 2
"""Goes into the cache key; raise it when the processed form, or what files mean, changes."""


class MMRecDataset(InMemoryDataset):
    r"""A folder in the layout of the `MMRec <https://arxiv.org/abs/2302.03497>`_ toolbox.

    ======================  ============================================================
    ``<name>.inter``        table (tab or comma) with the columns ``userID``, ``itemID``
                            and ``x_label`` (0 train, 1 validation, 2 test)
    ``<stem>_feat.npy``     features of one modality, float [I, D_m], row = itemID;
                            ``image``, ``text`` and ``audio`` become the modalities
                            ``visual``, ``textual`` and ``acoustic``
    ``<stem>_mask.npy``     optional, bool [I], False where an item has no content
    ``user_ids.txt``,       optional, original ids in row order, one a line; needed when
    ``item_ids.txt``        item ids are labels and there are features
    ======================  ============================================================

    The only element is a :class:`~torch_geometric.data.HeteroData` with ``user`` and
    ``item`` nodes, ``item.x_<modality>`` (and ``item.mask_<modality>`` where something
    is missing), training pairs as ``(user, interacts, item).edge_index``, held-out pairs
    as its ``val_edge_label_index`` and ``test_edge_label_index``, and the reverse edges
    ``(item, rev_interacts, user)``. ``original_id`` of both node types maps rows back.

    Processing is cached in ``$MENTOR_PYG_CACHE`` or ``~/.cache/mentor_pyg`` under a key
    of all arguments and of the files' names, sizes and times. No file is ever
    unpickled.

    Args:
        root: The folder.
        name: Stem of the ``.inter`` file; may be left out if there is only one.
        modalities: Which modalities to load, in any order; all that are found if not
            given, none if empty.
        transform: Applied at every access.
        pre_transform: Applied once, before caching.
        force_reload: Whether to process again in spite of the cache.

    Raises:
        FileNotFoundError: If the folder or its table doesn't exist.
        InputError: If a file can't be used; the message says where and why.
    """

    def __init__(
        self,
        root: str | Path,
        name: str | None = None,
        modalities: Sequence[str] | None = None,
        transform: Callable | None = None,
        pre_transform: Callable | None = None,
        force_reload: bool = False,
    ) -> None:
        self.folder = Path(root).expanduser()
        self.table = find_table(self.folder, name)
        self.name = self.table.stem
        self.features = _choose(self.folder, find_features(self.folder), modalities)
        self.id_files = {node: self.folder / f"{node}{IDS_SUFFIX}" for node in (USER, ITEM)}
        files = [self.table, *self.id_files.values()]
        for path in self.features.values():
            files += [path, mask_path(path)]
        stamps = [
            (str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()
        ]
        self.key = fingerprint(FORMAT, stamps, list(self.features), repr(pre_transform))
        super().__init__(str(self.folder), transform, pre_transform)
        # Not by `process()`, around which PyG leaves pickles:
        path = Path(self.processed_paths[0])
        if force_reload:
            path.unlink(missing_ok=True)
        content = cached(path, self._build)
        self.data = HeteroData.from_dict(content)

    @property
    def processed_dir(self) -> str:
        return str(cache_dir() / f"{self.name}-{self.key}")

    @property
    def processed_file_names(self) -> str:
        return "data.pt"

    def _build(self) -> dict:
        ids = {node: read_ids(path) for node, path in self.id_files.items()}
        table = read_interactions(self.table, ids[USER], ids[ITEM])
        if table.item_ids is not None and ids[ITEM] is None and self.features:
            first = next(iter(self.features.values()))
            label = next(label for label in table.item_ids if not is_integer(label))
            raise InputError(
                f"{self.table}: itemIDs are labels ('{label}'), so rows of "
                f"{first.name} can't be told; expected {self.id_files[ITEM].name} beside it"
            )
        features = {m: read_features(p, table.num_items) for m, p in self.features.items()}
        data = to_hetero_data(table, features)
        return (self.pre_transform(data) if self.pre_transform else data).to_dict()

    def statistics(self) -> DatasetStatistics:
        """Sizes of the splits, cold users and items, coverage of each modality."""
        return statistics(self._data)


def find_table(folder: Path, name: str | None = None) -> Path:
    """The table of interactions in a folder."""
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
    """Interactions, and features with their masks, as one graph."""
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
