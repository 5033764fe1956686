from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.functional import pad_rows
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import content, content_sizes, sizes
from mentor_pyg.nn.projection import ContentProjection
from mentor_pyg.options import Count, NonNegative, Widths, checked
from mentor_pyg.typing import ITEM, Batch


@checked
class VBPR(torch.nn.Module):
    r"""The model from the `"VBPR: Visual Bayesian Personalized Ranking from Implicit
    Feedback" <https://arxiv.org/abs/1510.01784>`_ paper, for the concatenated features
    :math:`\mathbf{x}_i` of any modalities.

    .. math::
        s_{ui} = \beta_i + \langle \boldsymbol{\gamma}_u, \boldsymbol{\gamma}_i \rangle
        + \langle \boldsymbol{\theta}_u, \mathbf{W} \mathbf{x}_i \rangle
        + \langle \boldsymbol{\beta}^{\prime}, \mathbf{x}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{z}_{u_b} \rVert^2 + \lVert \mathbf{z}_{i_b} \rVert^2
        + \lVert \mathbf{z}_{j_b} \rVert^2

    with :math:`\mathbf{z}_u = [\boldsymbol{\gamma}_u \,|\, \boldsymbol{\theta}_u]` and
    :math:`\mathbf{z}_i = [\boldsymbol{\gamma}_i \,|\, \mathbf{W} \mathbf{x}_i \,|\,
    \beta_i + \langle \boldsymbol{\beta}^{\prime}, \mathbf{x}_i \rangle]`. An item that
    came after training is scored by its content alone.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Size D of :math:`\boldsymbol{\gamma}`.
        content_channels: Size of :math:`\boldsymbol{\theta}`.
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
        reg_weight: NonNegative = 1e-1,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.user_content = Parameter(torch.empty(num_users, content_channels))
        self.item_bias = Parameter(torch.empty(num_items, 1))
        self.projection = ContentProjection(in_channels, content_channels + 1)
        self.reg_weight = reg_weight
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "VBPR":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        torch.nn.init.xavier_uniform_(self.user_content)
        torch.nn.init.zeros_(self.item_bias)
        self.projection.reset_parameters()

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Vectors of users and items whose inner products are the scores; the last entry is
        an item's bias, and a user's one."""
        projected = self.projection(*content(data, self.projection.modalities))
        num_items = data[ITEM].num_nodes
        bias = projected[:, -1:] + pad_rows(self.item_bias, num_items)
        free = pad_rows(self.embedding.item, num_items)
        one = self.item_bias.new_ones(self.user_content.size(0), 1)
        user = torch.cat([self.embedding.user, self.user_content, one], dim=1)
        return user, torch.cat([free, projected[:, :-1], bias], dim=1)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self.encode(data)
        losses = {"bpr": bpr_loss(*score_triples(user, item, batch))}
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * triple_norm(user[:, :-1], item, batch)
        return losses
