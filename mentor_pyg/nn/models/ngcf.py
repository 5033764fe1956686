from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.data import HeteroData
from torch_geometric.nn.inits import reset

from mentor_pyg.nn.conv.ngcf_conv import NGCFConv
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import bpr_loss, score_triples, sum_of_squares, triple_norm
from mentor_pyg.nn.models.inputs import sizes, user_item_graph
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Probability, checked
from mentor_pyg.typing import Batch


@checked
class NGCF(torch.nn.Module):
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
        hidden_channels: Embedding size D, of all layers.
        num_layers: Hops L.
        dropout: Dropout ratio of the layers' outputs.
        normalize: Whether rows of the layers from the first on are read out with length
            one, as the released code does.
        reg_weight: :math:`\lambda`.
    """

    uses_content = False

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
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.convs = ModuleList(
            NGCFConv(hidden_channels, hidden_channels) for _ in range(num_layers)
        )
        self.dropout, self.normalize = dropout, normalize
        self.reg_weight = reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "NGCF":
        """A model for the users and items of ``data``."""
        return cls(**sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        reset(self.convs)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, (L + 1) D] and items [I, (L + 1) D]."""
        hidden = self.embedding()
        layers = [hidden]
        for conv in self.convs:
            hidden = F.dropout(conv(hidden, user_item_graph(data)), self.dropout, self.training)
            layers.append(normalize(hidden) if self.normalize else hidden)
        return self.embedding.split(torch.cat(layers, dim=1))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        losses = {"bpr": bpr_loss(*score_triples(*self.encode(data), batch))}
        if self.reg_weight > 0:
            norm = triple_norm(self.embedding.user, self.embedding.item, batch)
            weights = list(self.convs.parameters())
            if weights:
                norm = norm + sum_of_squares(weights) / 2
            losses["reg"] = self.reg_weight * norm
        return losses
