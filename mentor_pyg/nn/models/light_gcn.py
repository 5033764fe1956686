from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import sizes, user_item_graph
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, checked
from mentor_pyg.typing import Batch


@checked
class LightGCN(torch.nn.Module):
    r"""The model from the `"LightGCN: Simplifying and Powering Graph Convolution Network
    for Recommendation" <https://arxiv.org/abs/2002.02126>`_ paper. It uses no content.

    .. math::
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \mathbf{E}^{(l)}, \qquad
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_layers: Hops L.
        reg_weight: :math:`\lambda`.
    """

    uses_content = False

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 4,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.reg_weight = reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "LightGCN":
        """A model for the users and items of ``data``."""
        return cls(**sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.embedding.split(self.propagation(self.embedding(), user_item_graph(data)))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        losses = {"bpr": bpr_loss(*score_triples(*self.encode(data), batch))}
        if self.reg_weight > 0:
            norm = triple_norm(self.embedding.user, self.embedding.item, batch)
            losses["reg"] = self.reg_weight * norm
        return losses
