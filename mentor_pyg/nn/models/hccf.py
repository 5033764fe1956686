from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.hypergraph import LowRankHypergraph
from mentor_pyg.nn.loss import batch_info_nce, sum_of_squares
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.nn.pruning import EdgeDropout
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Probability
from mentor_pyg.typing import Batch


class Hop(NamedTuple):
    """Messages to users [U, D] and items [I, D] over the user-item graph and the hypergraphs."""

    near: Pair
    wide: Pair


class HCCF(BaseRecommender):
    r"""The model from the `"Hypergraph Contrastive Collaborative Filtering"
    <https://arxiv.org/abs/2204.12200>`_ paper. It uses no content.

    In each hop, nodes aggregate their neighbours on the user-item graph
    :math:`\hat{\mathbf{A}}` and, through the hyperedges of a learned hypergraph
    (:class:`~mentor_pyg.nn.LowRankHypergraph`), all other users or all other items:

    .. math::
        \mathbf{Z}^{(l)} = \sigma(\hat{\mathbf{A}} \mathbf{E}^{(l-1)}), \qquad
        \boldsymbol{\Gamma}^{(l)} = \mathrm{hyper}(\mathbf{E}^{(l-1)}), \qquad
        \mathbf{E}^{(l)} = \mathbf{Z}^{(l)} + \boldsymbol{\Gamma}^{(l)}
        + \mathbf{E}^{(l-1)}, \qquad
        \mathbf{E} = \sum_{l=0}^{L} \mathbf{E}^{(l)}

    with :math:`\sigma` a LeakyReLU, and dropout on :math:`\hat{\mathbf{A}}` in training. The
    score is :math:`s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle`. The objective
    contrasts the messages of both graphs in each hop:

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_1 \sum_{l=1}^{L} \left(
        \mathrm{InfoNCE}_\tau(\mathbf{Z}^{(l)}_{\mathcal{U}},
        \boldsymbol{\Gamma}^{(l)}_{\mathcal{U}}) +
        \mathrm{InfoNCE}_\tau(\mathbf{Z}^{(l)}_{\mathcal{I}},
        \boldsymbol{\Gamma}^{(l)}_{\mathcal{I}}) \right)
        + \lambda_2 \lVert \theta \rVert^2

    over the distinct users and positive items of the batch.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        num_hyperedges: Number of hyperedges K of each hypergraph.
        num_levels: Number of mappings C between hyperedges.
        dropout: Dropout ratio of the graph and the hypergraphs.
        negative_slope: Negative slope of the LeakyReLU.
        contrast_weight: :math:`\lambda_1`.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_2`.
    """

    whole_graph = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        num_hyperedges: Count = 128,
        num_levels: NonNegativeInt = 3,
        dropout: Probability = 0.5,
        negative_slope: float = 0.5,
        contrast_weight: NonNegative = 1e-3,
        temperature: Positive = 1.0,
        reg_weight: NonNegative = 1e-7,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        sizes = (hidden_channels, num_hyperedges, num_levels, dropout, negative_slope)
        self.user_hypergraph = LowRankHypergraph(*sizes)
        self.item_hypergraph = LowRankHypergraph(*sizes)
        self.edge_dropout = EdgeDropout(dropout)
        self.num_layers, self.negative_slope = num_layers, negative_slope
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._propagate(data)[0]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out, hops = self._propagate(data)
        return self.objective(
            *out,
            batch,
            contrast=(self.contrast_weight, lambda: self._contrast(hops, batch)),
            reg=(self.reg_weight, lambda: sum_of_squares(list(self.parameters()))),
        )

    def _propagate(self, data: HeteroData) -> tuple[Pair, list[Hop]]:
        adj = self.interactions(data)
        user, item = out = self.embedding(nodes(data))
        user_member = self.user_hypergraph.members(user)
        item_member = self.item_hypergraph.members(item)
        hops = []
        for _ in range(self.num_layers):
            heard = self.edge_dropout(adj) @ item, self.edge_dropout(adj.t()) @ user
            near_user, near_item = (F.leaky_relu(x, self.negative_slope) for x in heard)
            near = near_user, near_item
            wide = (
                self.user_hypergraph(user, user_member),
                self.item_hypergraph(item, item_member),
            )
            hops.append(Hop(near, wide))
            user, item = near[0] + wide[0] + user, near[1] + wide[1] + item
            out = out[0] + user, out[1] + item
        return out, hops

    def _contrast(self, hops: list[Hop], batch: Batch) -> Tensor:
        terms = [batch_info_nce(*hop, batch, self.temperature) for hop in hops]
        return torch.stack(terms).sum()
