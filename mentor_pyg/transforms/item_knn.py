import hashlib
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.errors import InputError
from mentor_pyg.files import cache_dir, cached, fingerprint
from mentor_pyg.transforms.knn import choose_backend, cosine_knn
from mentor_pyg.typing import ITEM, SIMILAR, modalities, similar


@functional_transform("item_knn")
class ItemKNN(BaseTransform):
    r"""Adds a frozen kNN graph of the items for every modality, from raw features.

    Edges :math:`b \to a` of ``(item, similar_<m>, item)`` point from each of the k
    items most similar to a, by cosine, to a (Eq. 3-4 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper). They are kept as ``edge_index`` and
    ``edge_weight`` and, ready for propagation, as ``adjacency``, an
    :class:`~mentor_pyg.Adjacency`. Items whose features are missing or all zero get no
    edges.

    Args:
        k: Neighbours of every item.
        weights: :obj:`"cosine"` keeps similarities, negative ones as zero;
            :obj:`"binary"` sets all to one.
        self_loops: Whether an item is the first of its own k neighbours.
        normalize: :obj:`"row"` divides by the sum of a row's weights, :obj:`"none"`
            doesn't.
        merge: Weights by modality, or :obj:`"equal"` for one over their number. If
            given, the graphs are added up under them to a single one,
            ``(item, similar, item)``, in place of one each.
        backend: See :func:`~mentor_pyg.transforms.cosine_knn`.
        cache: Whether to keep neighbours on disk, under a key of the features' content
            and all arguments.

    Raises:
        InputError: If there are no features, k is too large for a modality, or
            ``merge`` names other modalities than there are.
    """

    def __init__(
        self,
        k: int = 10,
        weights: Literal["cosine", "binary"] = "cosine",
        self_loops: bool = False,
        normalize: Literal["row", "none"] = "row",
        merge: Mapping[str, float] | Literal["equal"] | None = None,
        backend: Literal["auto", "torch", "torch_cluster", "faiss"] = "auto",
        cache: bool = True,
    ) -> None:
        self.k = k
        self.weights = weights
        self.self_loops = self_loops
        self.normalize = normalize
        if isinstance(merge, str) and merge != "equal":
            raise ValueError(f"'merge' must be 'equal' or weights by modality (got '{merge}')")
        self.merge: Mapping[str, float] | str | None = merge
        self.backend = backend
        self.cache = cache

    def forward(self, data: HeteroData) -> HeteroData:
        names = modalities(data)
        if not names:
            raise InputError("the items have no features; expected at least one modality for kNN")
        merge = self._merge_weights(names)
        num_items = data[ITEM].num_nodes
        graphs = {m: self._graph(m, data) for m in names}
        if merge is None:
            for modality, graph in graphs.items():
                _store(data, similar(modality), graph, num_items)
            return data
        edge_index = torch.cat([edges for edges, _ in graphs.values()], dim=1)
        edge_weight = torch.cat([merge[m] * w for m, (_, w) in graphs.items()])
        _store(data, SIMILAR, coalesce(edge_index, edge_weight, num_items), num_items)
        return data

    def _merge_weights(self, names: list[str]) -> Mapping[str, float] | None:
        if isinstance(self.merge, str):
            return dict.fromkeys(names, 1 / len(names))
        if self.merge is not None and set(self.merge) != set(names):
            raise InputError(
                f"'merge' weighs {', '.join(sorted(self.merge))}; "
                f"expected the modalities of the data, {', '.join(names)}"
            )
        return self.merge

    def _graph(self, modality: str, data: HeteroData) -> tuple[Tensor, Tensor]:
        x, mask = data[ITEM][f"x_{modality}"], data[ITEM].get(f"mask_{modality}")
        try:
            edge_index, similarity = self._neighbors(x, mask)
        except ValueError as error:
            raise InputError(f"modality '{modality}': {error}") from None
        cosine = self.weights == "cosine"
        weight = similarity.clamp(min=0) if cosine else torch.ones_like(similarity)
        if self.normalize == "row":
            total = weight.new_zeros(x.size(0)).index_add_(0, edge_index[1], weight)
            weight = weight / total[edge_index[1]].clamp(min=1e-12)
        return edge_index, weight

    def _neighbors(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        backend = choose_backend(self.backend, x, self.k)

        def search() -> tuple[Tensor, Tensor]:
            return cosine_knn(x, self.k, self.self_loops, backend, mask)

        if not self.cache:
            return search()
        content = [_content_hash(t) for t in (x, mask) if t is not None]
        key = fingerprint(content, self.k, self.self_loops, backend)
        edge_index, similarity = cached(cache_dir() / f"knn-{key}.pt", search)
        return edge_index.to(x.device), similarity.to(x.device)

    def __repr__(self) -> str:
        merged = "" if self.merge is None else f", merge={self.merge!r}"
        return (
            f"{self.__class__.__name__}(k={self.k}, weights='{self.weights}', "
            f"self_loops={self.self_loops}, normalize='{self.normalize}'{merged})"
        )


def _store(
    data: HeteroData,
    edge_type: tuple[str, str, str],
    graph: tuple[Tensor, Tensor],
    num_items: int,
) -> None:
    edge_index, edge_weight = graph
    data[edge_type].edge_index = edge_index
    data[edge_type].edge_weight = edge_weight
    data[edge_type].adjacency = Adjacency.from_edge_index(
        edge_index, edge_weight, (num_items, num_items)
    )


def _content_hash(x: Tensor) -> str:
    content = x.detach().cpu().contiguous().view(torch.uint8).numpy()
    digest = hashlib.blake2b(repr((x.dtype, x.shape)).encode(), digest_size=16)
    digest.update(content.data)
    return digest.hexdigest()
