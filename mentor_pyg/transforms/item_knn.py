from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from mentor_pyg._util.cache import cached
from mentor_pyg._util.hashes import fingerprint
from mentor_pyg._util.tensor_files import content_hash
from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, NonNegative, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.transforms.knn import Backend, choose_backend, cosine_knn, cosine_knn_among
from mentor_pyg.typing import ITEM, SIMILAR, modalities, similar

FORMAT = 3
"""Version of the search, part of the cache key; increase it when results change."""

Graph: TypeAlias = tuple[Tensor, Tensor]
"""``edge_index`` and ``edge_weight``."""


@functional_transform("item_knn")
@checked
class ItemKNN(BaseTransform):
    r"""Adds a frozen kNN graph of the items for each modality, from raw features.

    Edges :math:`b \to a` of ``(item, similar_<m>, item)`` point to a from its k most similar
    items b by cosine (Eq. 3-4 of the `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper).
    They are stored as ``edge_index`` and ``edge_weight`` and, for propagation, as
    ``adjacency``, an :class:`~mentor_pyg.Adjacency`. Items whose features are missing or all
    zero get no edges.

    Args:
        k: Neighbours per item.
        weights: :obj:`"cosine"` for similarities, with negative ones set to zero;
            :obj:`"binary"` for ones.
        self_loops: Whether an item is the first of its own k neighbours.
        normalize: :obj:`"row"` divides weights by the sum of their row :math:`d_a`,
            :obj:`"symmetric"` by :math:`\sqrt{d_a d_b}`, :obj:`"none"` does not.
        merge: Weights by modality, or :obj:`"equal"` for one over their number. If given, the
            weighted sum of the graphs, ``(item, similar, item)``, replaces them.
        backend: See :func:`~mentor_pyg.transforms.cosine_knn`.
        cache: Whether to cache neighbours on disk. The key covers features and arguments.

    Raises:
        InputError: If there are no features, k is too large for a modality, or the names in
            ``merge`` are not the modalities of the data.
    """

    def __init__(
        self,
        k: Count = 10,
        weights: Literal["cosine", "binary"] = "cosine",
        self_loops: bool = False,
        normalize: Literal["row", "symmetric", "none"] = "row",
        merge: Mapping[str, NonNegative] | Literal["equal"] | None = None,
        backend: Backend = "auto",
        cache: bool = True,
    ) -> None:
        self.k = k
        self.weights = weights
        self.self_loops = self_loops
        self.normalize = normalize
        self.merge: Mapping[str, float] | str | None = merge
        self.backend: Backend = backend
        self.cache = cache

    def forward(self, data: HeteroData) -> HeteroData:
        names = modalities(data)
        if not names:
            raise InputError("the items have no features; expected at least one modality for kNN")
        num_items = data[ITEM].num_nodes
        graphs = self._merge({m: self._graph(m, data) for m in names}, num_items)
        for edge_type, graph in graphs.items():
            store_graph(data, edge_type, graph, num_items)
        return data

    def edges_to_new(
        self,
        data: HeteroData,
        x: Mapping[str, Tensor],
        mask: Mapping[str, Tensor],
    ) -> dict[tuple[str, str, str], Graph]:
        """Edges to items that are added to those of ``data``.

        Their neighbours are chosen and weighted as usual, but only among the items of
        ``data``. New items therefore do not depend on each other, and edges between existing
        items do not change.

        Args:
            data: The existing items, with their raw features.
            x: Raw features of the new items [n, D_m] by modality.
            mask: Bool [n], False where a new item has no content.

        Returns:
            Edges to the new items, whose indices are I to I + n - 1, and their weights, by
            edge type.
        """
        num_items = data[ITEM].num_nodes
        graphs = {}
        for modality in modalities(data):
            others, other_mask = _content(modality, data)
            edge_index, similarity = cosine_knn_among(
                x[modality], others, self.k - self.self_loops, mask[modality], other_mask
            )
            edge_index[1] += num_items
            if self.self_loops:
                present = x[modality].any(dim=1) & mask[modality]
                own = num_items + present.nonzero().t().repeat(2, 1)
                edge_index = torch.cat([edge_index, own], dim=1)
                similarity = torch.cat([similarity, similarity.new_ones(own.size(1))])
            known = None
            if self.normalize == "symmetric":
                known = _row_sums(*self._similar(*self._neighbors(others, other_mask)), num_items)
            graphs[modality] = self._weigh(edge_index, similarity, known)
        return self._merge(graphs, num_items + max(len(new) for new in x.values()))

    def _merge(self, graphs: dict[str, Graph], num_nodes: int) -> dict[tuple[str, str, str], Graph]:
        """The graphs by edge type, or their weighted sum."""
        merge = self._merge_weights(list(graphs))
        if merge is None:
            return {similar(m): graph for m, graph in graphs.items()}
        edge_index = torch.cat([edges for edges, _ in graphs.values()], dim=1)
        edge_weight = torch.cat([merge[m] * w for m, (_, w) in graphs.items()])
        return {SIMILAR: coalesce(edge_index, edge_weight, num_nodes)}

    def _merge_weights(self, names: list[str]) -> Mapping[str, float] | None:
        if isinstance(self.merge, str):
            return dict.fromkeys(names, 1 / len(names))
        if self.merge is not None and set(self.merge) != set(names):
            raise InputError(
                f"'merge' weighs {', '.join(sorted(self.merge))}; "
                f"expected the modalities of the data, {', '.join(names)}"
            )
        return self.merge

    def _graph(self, modality: str, data: HeteroData) -> Graph:
        try:
            return self._weigh(*self._neighbors(*_content(modality, data)))
        except ValueError as error:
            raise InputError(f"modality '{modality}': {error}") from None

    def _weigh(self, edge_index: Tensor, similarity: Tensor, known: Tensor | None = None) -> Graph:
        """Weights of the edges. ``known`` holds the row sums of items that only send."""
        edge_index, weight = self._similar(edge_index, similarity)
        if self.normalize == "none" or not weight.numel():
            return edge_index, weight
        source, target = edge_index
        total = _row_sums(edge_index, weight, int(edge_index.max()) + 1)
        if self.normalize == "row":
            return edge_index, weight / total.masked_fill(total == 0, 1.0)[target]
        if known is not None:
            total[: known.numel()] = known
        root = total.masked_fill(total == 0, torch.inf).rsqrt()
        return edge_index, root[source] * weight * root[target]

    def _similar(self, edge_index: Tensor, similarity: Tensor) -> Graph:
        """Weights before normalisation."""
        cosine = self.weights == "cosine"
        return edge_index, similarity.clamp(min=0) if cosine else torch.ones_like(similarity)

    def _neighbors(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        backend = choose_backend(self.backend, x, self.k)

        def search() -> tuple[Tensor, Tensor]:
            return cosine_knn(x, self.k, self.self_loops, backend, mask)

        if not self.cache:
            return search()
        content = [content_hash(t) for t in (x, mask) if t is not None]
        key = fingerprint(FORMAT, content, x.device.type, self.k, self.self_loops, backend)
        edge_index, similarity = cached(f"knn-{key}.pt", search)
        return edge_index.to(x.device), similarity.to(x.device)

    def __repr__(self) -> str:
        merged = "" if self.merge is None else f", merge={self.merge!r}"
        return (
            f"{self.__class__.__name__}(k={self.k}, weights='{self.weights}', "
            f"self_loops={self.self_loops}, normalize='{self.normalize}'{merged})"
        )


def _row_sums(edge_index: Tensor, weight: Tensor, num_items: int) -> Tensor:
    return weight.new_zeros(num_items).index_add_(0, edge_index[1], weight)


def _content(modality: str, data: HeteroData) -> tuple[Tensor, Tensor | None]:
    return data[ITEM][f"x_{modality}"], data[ITEM].get(f"mask_{modality}")


def store_graph(
    data: HeteroData, edge_type: tuple[str, str, str], graph: Graph, num_items: int
) -> None:
    """Adds an item graph to ``data`` as edges, weights and ``adjacency``."""
    edge_index, edge_weight = graph
    data[edge_type].edge_index = edge_index
    data[edge_type].edge_weight = edge_weight
    data[edge_type].adjacency = Adjacency.from_edge_index(
        edge_index, edge_weight, (num_items, num_items)
    )
