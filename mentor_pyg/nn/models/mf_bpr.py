from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.loss import triple_norm, triple_rows
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative
from mentor_pyg.typing import Batch


class MFBPR(BaseRecommender):
    r"""Matrix factorisation from the `"BPR: Bayesian Personalized Ranking from Implicit
    Feedback" <https://arxiv.org/abs/1205.2618>`_ paper. It uses no content and no graph.

    .. math::
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}_{u_b} \rVert^2 + \lVert \mathbf{e}_{i_b} \rVert^2
        + \lVert \mathbf{e}_{j_b} \rVert^2

    Code for comparing multimodal models often uses the norms :math:`\lVert \mathbf{E}_u
    \rVert_F` of the batch's embeddings instead of squares, which hardly regularises:

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{B} \left(
        \lVert \mathbf{E}_u \rVert_F + \lVert \mathbf{E}_i \rVert_F
        + \lVert \mathbf{E}_j \rVert_F \right)

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        regularizer: :obj:`"squares"`, or :obj:`"norms"` for the second objective.
        reg_weight: :math:`\lambda`.
    """

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        regularizer: Literal["squares", "norms"] = "squares",
        reg_weight: NonNegative = 1e-1,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.regularizer, self.reg_weight = regularizer, reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D], as copies."""
        user, item = self.embedding(nodes(data))
        return user.clone(), item.clone()

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        return self.objective(
            *free,
            batch,
            reg=(self.reg_weight, lambda: self._regularization(*free, batch)),
        )

    def _regularization(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        if self.regularizer == "squares":
            return triple_norm(user, item, batch)
        norms = [x.norm() for x in triple_rows(user, item, batch)]
        return torch.stack(norms).sum() / batch.user.numel()
