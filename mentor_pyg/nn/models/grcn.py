from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import Nodes, UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import edge_softmax, weighted_sum
from mentor_pyg.typing import Batch


class GRCN(BaseRecommender):
    r"""The model from the `"Graph-Refined Convolutional Network for Multimedia
    Recommendation with Implicit Feedback" <https://arxiv.org/abs/2008.01291>`_ paper.

    In each modality, a user's prototype :math:`\mathbf{p}_u` starts from an embedding and is
    routed T times towards the features of similar items:

    .. math::
        \mathbf{p}_u \leftarrow \frac{\mathbf{p}_u + \sum_{i \in \mathcal{N}_u}
        \mathrm{softmax}_i(\langle \mathbf{p}_u, \mathbf{f}_i \rangle) \, \mathbf{f}_i}
        {\lVert \cdot \rVert}, \qquad
        \mathbf{f}_i = \frac{\sigma(\mathbf{W} \mathbf{x}_i + \mathbf{b})}{\lVert \cdot \rVert}

    Let :math:`\mathbf{x}_n` denote either. A softmax over each node's neighbours weighs both
    directions of a pair. The maximum over modalities, scaled by the sender's confidence,
    refines the graph on which the L2-normalised ID embeddings :math:`\mathbf{v}` are
    propagated:

    .. math::
        \alpha^m_{nj} = \mathrm{softmax}_{j \in \mathcal{N}_n}
        (\langle \mathbf{x}^m_n, \mathbf{x}^m_j \rangle), \qquad
        w_{nj} = \max(0, \max_m c_{jm} \alpha^m_{nj})

    .. math::
        \mathbf{e}_n = \sum_{l=0}^{L} (\mathbf{w}^l \mathbf{V})_n \,\Big\Vert_m\,
        \Big( \mathbf{x}^m_n + \sum_{j \in \mathcal{N}_n} \alpha^m_{nj} \mathbf{x}^m_j \Big),
        \qquad s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{v}_{u_b} \rVert^2 + \sum_m \lVert \mathbf{p}^{m,(0)}_{u_b} \rVert^2
        + \lVert \mathbf{v}_{i_b} \rVert^2 + \lVert \mathbf{v}_{j_b} \rVert^2

    Items added after training have no ID embedding.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Size D of the ID embeddings.
        content_channels: Size of prototypes and projected features.
        num_layers: Number of hops L of the ID embeddings.
        num_routings: Number of routing iterations T.
        combine: :obj:`"confidence"` trains the confidences :math:`c_{jm}`, which start at
            one; :obj:`"max"` fixes them at one.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        content_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        num_routings: NonNegativeInt = 3,
        combine: Literal["confidence", "max"] = "confidence",
        reg_weight: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projections = ModalityProjections(in_channels, content_channels, init="linear")
        self.user = Parameter(torch.empty(len(in_channels), num_users, content_channels))
        self.user_confidence = self.item_confidence = None
        if combine == "confidence":
            self.user_confidence = Parameter(torch.empty(num_users, len(in_channels)))
            self.item_confidence = Parameter(torch.empty(num_items, len(in_channels)))
        self.num_layers, self.num_routings = num_layers, num_routings
        self.reg_weight = reg_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for rows in self.user:
            torch.nn.init.xavier_normal_(rows)
        for confidence in (self.user_confidence, self.item_confidence):
            if confidence is not None:
                torch.nn.init.ones_(confidence)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users and items: ID embeddings concatenated with each modality."""
        adj, graph = self.interactions(data), nodes(data)
        user_shares, item_shares, user_parts, item_parts = [], [], [], []
        for user, item in self._prototypes(data):
            user_shares.append(edge_softmax(user, item, adj))
            item_shares.append(edge_softmax(item, user, adj.t()))
            user_parts.append(user + weighted_sum(item, adj, user_shares[-1]))
            item_parts.append(item + weighted_sum(user, adj.t(), item_shares[-1]))
        hops = (
            adj.with_weight(_refine(user_shares, adj, graph.items, self.item_confidence)),
            adj.t().with_weight(_refine(item_shares, adj.t(), graph.users, self.user_confidence)),
        )
        free_user, free_item = self.embedding(graph)
        user, item = out = normalize(free_user), normalize(free_item)
        for _ in range(self.num_layers):
            user, item = hops[0] @ item, hops[1] @ user
            out = out[0] + user, out[1] + item
        return torch.cat([out[0], *user_parts], dim=1), torch.cat([out[1], *item_parts], dim=1)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out: Pair = self(data)
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: self._regularization(nodes(data), batch)),
        )

    def _prototypes(self, data: HeteroData) -> list[tuple[Tensor, Tensor]]:
        """Routed users [U, content_channels] and item features [I, content_channels] of each
        modality."""
        adj, graph = self.interactions(data), nodes(data)
        projected = self.projections(*content(data, self.projections.modalities))
        pairs = []
        for rows, features in zip(self.user, projected.values()):
            user, item = normalize(graph.users(rows)), normalize(F.leaky_relu(features))
            for _ in range(self.num_routings):
                share = edge_softmax(user, item, adj)
                user = normalize(user + weighted_sum(item, adj, share))
            pairs.append((user, item))
        return pairs

    def _regularization(self, graph: Nodes, batch: Batch) -> Tensor:
        id_user, id_item = self.embedding(graph)
        user = torch.cat([id_user, *(graph.users(rows) for rows in self.user)], dim=1)
        return triple_norm(user, id_item, batch)


def _refine(
    shares: list[Tensor],
    adj: Adjacency,
    rows: Callable[[Tensor], Tensor],
    confidence: Tensor | None,
) -> Tensor:
    """Edge weights [E], scaled by the sender's confidence in each modality; zero for pruned
    edges."""
    weight = torch.stack(shares, dim=1)
    if confidence is not None:
        weight = weight * rows(confidence).index_select(0, adj.col)
    return weight.amax(dim=1).relu()
