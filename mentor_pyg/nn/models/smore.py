from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, ModuleList, Sequential, Sigmoid, Softmax, Tanh
from torch_geometric.data import HeteroData
from torch_geometric.nn.inits import reset
from torch_geometric.utils import coalesce

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.functional import pad_rows
from mentor_pyg.nn.graph import bipartite_parts
from mentor_pyg.nn.loss import batch_info_nce, bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import (
    content,
    content_sizes,
    item_adjacency,
    sizes,
    user_item_graph,
)
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.spectrum import SpectrumFusion
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
    checked,
)
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import ITEM, Batch, similar


class Views(NamedTuple):
    """What comes of the user-item graph and of the content [U + I, D] each."""

    behavior: Tensor
    content: Tensor


@checked
class SMORE(torch.nn.Module):
    r"""The model from the `"Spectrum-based Modality Representation Fusion Graph Convolutional
    Network for Multimodal Recommendation" <https://arxiv.org/abs/2412.14978>`_ paper.

    Projected features are filtered, and fused (f), by frequency
    (:class:`~mentor_pyg.nn.SpectrumFusion`). They gate the items' free vectors
    :math:`\mathbf{v}`, which then travel over the item graph :math:`\mathbf{S}_m` of their
    modality, or over :math:`\mathbf{S}_f`, the greatest weights of all, and to the users:

    .. math::
        \mathbf{E}^m_I = \mathbf{S}_m^{L_s} \left( \mathbf{V} \odot
        \sigma(\hat{\mathbf{H}}^m \mathbf{W}^m_g + \mathbf{b}^m_g) \right), \qquad
        \mathbf{E}^m_U = \hat{\mathbf{R}} \mathbf{E}^m_I, \qquad m \in M \cup \{f\}

    The fused view says what matters in each modality, and the behaviour
    :math:`\bar{\mathbf{E}}`, which is that of :class:`LightGCN`, how much of it:

    .. math::
        \tilde{\mathbf{E}} = \frac{1}{M + 1} \Big( \mathbf{P}_f \odot \mathbf{E}^f +
        \sum_m \mathbf{P}_m \odot \mathrm{softmax}(\tanh(\mathbf{E}^f \mathbf{W}^m_1
        + \mathbf{b}^m_1) \mathbf{W}^m_2) \odot \mathbf{E}^m \Big), \qquad
        \mathbf{P} = \sigma(\bar{\mathbf{E}} \mathbf{W}_p + \mathbf{b}_p)

    .. math::
        \mathbf{Z} = \bar{\mathbf{E}} + \tilde{\mathbf{E}}, \qquad
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_c \mathcal{L}_{NCE}(\tilde{\mathbf{E}},
        \bar{\mathbf{E}}) + \frac{\lambda}{2B} \sum_{b=1}^{B} \lVert \mathbf{z}_{u_b} \rVert^2
        + \lVert \mathbf{z}_{i_b} \rVert^2 + \lVert \mathbf{z}_{j_b} \rVert^2

    where InfoNCE is over the distinct users, plus over the distinct positive items, of a
    batch. An item that came after training starts from its neighbours on the item graphs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Hops on the user-item graph.
        num_item_layers: Hops :math:`L_s` on the item graphs.
        dropout: Dropout ratio of the :math:`\mathbf{P}`.
        contrast_weight: :math:`\lambda_c`.
        temperature: :math:`\tau` of InfoNCE.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 4,
        num_item_layers: NonNegativeInt = 1,
        dropout: Probability = 0.0,
        contrast_weight: NonNegative = 0.01,
        temperature: Positive = 0.2,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        size, names = hidden_channels, sorted(in_channels)
        self.embedding = UserItemEmbedding(num_users, num_items, size)
        self.propagation = Propagation(num_layers, readout="mean")
        self.projections = ModalityProjections(in_channels, size, init="linear")
        self.spectrum = SpectrumFusion(len(names), size)
        self.queries = ModuleList(_query(size) for _ in names)
        # One for each modality and, as the last, one for all fused:
        self.gates = ModuleList(_gate(size) for _ in range(len(names) + 1))
        self.preferences = ModuleList(_gate(size) for _ in range(len(names) + 1))
        self.num_item_layers, self.dropout = num_item_layers, dropout
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight
        self._merged_edges: list[Tensor] = []
        self._merged: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and files leave out the merged graph, which is built again."""
        return self.__dict__ | {"_merged_edges": [], "_merged": None}

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "SMORE":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), **options)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def start_epoch(self, data: HeteroData) -> None:
        """Merges the item graphs, which compiled code can't."""
        self._merged_graph(data)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        views = self._views(data)
        return self.embedding.split(views.behavior + views.content)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        views = self._views(data)
        user, item = self.embedding.split(views.behavior + views.content)
        losses = {"bpr": bpr_loss(*score_triples(user, item, batch))}
        if self.contrast_weight > 0:
            side, behavior = (self.embedding.split(z) for z in (views.content, views.behavior))
            contrast = batch_info_nce(side, behavior, batch, self.temperature)
            losses["contrast"] = self.contrast_weight * contrast
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * triple_norm(user, item, batch)
        return losses

    def _views(self, data: HeteroData) -> Views:
        free = pad_rows(self.embedding.item, data[ITEM].num_nodes)
        start = torch.cat([self.embedding.user, free])
        behavior = self.propagation(start, user_item_graph(data))
        *parts, fused = self._content_parts(free, data)
        heard = [query(fused) * part for query, part in zip(self.queries, parts)]
        chosen = [
            F.dropout(preference(behavior), self.dropout, self.training) * part
            for preference, part in zip(self.preferences, [*heard, fused])
        ]
        return Views(behavior, torch.stack(chosen).mean(dim=0))

    def _content_parts(self, free: Tensor, data: HeteroData) -> list[Tensor]:
        """What gated items tell each other and their users [U + I, D], by each modality and
        by all fused."""
        x, mask = content(data, self.projections.modalities)
        filtered, fused = self.spectrum(self.projections(x, mask), mask)
        graphs = [item_adjacency(data, similar(m)) for m in filtered]
        graphs.append(self._merged_graph(data))
        to_user, _ = bipartite_parts(user_item_graph(data), self.embedding.num_users)
        parts = []
        for z, gate, graph in zip([*filtered.values(), fused], self.gates, graphs):
            item = free * gate(z)
            for _ in range(self.num_item_layers):
                item = graph.matmul(item)
            parts.append(torch.cat([to_user.matmul(item), item]))
        return parts

    def _merged_graph(self, data: HeteroData) -> Adjacency:
        """The item graph of the greatest weights, made once for the same data."""
        types = [similar(m) for m in self.projections.modalities]
        for edge_type in types:
            item_adjacency(data, edge_type)  # which says what is missing
        stores = [data[edge_type] for edge_type in types]
        edges = [store.edge_index for store in stores]
        known = self._merged_edges
        if len(edges) != len(known) or any(a is not b for a, b in zip(edges, known)):
            weight = torch.cat([store.edge_weight for store in stores])
            size = data[ITEM].num_nodes
            edge_index, weight = coalesce(torch.cat(edges, dim=1), weight, size, reduce="max")
            self._merged_edges = edges
            self._merged = Adjacency.from_edge_index(edge_index, weight, (size, size))
        return self._merged


def _gate(size: int) -> Sequential:
    return Sequential(Linear(size, size), Sigmoid())


def _query(size: int) -> Sequential:
    return Sequential(Linear(size, size), Tanh(), Linear(size, size, bias=False), Softmax(dim=1))
