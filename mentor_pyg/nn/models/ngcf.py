import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.data import HeteroData

from mentor_pyg.nn.conv.ngcf_conv import NGCFConv
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import sum_of_squares, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Probability
from mentor_pyg.typing import Batch


class NGCF(BaseRecommender):
    r"""The model from the `"Neural Graph Collaborative Filtering"
    <https://arxiv.org/abs/1905.08108>`_ paper. It uses no content.

    Layers :math:`\mathbf{E}^{(l)}` of :class:`~mentor_pyg.nn.NGCFConv` on the user-item
    graph are concatenated:

    .. math::
        \mathbf{E} = \Vert_{l=0}^{L} \, \mathbf{E}^{(l)}, \qquad
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2} \left( \frac{1}{B} \sum_{b=1}^{B}
        \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2
        + \sum_{l=1}^{L} \lVert \mathbf{W}_1^{(l)} \rVert^2
        + \lVert \mathbf{W}_2^{(l)} \rVert^2 \right)

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D of each layer.
        num_layers: Number of hops L.
        dropout: Dropout ratio of the layers' outputs.
        normalize: Whether the outputs of the layers are L2-normalised in the readout, as in the
            released code.
        reg_weight: :math:`\lambda`.
    """

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        dropout: Probability = 0.1,
        normalize: bool = True,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.convs = ModuleList(
            NGCFConv(hidden_channels, hidden_channels) for _ in range(num_layers)
        )
        self.dropout, self.normalize = dropout, normalize
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, (L + 1) D] and items [I, (L + 1) D]."""
        return self._propagate(self.embedding(nodes(data)), data)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        out = self._propagate(free, data)
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: self._regularization(free, batch)),
        )

    def _propagate(self, free: tuple[Tensor, Tensor], data: HeteroData) -> tuple[Tensor, Tensor]:
        adj = self.interactions(data)
        user, item = free
        users, items = [user], [item]
        for conv in self.convs:
            user, item = (
                F.dropout(x, self.dropout, self.training)
                for x in (conv((item, user), adj), conv((user, item), adj.t()))
            )
            users.append(normalize(user) if self.normalize else user)
            items.append(normalize(item) if self.normalize else item)
        return torch.cat(users, dim=1), torch.cat(items, dim=1)

    def _regularization(self, free: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        norm, weights = triple_norm(*free, batch), list(self.convs.parameters())
        return norm + sum_of_squares(weights) / 2 if weights else norm
