import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.initialization import reset_linear
from mentor_pyg.nn.loss import feature_masking_loss, weighted
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.random import dropout
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Probability, Widths
from mentor_pyg.typing import Batch


class BM3(BaseRecommender):
    r"""The model from the `"Bootstrap Latent Representations for Multi-modal
    Recommendation" <https://arxiv.org/abs/2207.05969>`_ paper, which learns from positive
    pairs only, without negative sampling.

    .. math::
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{E}^{(0)},
        \qquad \mathbf{h}_u = \mathbf{e}_u, \qquad
        \mathbf{h}_i = \mathbf{e}_i + \mathbf{e}_i^{(0)}, \qquad
        \mathbf{h}_i^m = \mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m

    A predictor :math:`\tilde{\mathbf{h}} = \mathbf{W}_p \mathbf{h} + \mathbf{b}_p` predicts
    targets :math:`\dot{\mathbf{h}} = \mathrm{dropout}(\mathbf{h})` without gradient: users
    from items and items from users, items from their content, and content from itself. With
    :math:`C(\mathbf{a}, \mathbf{b}) = 1 - \cos(\mathbf{a}, \mathbf{b})`, averaged over the
    pairs of a batch:

    .. math::
        \mathcal{L} = C(\tilde{\mathbf{h}}_u, \dot{\mathbf{h}}_i)
        + C(\tilde{\mathbf{h}}_i, \dot{\mathbf{h}}_u)
        + \mu \sum_m \left( C(\tilde{\mathbf{h}}_i^m, \dot{\mathbf{h}}_i)
        + C(\tilde{\mathbf{h}}_i^m, \dot{\mathbf{h}}_i^m) \right)
        + \frac{\lambda}{I} \left( \lVert \mathbf{H}_U \rVert_F
        + \lVert \mathbf{H}_I \rVert_F \right)

    .. math::
        s_{ui} = \langle \tilde{\mathbf{h}}_u, \tilde{\mathbf{h}}_i \rangle

    Items without content m contribute C = 1 to its terms.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        dropout: Dropout ratio of the targets.
        content_weight: :math:`\mu`.
        reg_weight: :math:`\lambda`.
    """

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 1,
        dropout: Probability = 0.5,
        content_weight: NonNegative = 1.0,
        reg_weight: NonNegative = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.predictor = Linear(hidden_channels, hidden_channels)
        self.dropout = dropout
        self.content_weight, self.reg_weight = content_weight, reg_weight
        self.projections = None
        if content_weight > 0:
            self.projections = ModalityProjections(
                in_channels, hidden_channels, init="xavier_normal"
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        reset_linear(self.predictor, "xavier_normal")

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Predicted embeddings of users [U, D] and items [I, D]."""
        user, item = self._online(data)
        return self.predictor(user), self.predictor(item)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        all_users, all_items = self._online(data)
        user = all_users.index_select(0, batch.user)
        item = all_items.index_select(0, batch.pos_item)
        item_target = self._target(item)
        losses = {
            "reconstruct": feature_masking_loss(self.predictor(user), item_target)
            + feature_masking_loss(self.predictor(item), self._target(user))
        }
        if self.projections is not None:
            losses |= self._content_losses(data, batch.pos_item, item_target)
        norm = all_users.norm() + all_items.norm()
        return losses | weighted(reg=(self.reg_weight, lambda: norm / all_items.size(0)))

    def _online(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        free_user, free_item = self.embedding(nodes(data))
        user, item = self.propagation(free_user, free_item, self.interactions(data))
        return user, item + free_item

    def _target(self, online: Tensor) -> Tensor:
        return dropout(online.detach(), self.dropout, self.training)

    def _content_losses(
        self, data: HeteroData, items: Tensor, item_target: Tensor
    ) -> dict[str, Tensor]:
        """Predicts items from their content, and content from itself."""
        assert self.projections is not None
        x, mask = content(data, self.projections.modalities, items)
        align, masked = [], []
        for m, z in self.projections(x, mask).items():
            predicted, present = self.predictor(z), mask[m]
            if present is not None:
                predicted = torch.where(present.unsqueeze(1), predicted, 0.0)
            align.append(feature_masking_loss(predicted, item_target))
            masked.append(feature_masking_loss(predicted, self._target(z)))
        return {
            "align": self.content_weight * torch.stack(align).sum(),
            "mask": self.content_weight * torch.stack(masked).sum(),
        }
