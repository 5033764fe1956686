from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.functional import pad_rows
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import content, content_sizes, sizes, user_item_graph
from mentor_pyg.nn.projection import ContentProjection
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths, checked
from mentor_pyg.typing import ITEM, Batch


@checked
class LightGCNM(torch.nn.Module):
    r"""LightGCN with content, the baseline LightGCN-M of the `"MMSSL"
    <https://arxiv.org/abs/2302.10632>`_ paper.

    That paper says no more than that LightGCN takes the modalities' features along when
    it passes messages. Read here as: a projection of all features
    (:class:`~mentor_pyg.nn.ContentProjection`) is added to the items' free vectors before
    the first hop, and the rest is :class:`LightGCN`.

    .. math::
        \mathbf{e}_i^{(0)} = \mathbf{f}_i + \sum_m \mathbf{W}_m \mathbf{x}_i^m, \qquad
        \mathbf{e}_u^{(0)} = \mathbf{f}_u, \qquad
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{E}^{(0)}

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    An item that came after training starts from its content alone.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Hops L.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projection = ContentProjection(in_channels, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.reg_weight = reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "LightGCNM":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        self.projection.reset_parameters()

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._propagate(self._items(data), data)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        item = self._items(data)
        losses = {"bpr": bpr_loss(*score_triples(*self._propagate(item, data), batch))}
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * triple_norm(self.embedding.user, item, batch)
        return losses

    def _items(self, data: HeteroData) -> Tensor:
        """What items start from [I, D]."""
        projected = self.projection(*content(data, self.projection.modalities))
        return projected + pad_rows(self.embedding.item, data[ITEM].num_nodes)

    def _propagate(self, item: Tensor, data: HeteroData) -> tuple[Tensor, Tensor]:
        start = torch.cat([self.embedding.user, item])
        return self.embedding.split(self.propagation(start, user_item_graph(data)))
