from typing import cast

import torch
from torch import Tensor
from torch.nn import ModuleList, Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.functional import SMALLEST_NORM, normalize, pad_rows
from mentor_pyg.nn.latent_graph import LatentGraph
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, item_adjacency, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Probability, Widths
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import Batch, similar


class LATTICE(BaseRecommender):
    r"""The model from the `"Mining Latent Structures for Multimedia Recommendation"
    <https://arxiv.org/abs/2104.09036>`_ paper, with LightGCN.

    Each modality has two item graphs: a frozen one of raw features :math:`\mathbf{x}`, built
    by :class:`~mentor_pyg.transforms.ItemKNN`, and a latent one of
    :math:`\mathbf{W}_m \mathbf{x} + \mathbf{b}_m` (:class:`~mentor_pyg.nn.LatentGraph`),
    whose neighbours are recomputed before each epoch. Both hold the cosines of each item's k
    nearest neighbours,
    :math:`\mathbf{S} = \mathbf{D}^{-1/2} \, \mathrm{kNN}(\cos) \, \mathbf{D}^{-1/2}`, and

    .. math::
        \mathbf{S}_I = \sum_m \alpha_m \left( \lambda \mathbf{S}_m
        + (1 - \lambda) \tilde{\mathbf{S}}_m \right), \qquad
        \boldsymbol{\alpha} = \mathrm{softmax}(\mathbf{a})

    For the frozen graph this requires ``self_loops=True`` and ``normalize="none"`` in
    ``ItemKNN``, as in the preset. If its rows are already divided by their sums, they stay
    :math:`\mathbf{D}^{-1} \, \mathrm{kNN}(\cos)`.

    Item embeddings are propagated over this graph, and all embeddings over the user-item
    graph as in :class:`LightGCN`:

    .. math::
        \mathbf{h}_i = (\mathbf{S}_I^{L_s} \mathbf{E}^{(0)}_I)_i, \qquad
        s_{ui} = \left\langle \mathbf{e}_u, \mathbf{e}_i
        + \frac{\mathbf{h}_i}{\lVert \mathbf{h}_i \rVert} \right\rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\beta}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    Items added after training receive the embeddings of their neighbours on the frozen graphs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        content_channels: Width of the projected features.
        num_layers: Number of hops on the user-item graph.
        num_item_layers: Number of hops :math:`L_s` on the item graph.
        num_neighbors: Neighbours k per item on a latent graph.
        skip_weight: :math:`\lambda`.
        reg_weight: :math:`\beta`.
    """

    uses_content = True
    whole_graph = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        content_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        num_item_layers: NonNegativeInt = 1,
        num_neighbors: Count = 10,
        skip_weight: Probability = 0.9,
        reg_weight: NonNegative = 1e-5,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.projections = ModalityProjections(in_channels, content_channels, init="linear")
        self.graphs = ModuleList(LatentGraph(num_items, num_neighbors) for _ in in_channels)
        self.logit = Parameter(torch.zeros(len(in_channels)))
        self.num_item_layers = num_item_layers
        self.skip_weight, self.reg_weight = skip_weight, reg_weight

    def reset_parameters(self) -> None:
        super().reset_parameters()
        torch.nn.init.zeros_(self.logit)

    def start_epoch(self, data: HeteroData) -> None:
        """Rebuilds the latent graphs from the current projected features."""
        with torch.no_grad():
            learned = self._learned(data)
        for graph, x in zip(self.graphs, learned):
            cast(LatentGraph, graph).rebuild(x)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._propagate(self.embedding(nodes(data)), data)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        out = self._propagate(free, data)
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: triple_norm(*free, batch)),
        )

    def _propagate(self, free: tuple[Tensor, Tensor], data: HeteroData) -> tuple[Tensor, Tensor]:
        user, item = self.propagation(*free, self.interactions(data))
        return user, item + normalize(self._neighbors(free[1], data))

    def _learned(self, data: HeteroData) -> list[Tensor]:
        """Projected features of the training items; zero if missing."""
        x, mask = content(data, self.projections.modalities)
        known = slice(self.embedding.item.size(0))
        x = {m: rows[known] for m, rows in x.items()}
        mask = {m: None if present is None else present[known] for m, present in mask.items()}
        return list(self.projections(x, mask).values())

    def _neighbors(self, hidden: Tensor, data: HeteroData) -> Tensor:
        """Propagates items [I, D] over the item graphs."""
        names, learned = self.projections.modalities, self._learned(data)
        frozen = [item_adjacency(data, similar(m)) for m in names]
        weights, num_known = self.logit.softmax(dim=0), self.embedding.item.size(0)
        for _ in range(self.num_item_layers):
            hops = []
            for old, graph, x, weight in zip(frozen, self.graphs, learned, weights):
                new = pad_rows(graph(x, hidden[:num_known]), hidden.size(0))
                skip = _symmetric_hop(old, hidden)
                hops.append(weight * (self.skip_weight * skip + (1 - self.skip_weight) * new))
            hidden = torch.stack(hops).sum(dim=0)
        return hidden


def _symmetric_hop(adj: Adjacency, x: Tensor) -> Tensor:
    """One hop with symmetrically normalised weights; degrees are sums of incoming weights."""
    total = adj @ x.new_ones(x.size(0), 1)
    root = total.clamp(min=SMALLEST_NORM).rsqrt()
    return root * (adj @ (root * x))
