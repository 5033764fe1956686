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
from mentor_pyg.nn.loss import batch_bpr, triple_norm, weighted
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import edge_softmax, weighted_sum
from mentor_pyg.typing import Batch


class GRCN(BaseRecommender):
    r"""The model from the `"Graph-Refined Convolutional Network for Multimedia
    Recommendation with Implicit Feedback" <https://arxiv.org/abs/2008.01291>`_ paper.

    In every modality, a user's prototype :math:`\mathbf{p}_u` starts from a free row and is
    routed towards those of its items that are alike, T times:

    .. math::
        \mathbf{p}_u \leftarrow \frac{\mathbf{p}_u + \sum_{i \in \mathcal{N}_u}
        \mathrm{softmax}_i(\langle \mathbf{p}_u, \mathbf{f}_i \rangle) \, \mathbf{f}_i}
        {\lVert \cdot \rVert}, \qquad
        \mathbf{f}_i = \frac{\sigma(\mathbf{W} \mathbf{x}_i + \mathbf{b})}{\lVert \cdot \rVert}

    With :math:`\mathbf{x}_n` for either, a softmax over each node's neighbours weighs both
    directions of a pair; the weights of the modalities, times the sender's confidence in
    each, refine the graph on which the IDs' free vectors :math:`\mathbf{v}`, scaled to
    length one, travel:

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

    An item that came after training has no ID vector.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Size D of the ID vectors.
        content_channels: Size of prototypes and features.
        num_layers: Hops L of the ID vectors.
        num_routings: T.
        combine: :obj:`"confidence"` trains the :math:`c_{jm}`, which start at one;
            :obj:`"max"` leaves them there.
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
        """Vectors of users and items, of the IDs and of each modality beside each other."""
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
        return weighted(
            bpr=(1, lambda: batch_bpr(*out, batch)),
            reg=(self.reg_weight, lambda: self._regularization(nodes(data), batch)),
        )

    def _prototypes(self, data: HeteroData) -> list[tuple[Tensor, Tensor]]:
        """Routed users [U, content_channels] and features of items [I, content_channels] by
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
    """One weight for every edge [E], under its sender's confidence in the modalities; the
    pruned ones have zero."""
    weight = torch.stack(shares, dim=1)
    if confidence is not None:
        weight = weight * rows(confidence).index_select(0, adj.col)
    return weight.amax(dim=1).relu()
