import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ContentProjection
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, Widths
from mentor_pyg.typing import Batch


class VBPR(BaseRecommender):
    r"""The model from the `"VBPR: Visual Bayesian Personalized Ranking from Implicit
    Feedback" <https://arxiv.org/abs/1510.01784>`_ paper, with the concatenated features
    :math:`\mathbf{x}_i` of all modalities.

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
    \beta_i + \langle \boldsymbol{\beta}^{\prime}, \mathbf{x}_i \rangle]`. Items added after
    training are scored by their content only.

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
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.user_content = Parameter(torch.empty(num_users, content_channels))
        self.item_bias = Parameter(torch.empty(num_items, 1))
        self.projection = ContentProjection(in_channels, content_channels + 1)
        self.reg_weight = reg_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        torch.nn.init.xavier_uniform_(self.user_content)
        torch.nn.init.zeros_(self.item_bias)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users and items whose inner products are the scores. The last column
        holds the item biases, and ones for users."""
        graph = nodes(data)
        free_user, free_item = self.embedding(graph)
        projected = self.projection(*content(data, self.projection.modalities))
        bias = projected[:, -1:] + graph.items(self.item_bias)
        one = bias.new_ones(graph.num_users, 1)
        user = torch.cat([free_user, graph.users(self.user_content), one], dim=1)
        return user, torch.cat([free_item, projected[:, :-1], bias], dim=1)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self(data)
        return self.objective(
            user,
            item,
            batch,
            reg=(self.reg_weight, lambda: triple_norm(user[:, :-1], item, batch)),
        )
