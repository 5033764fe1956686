from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes
from mentor_pyg.nn.projection import ContentProjection
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths
from mentor_pyg.typing import Batch


class LightGCNM(BaseRecommender):
    r"""LightGCN with content, the baseline LightGCN-M of the `"MMSSL"
    <https://arxiv.org/abs/2302.10632>`_ paper.

    The paper only says that LightGCN is extended by the modalities' features in message
    passing. Here a projection of all features (:class:`~mentor_pyg.nn.ContentProjection`) is
    added to the item embeddings before the first hop; the rest equals :class:`LightGCN`.

    .. math::
        \mathbf{e}_i^{(0)} = \mathbf{f}_i + \sum_m \mathbf{W}_m \mathbf{x}_i^m, \qquad
        \mathbf{e}_u^{(0)} = \mathbf{f}_u, \qquad
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{E}^{(0)}

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    Items added after training are embedded by their content only.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
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
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projection = ContentProjection(in_channels, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.propagation(*self._start(data), self.interactions(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        start = self._start(data)
        out: Pair = self.propagation(*start, self.interactions(data))
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: triple_norm(*start, batch)),
        )

    def _start(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D] before propagation."""
        user, item = self.embedding(nodes(data))
        return user, self.projection(*content(data, self.projection.modalities)) + item
