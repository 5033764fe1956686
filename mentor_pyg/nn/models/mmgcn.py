from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import ModuleList, Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.conv import MMGCNConv
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, Widths
from mentor_pyg.typing import Batch


class MMGCN(BaseRecommender):
    r"""The model from the `"MMGCN: Multi-modal Graph Convolution Network for Personalized
    Recommendation of Micro-video" <https://doi.org/10.1145/3343031.3351034>`_ paper.

    Each modality has its own layers (:class:`~mentor_pyg.nn.MMGCNConv`) on the user-item
    graph. They start from L2-normalised user embeddings :math:`\mathbf{p}_u^m` and projected
    item features, and share the ID embeddings :math:`\mathbf{v}`. The last layers are averaged:

    .. math::
        \mathbf{e} = \frac{1}{M} \sum_m \mathbf{x}^{(L)}_m, \qquad
        \mathbf{x}^{(0)}_{u,m} = \frac{\mathbf{p}_u^m}{\lVert \cdot \rVert}, \quad
        \mathbf{x}^{(0)}_{i,m} = \frac{\mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m}
        {\lVert \cdot \rVert}, \qquad
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{v}_{u_b} \rVert^2 + \sum_m \lVert \mathbf{p}^m_{u_b} \rVert^2
        + \lVert \mathbf{v}_{i_b} \rVert^2 + \lVert \mathbf{v}_{j_b} \rVert^2

    Items added after training have no ID embedding.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        content_channels: Width of the projected features.
        num_layers: Number of layers L.
        combine: How a layer combines a node with its neighbours, :obj:`"concat"` or
            :obj:`"sum"`.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        content_channels: Count = 256,
        num_layers: Count = 2,
        combine: Literal["concat", "sum"] = "concat",
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projections = ModalityProjections(in_channels, content_channels, init="linear")
        self.user = Parameter(torch.empty(len(in_channels), num_users, content_channels))
        widths = [content_channels] + [hidden_channels] * (num_layers - 1)
        self.convs = ModuleList(
            ModuleList(MMGCNConv(width, hidden_channels, combine) for width in widths)
            for _ in in_channels
        )
        self.reg_weight = reg_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for rows in self.user:
            torch.nn.init.xavier_normal_(rows)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        graph, adj = nodes(data), self.interactions(data)
        id_user, id_item = self.embedding(graph)
        projected = self.projections(*content(data, self.projections.modalities))
        users, items = [], []
        for free, features, convs in zip(self.user, projected.values(), self.convs):
            user, item = normalize(graph.users(free)), normalize(features)
            for conv in cast(ModuleList, convs):
                user, item = (
                    conv((item, user), id_user, adj),
                    conv((user, item), id_item, adj.t()),
                )
            users.append(user)
            items.append(item)
        return torch.stack(users).mean(dim=0), torch.stack(items).mean(dim=0)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out: Pair = self(data)
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: self._regularization(data, batch)),
        )

    def _regularization(self, data: HeteroData, batch: Batch) -> Tensor:
        graph = nodes(data)
        id_user, id_item = self.embedding(graph)
        user = torch.cat([id_user, *(graph.users(free) for free in self.user)], dim=1)
        return triple_norm(user, id_item, batch)
