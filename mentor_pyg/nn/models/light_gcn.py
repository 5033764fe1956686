from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.loss import bpr_loss, score_triples, sum_of_squares
from mentor_pyg.typing import ITEM, USER, Batch


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

    def __init__(
        self,
        num_users: int,
        num_items: int,
        hidden_channels: int = 64,
        num_layers: int = 4,
        reg_weight: float = 1e-4,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.reg_weight = reg_weight
        self.user = Parameter(torch.empty(num_users, hidden_channels))
        self.item = Parameter(torch.empty(num_items, hidden_channels))
        self.propagation = Propagation(num_layers, readout="mean")
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "LightGCN":
        """A model for the users and items of ``data``."""
        return cls(data[USER].num_nodes, data[ITEM].num_nodes, **options)

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.user)
        torch.nn.init.xavier_uniform_(self.item)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        z = self.propagation(torch.cat([self.user, self.item]), data.adjacency)
        return z[: self.num_users], z[self.num_users :]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self.encode(data)
        losses = {"bpr": bpr_loss(*score_triples(user, item, batch))}
        if self.reg_weight > 0:
            rows = [
                self.user[batch.user],
                self.item[batch.pos_item],
                self.item[batch.neg_item],
            ]
            weight = self.reg_weight / (2 * batch.user.numel())
            losses["reg"] = weight * sum_of_squares(rows)
        return losses
