from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.hypergraph import ContentHypergraph
from mentor_pyg.nn.loss import batch_info_nce, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Probability, Widths
from mentor_pyg.sparse.edges import neighbor_sum
from mentor_pyg.typing import Batch


class LGMRec(BaseRecommender):
    r"""The model from the `"LGMRec: Local and Global Graph Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2312.16400>`_ paper.

    Local embeddings are ID embeddings :math:`\bar{\mathbf{E}}`, propagated as in
    :class:`LightGCN`, and the content of each modality after K hops, where users start from
    the mean of their items:

    .. math::
        \mathbf{F}^m_I = \mathbf{X}^m \mathbf{W}_m, \qquad
        \mathbf{f}^m_u = \frac{1}{|\mathcal{N}_u|} \sum_{i \in \mathcal{N}_u}
        \mathbf{f}^m_i, \qquad
        \mathbf{E}^{loc} = \bar{\mathbf{E}} + \sum_m \mathrm{norm}(\hat{\mathbf{A}}^K
        \mathbf{F}^m)

    Global embeddings :math:`\mathbf{G}^m` pass the ID embeddings of all items through the
    hyperedges of the modality (:class:`~mentor_pyg.nn.ContentHypergraph`):

    .. math::
        \mathbf{Z} = \mathbf{E}^{loc} + \alpha \, \mathrm{norm} \Big( \sum_m \mathbf{G}^m
        \Big), \qquad
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_1 \sum_{m < m'} \mathcal{L}_{NCE}(
        \mathbf{G}^m, \mathbf{G}^{m'}) + \frac{\lambda_2}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{z}_{u_b} \rVert^2 + \lVert \mathbf{z}_{i_b} \rVert^2
        + \lVert \mathbf{z}_{j_b} \rVert^2

    where norm divides rows by their length, and InfoNCE is over the distinct users and over
    the distinct positive items of a batch. Items added after training are embedded by their
    hyperedges alone, since they have no users.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops of the ID embeddings.
        num_content_layers: Number of hops K of the content.
        num_hyperedges: Number of hyperedges A of a modality.
        num_hyper_layers: Number of hops on the hypergraphs.
        dropout: Dropout ratio of the hypergraphs.
        temperature: :math:`\tau` of InfoNCE and of the hypergraphs.
        global_weight: :math:`\alpha`.
        contrast_weight: :math:`\lambda_1`.
        reg_weight: :math:`\lambda_2`.
    """

    uses_content = True
    whole_graph = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        num_content_layers: NonNegativeInt = 2,
        num_hyperedges: Count = 4,
        num_hyper_layers: Count = 1,
        dropout: Probability = 0.5,
        temperature: Positive = 0.2,
        global_weight: NonNegative = 0.3,
        contrast_weight: NonNegative = 0.2,
        reg_weight: NonNegative = 1e-6,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.projections = ModalityProjections(in_channels, hidden_channels, bias=False)
        self.hypergraph = ContentHypergraph(
            in_channels, num_hyperedges, num_hyper_layers, temperature, dropout
        )
        self.num_content_layers, self.temperature = num_content_layers, temperature
        self.global_weight, self.contrast_weight = global_weight, contrast_weight
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._embed(data)[0]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out, views = self._embed(data)
        contrast = self.contrast_weight if len(views) > 1 else 0
        return self.objective(
            *out,
            batch,
            contrast=(contrast, lambda: self._contrast(views, batch)),
            reg=(self.reg_weight, lambda: triple_norm(*out, batch)),
        )

    def _embed(self, data: HeteroData) -> tuple[Pair, dict[str, Pair]]:
        """Users and items, and their global embeddings by modality."""
        adj = self.interactions(data)
        user, item = self.propagation(*self.embedding(nodes(data)), adj)
        x, mask = content(data, self.projections.modalities)
        views = self.hypergraph(x, mask, adj, item[: self.embedding.item.size(0)])
        count = adj.rowptr.diff().clamp(min=1).unsqueeze(1)
        for near_item in self.projections(x, mask).values():
            near_user = neighbor_sum(near_item, adj) / count
            for _ in range(self.num_content_layers):
                near_user, near_item = adj @ near_item, adj.t() @ near_user
            user, item = user + normalize(near_user), item + normalize(near_item)
        far_user, far_item = (torch.stack(far).sum(dim=0) for far in zip(*views.values()))
        out = (
            user + self.global_weight * normalize(far_user),
            item + self.global_weight * normalize(far_item),
        )
        return out, views

    def _contrast(self, views: Mapping[str, Pair], batch: Batch) -> Tensor:
        pairs = combinations(views.values(), 2)
        terms = [batch_info_nce(a, b, batch, self.temperature) for a, b in pairs]
        return torch.stack(terms).sum()
