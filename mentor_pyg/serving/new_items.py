"""Embedding of new items by their features."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError, shown
from mentor_pyg.evaluation.ranking import SeenItems, rank
from mentor_pyg.nn.functional import zero_missing
from mentor_pyg.transforms import CompactFeatures, ItemKNN, LightGCNNorm
from mentor_pyg.transforms.item_knn import Graph, store_graph
from mentor_pyg.typing import ITEM, modalities

COPY_EVERY = 10
"""One in this many trained items is copied as a new item to calibrate the scale."""

COPY_USERS = 10_000
"""Maximum number of users for this calibration."""

Edges = dict[tuple[str, str, str], Graph]


@dataclass(frozen=True)
class ItemContent:
    """Settings for adding new items to the data of a trained model.

    Attributes:
        raw: The trained items with their original features, before compaction.
        graph: Transform that built the item graphs, if any.
        compact: Transform that compacted the features, if any.
    """

    raw: HeteroData
    graph: ItemKNN | None = None
    compact: CompactFeatures | None = None

    @cached_property
    def axes(self) -> dict[str, Tensor | None]:
        """Projections of the features, which are slow to compute."""
        if self.compact is None:
            return {}
        store, axes = self.raw[ITEM], {}
        for m in modalities(self.raw):
            x = zero_missing(store[f"x_{m}"], store.get(f"mask_{m}"))
            axes[m] = self.compact.axes(x, m)
        return axes

    def append(
        self, data: HeteroData, x: Mapping[str, Tensor], mask: Mapping[str, Tensor]
    ) -> HeteroData:
        """Appends new items to ``data`` without changing existing ones.

        Args:
            data: The model's data, which may already have new items.
            x: Raw features [n, D_m] by modality.
            mask: Bool [n], False where an item has no content.
        """
        edges = {} if self.graph is None else self.graph.edges_to_new(self.raw, x, mask)
        later = data[ITEM].num_nodes - self.raw[ITEM].num_nodes
        edges = {kind: (_shift(e, self.raw, later), w) for kind, (e, w) in edges.items()}
        compact = {m: self._compact(m, rows) for m, rows in x.items()}
        return _extend(data, compact, mask, edges)

    def _compact(self, modality: str, x: Tensor) -> Tensor:
        if self.compact is None:
            return x
        return self.compact.project(x, self.axes[modality])


def _shift(edge_index: Tensor, raw: HeteroData, by: int) -> Tensor:
    """Renumbers edges to new items to follow other new items."""
    return torch.where(edge_index >= raw[ITEM].num_nodes, edge_index + by, edge_index)


def append_copies(data: HeteroData, rows: Tensor) -> HeteroData:
    """Appends copies of the items ``rows`` [n] as new items, with features and item graphs but
    without users."""
    store = data[ITEM]
    names = modalities(data)
    x = {m: store[f"x_{m}"][rows] for m in names}
    everywhere = torch.ones(store.num_nodes, dtype=torch.bool, device=rows.device)
    mask = {m: store.get(f"mask_{m}", everywhere)[rows] for m in names}
    place = rows.new_full((store.num_nodes,), -1)
    place[rows] = store.num_nodes + torch.arange(rows.numel(), device=rows.device)
    edges = {}
    for kind in data.edge_types:
        if kind[0] == kind[2] == ITEM:
            kept = place[data[kind].edge_index[1]] >= 0
            source, target = data[kind].edge_index[:, kept]
            source = torch.where(source == target, place[target], source)  # self-loops
            edges[kind] = torch.stack([source, place[target]]), data[kind].edge_weight[kept]
    return _extend(data, x, mask, edges)


def _extend(
    data: HeteroData, x: Mapping[str, Tensor], mask: Mapping[str, Tensor], edges: Edges
) -> HeteroData:
    data = copy(data)
    store = data[ITEM]
    num_old, num_new = store.num_nodes, max(len(rows) for rows in x.values())
    for modality, rows in x.items():
        old = store[f"x_{modality}"]
        store[f"x_{modality}"] = torch.cat([old, rows.to(old.dtype)])
        old_mask = store.get(f"mask_{modality}")
        if old_mask is not None or not mask[modality].all():
            if old_mask is None:
                old_mask = mask[modality].new_ones(num_old)
            store[f"mask_{modality}"] = torch.cat([old_mask, mask[modality]])
    store.num_nodes = num_old + num_new
    for kind, (edge_index, edge_weight) in edges.items():
        graph = (
            torch.cat([data[kind].edge_index, edge_index], dim=1),
            torch.cat([data[kind].edge_weight, edge_weight]),
        )
        store_graph(data, kind, graph, store.num_nodes)
    return LightGCNNorm()(data)


def fair_scale(
    user_emb: Tensor, item_emb: Tensor, copy_emb: Tensor, rows: Tensor, seen: SeenItems, k: int = 20
) -> float:
    r"""Factor for embeddings of new items that gives them a fair share of all lists.

    New items receive no messages from users, so their embeddings are shorter and they hardly
    enter any list. The factor is calibrated on trained items, so that it does not depend on
    the new ones: n copies, embedded as new items, compete with the I items. Let
    :math:`a_{ur}` be the r-th highest score of user u's unseen items, and :math:`b_{ur}` that
    of the copies. With the factor c, copies fill at least r of the K places of a list if and
    only if :math:`c \, b_{ur} > a_{u, K + 1 - r}`. Their share of places is thus
    n / (I + n), as it should be, if c is this quantile of all ratios
    :math:`a_{u, K + 1 - r} / b_{ur}`.

    Args:
        user_emb: User embeddings [U, C].
        item_emb: Embeddings of the trained items [I, C].
        copy_emb: Embeddings of the copies as new items [n, C].
        rows: Rows of the copied items [n].
        seen: Items each user has seen, which excludes their copies as well.
        k: Length K of the lists; on small data a twentieth of the items.

    Raises:
        InputError: If there is no positive factor.
    """
    num_users, num_items = user_emb.size(0), item_emb.size(0)
    k = min(k, max(1, num_items // 20), rows.numel())
    users = torch.arange(0, num_users, -(-num_users // COPY_USERS), device=rows.device)
    as_new = item_emb.index_copy(0, rows, copy_emb)
    old = rank(user_emb, item_emb, users, k, seen).scores
    new = rank(user_emb, as_new, users, k, seen, candidates=rows).scores
    ratio = torch.where(new > 0, old.flip(1) / new, torch.inf).flatten()
    share = rows.numel() / (num_items + rows.numel())
    scale = float(ratio.sort().values[int(share * ratio.numel())])
    if not 0 < scale < np.inf:
        raise InputError(
            f"new items fill their share of the lists at a scale of {scale}; "
            "expected a model with positive scores, or `scale` as a number"
        )
    return scale


def check_features(
    raw: HeteroData,
    ids: np.ndarray,
    features: Mapping[str, Any],
    masks: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Features [n, D_m] and masks of new items for each modality of the model, after checks."""
    known, masks = modalities(raw), {} if masks is None else masks
    for what, given in (("features", features), ("masks", masks)):
        if not isinstance(given, Mapping):
            raise InputError(
                f"{what} of new items: are {shown(given)}; expected an array by modality, "
                f"of {', '.join(known)}"
            )
    for modality in (*features, *masks):
        if modality not in known:
            raise InputError(
                f"features of new items: modality {shown(modality)} is unknown; "
                f"expected {', '.join(known)}"
            )
    x, mask = {}, {}
    for modality in known:
        like = raw[ITEM][f"x_{modality}"]
        size = (len(ids), like.size(1))
        if modality in features:
            found = masks.get(modality, np.ones(len(ids), dtype=bool))
            rows = _to_tensor(features[modality], modality).to(like)
            present = _to_tensor(found, modality).to(like.device)
            _check_rows(modality, rows, present, size)
            x[modality] = torch.where(present.unsqueeze(1), rows, 0.0)
        else:
            x[modality] = like.new_zeros(size)
            present = torch.zeros(len(ids), dtype=torch.bool, device=like.device)
        mask[modality] = present
    nothing = ~torch.stack(list(mask.values())).any(dim=0).cpu().numpy()
    if nothing.any():
        raise InputError(
            f"new item '{ids[nothing][0]}': has no features at all; "
            f"expected some of {', '.join(known)}"
        )
    return x, mask


def _to_tensor(values: Any, modality: str) -> Tensor:
    try:
        tensor = torch.as_tensor(values if isinstance(values, Tensor) else np.asarray(values))
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if tensor is None or tensor.is_complex():
        raise InputError(
            f"{modality} features of new items: are not an array of numbers "
            f"({type(values).__name__}); "
            "expected one row for each item"
        )
    return tensor


def _check_rows(modality: str, x: Tensor, mask: Tensor, size: tuple[int, int]) -> None:
    where = f"{modality} features of new items"
    if x.shape != size:
        raise InputError(f"{where}: have shape {list(x.shape)}; expected {list(size)}")
    if mask.dtype != torch.bool or mask.shape != size[:1]:
        raise InputError(
            f"{where}: their mask has dtype {mask.dtype} and shape {list(mask.shape)}; "
            f"expected bool, [{size[0]}]"
        )
    broken = (~x.isfinite() & mask.unsqueeze(1)).nonzero()
    if broken.numel():
        row, column = broken[0].tolist()
        raise InputError(
            f"{where}: row {row}, column {column} is {x[row, column].item()}; "
            "expected finite numbers (mark missing items in a mask)"
        )
