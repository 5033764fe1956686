from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, ModuleList, Sequential, Softmax, Tanh
from torch_geometric.data import HeteroData
from torch_geometric.utils import coalesce

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.gating import item_view, sigmoid_gate
from mentor_pyg.nn.loss import batch_info_nce, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, item_adjacency, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.nn.spectrum import SpectrumFusion
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
)
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import Batch, similar


class Views(NamedTuple):
    """Behaviour and content views of users [U, D] and items [I, D]."""

    behavior: Pair
    content: Pair


class SMORE(BaseRecommender):
    r"""The model from the `"Spectrum-based Modality Representation Fusion Graph Convolutional
    Network for Multimodal Recommendation" <https://arxiv.org/abs/2412.14978>`_ paper.

    Projected features are filtered, and fused (f), in the frequency domain
    (:class:`~mentor_pyg.nn.SpectrumFusion`). They gate the item embeddings :math:`\mathbf{v}`,
    which are propagated over the item graph :math:`\mathbf{S}_m` of the modality, or over
    :math:`\mathbf{S}_f`, the maximum over all item graphs, and then to the users:

    .. math::
        \mathbf{E}^m_I = \mathbf{S}_m^{L_s} \left( \mathbf{V} \odot
        \sigma(\hat{\mathbf{H}}^m \mathbf{W}^m_g + \mathbf{b}^m_g) \right), \qquad
        \mathbf{E}^m_U = \hat{\mathbf{R}} \mathbf{E}^m_I, \qquad m \in M \cup \{f\}

    The fused view selects what matters in each modality, and the behaviour view
    :math:`\bar{\mathbf{E}}`, computed as in :class:`LightGCN`, weighs the modalities:

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

    where InfoNCE is over the distinct users and over the distinct positive items of a batch.
    Items added after training receive the embeddings of their neighbours on the item graphs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops on the user-item graph.
        num_item_layers: Number of hops :math:`L_s` on the item graphs.
        dropout: Dropout ratio of :math:`\mathbf{P}`.
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
        self.ranking = BPRLoss()
        size, names = hidden_channels, sorted(in_channels)
        self.embedding = UserItemEmbedding(num_users, num_items, size)
        self.propagation = Propagation(num_layers, readout="mean")
        self.projections = ModalityProjections(in_channels, size, init="linear")
        self.spectrum = SpectrumFusion(len(names), size)
        self.queries = ModuleList(_query(size) for _ in names)
        # One for each modality, and a last one for the fused features.
        self.gates = ModuleList(sigmoid_gate(size) for _ in range(len(names) + 1))
        self.preferences = ModuleList(sigmoid_gate(size) for _ in range(len(names) + 1))
        self.num_item_layers, self.dropout = num_item_layers, dropout
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight
        self._merged_graphs: list[Tensor] = []
        self._merged: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_merged_graphs": [], "_merged": None}

    def start_epoch(self, data: HeteroData) -> None:
        """Merges the item graphs, which is not possible in compiled code."""
        self._merged_graph(data)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return _sum(self._views(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        views = self._views(data)
        out = _sum(views)
        return self.objective(
            *out,
            batch,
            contrast=(
                self.contrast_weight,
                lambda: batch_info_nce(views.content, views.behavior, batch, self.temperature),
            ),
            reg=(self.reg_weight, lambda: triple_norm(*out, batch)),
        )

    def _views(self, data: HeteroData) -> Views:
        free: Pair = self.embedding(nodes(data))
        behavior = self.propagation(*free, self.interactions(data))
        users, items = zip(*self._content_parts(free[1], data))
        user, item = (self._choose(*sides) for sides in zip(behavior, (users, items)))
        return Views(behavior, (user, item))

    def _choose(self, behavior: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Weighs the content views of users or of items [N, D]."""
        *parts, fused = parts
        heard = [query(fused) * part for query, part in zip(self.queries, parts)]
        chosen = [
            F.dropout(preference(behavior), self.dropout, self.training) * part
            for preference, part in zip(self.preferences, [*heard, fused])
        ]
        return torch.stack(chosen).mean(dim=0)

    def _content_parts(self, free: Tensor, data: HeteroData) -> list[Pair]:
        """Gated items propagated over the item graphs and to the users, for each modality and
        for the fused features."""
        x, mask = content(data, self.projections.modalities)
        filtered, fused = self.spectrum(self.projections(x, mask), mask)
        graphs = [item_adjacency(data, similar(m)) for m in filtered]
        graphs.append(self._merged_graph(data))
        adj = self.interactions(data)
        return [
            item_view(free * gate(z), graph, adj, self.num_item_layers)
            for z, gate, graph in zip([*filtered.values(), fused], self.gates, graphs)
        ]

    def _merged_graph(self, data: HeteroData) -> Adjacency:
        """The maximum of all item graphs, cached for the same data."""
        graphs = [item_adjacency(data, similar(m)) for m in self.projections.modalities]
        known = self._merged_graphs
        if len(graphs) != len(known) or any(a.weight is not b for a, b in zip(graphs, known)):
            stores = [data[similar(m)] for m in self.projections.modalities]
            weight = torch.cat([store.edge_weight for store in stores])
            edge_index, weight = coalesce(
                torch.cat([store.edge_index for store in stores], dim=1), weight, reduce="max"
            )
            self._merged = Adjacency.from_edge_index(edge_index, weight, graphs[0].shape)
            self._merged_graphs = [graph.weight for graph in graphs]
        return self._merged


def _sum(views: Views) -> Pair:
    (user, item), (user_content, item_content) = views
    return user + user_content, item + item_content


def _query(size: int) -> Sequential:
    return Sequential(Linear(size, size), Tanh(), Linear(size, size, bias=False), Softmax(dim=1))
