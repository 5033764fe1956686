from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.functional import normalize, pad_rows
from mentor_pyg.nn.graph import bipartite_parts
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import content, content_sizes, sizes, user_item_graph
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import edge_softmax, weighted_sum
from mentor_pyg.typing import ITEM, Batch


@checked
class GRCN(torch.nn.Module):
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
        self.confidence = None
        if combine == "confidence":
            self.confidence = Parameter(torch.empty(num_users + num_items, len(in_channels)))
        self.num_layers, self.num_routings = num_layers, num_routings
        self.reg_weight = reg_weight
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "GRCN":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        self.projections.reset_parameters()
        for rows in self.user:
            torch.nn.init.xavier_normal_(rows)
        if self.confidence is not None:
            torch.nn.init.ones_(self.confidence)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Vectors of users and items, of the IDs and of each modality beside each other."""
        adj = user_item_graph(data)
        nodes = self._prototypes(data)
        shares = [edge_softmax(x, x, adj) for x in nodes]
        parts = [x + weighted_sum(x, adj, share) for x, share in zip(nodes, shares)]
        z = torch.cat([self._propagate(data, self._refine(shares, adj)), *parts], dim=1)
        return self.embedding.split(z)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        losses = {"bpr": bpr_loss(*score_triples(*self.encode(data), batch))}
        if self.reg_weight > 0:
            user = torch.cat([self.embedding.user, *self.user], dim=1)
            norm = triple_norm(user, self.embedding.item, batch)
            losses["reg"] = self.reg_weight * norm
        return losses

    def _prototypes(self, data: HeteroData) -> list[Tensor]:
        """Routed users and features of items [U + I, content_channels] by modality."""
        to_user, _ = bipartite_parts(user_item_graph(data), self.embedding.num_users)
        projected = self.projections(*content(data, self.projections.modalities))
        nodes = []
        for rows, item in zip(self.user, projected.values()):
            user, item = normalize(rows), normalize(F.leaky_relu(item))
            for _ in range(self.num_routings):
                share = edge_softmax(user, item, to_user)
                user = normalize(user + weighted_sum(item, to_user, share))
            nodes.append(torch.cat([user, item]))
        return nodes

    def _refine(self, shares: list[Tensor], adj: Adjacency) -> Tensor:
        """One weight for every edge [2 E]; the pruned ones have zero."""
        weight = torch.stack(shares, dim=1)
        if self.confidence is not None:
            weight = weight * self.confidence.index_select(0, adj.col)
        return weight.amax(dim=1).relu()

    def _propagate(self, data: HeteroData, weight: Tensor) -> Tensor:
        """The ID vectors over the refined graph [U + I, D]."""
        free = pad_rows(self.embedding.item, data[ITEM].num_nodes)
        hidden = out = normalize(torch.cat([self.embedding.user, free]))
        for _ in range(self.num_layers):
            hidden = weighted_sum(hidden, user_item_graph(data), weight)
            out = out + hidden
        return out
