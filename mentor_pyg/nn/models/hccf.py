from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.hypergraph import LowRankHypergraph
from mentor_pyg.nn.loss import batch_info_nce, bpr_loss, score_triples, sum_of_squares
from mentor_pyg.nn.models.inputs import sizes, user_item_graph
from mentor_pyg.nn.pruning import EdgeDropout
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Probability, checked
from mentor_pyg.typing import Batch


class Hop(NamedTuple):
    """Messages to all nodes [U + I, D] over pairs, and over hyperedges."""

    near: Tensor
    wide: Tensor


@checked
class HCCF(torch.nn.Module):
    r"""The model from the `"Hypergraph Contrastive Collaborative Filtering"
    <https://arxiv.org/abs/2204.12200>`_ paper. It uses no content.

    In every hop a node hears its neighbours on the user-item graph
    :math:`\hat{\mathbf{A}}`, and all other users, or items, by the hyperedges of a learned
    hypergraph (:class:`~mentor_pyg.nn.LowRankHypergraph`) of either:

    .. math::
        \mathbf{Z}^{(l)} = \sigma(\hat{\mathbf{A}} \mathbf{E}^{(l-1)}), \qquad
        \boldsymbol{\Gamma}^{(l)} = \mathrm{hyper}(\mathbf{E}^{(l-1)}), \qquad
        \mathbf{E}^{(l)} = \mathbf{Z}^{(l)} + \boldsymbol{\Gamma}^{(l)}
        + \mathbf{E}^{(l-1)}, \qquad
        \mathbf{E} = \sum_{l=0}^{L} \mathbf{E}^{(l)}

    with :math:`\sigma` a LeakyReLU, and entries of :math:`\hat{\mathbf{A}}` dropped in
    training. With the score :math:`s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle`, the
    objective contrasts near and wide messages of every hop:

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
        num_layers: Hops L.
        num_hyperedges: Hyperedges K of the users, and of the items.
        num_levels: Mappings C among hyperedges.
        dropout: Dropout ratio of both graphs.
        negative_slope: Slope of the LeakyReLU.
        contrast_weight: :math:`\lambda_1`.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_2`.
    """

    uses_content = False

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
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        sizes = (hidden_channels, num_hyperedges, num_levels, dropout, negative_slope)
        self.user_hypergraph = LowRankHypergraph(*sizes)
        self.item_hypergraph = LowRankHypergraph(*sizes)
        self.edge_dropout = EdgeDropout(dropout)
        self.num_layers, self.negative_slope = num_layers, negative_slope
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "HCCF":
        """A model for the users and items of ``data``."""
        return cls(**sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        self.user_hypergraph.reset_parameters()
        self.item_hypergraph.reset_parameters()

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.embedding.split(self._propagate(data)[0])

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out, hops = self._propagate(data)
        losses = {"bpr": bpr_loss(*score_triples(*self.embedding.split(out), batch))}
        if self.contrast_weight > 0:
            losses["contrast"] = self.contrast_weight * self._contrast(hops, batch)
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * sum_of_squares(list(self.parameters()))
        return losses

    def _propagate(self, data: HeteroData) -> tuple[Tensor, list[Hop]]:
        """Embeddings of all nodes [U + I, D], and the messages of every hop."""
        user_member = self.user_hypergraph.members(self.embedding.user)
        item_member = self.item_hypergraph.members(self.embedding.item)
        out = hidden = self.embedding()
        hops = []
        for _ in range(self.num_layers):
            adj = self.edge_dropout(user_item_graph(data))
            near = F.leaky_relu(adj.matmul(hidden), self.negative_slope)
            users, items = self.embedding.split(hidden)
            wide = torch.cat(
                [self.user_hypergraph(users, user_member), self.item_hypergraph(items, item_member)]
            )
            hops.append(Hop(near, wide))
            hidden = near + wide + hidden
            out = out + hidden
        return out, hops

    def _contrast(self, hops: list[Hop], batch: Batch) -> Tensor:
        """InfoNCE over users plus InfoNCE over items, summed over hops."""
        views = [(self.embedding.split(hop.near), self.embedding.split(hop.wide)) for hop in hops]
        terms = [batch_info_nce(*pair, batch, self.temperature) for pair in views]
        return torch.stack(terms).sum()
