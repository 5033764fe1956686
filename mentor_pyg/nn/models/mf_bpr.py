from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm, triple_rows
from mentor_pyg.nn.models.inputs import sizes
from mentor_pyg.options import Count, NonNegative, checked
from mentor_pyg.typing import Batch


@checked
class MFBPR(torch.nn.Module):
    r"""Matrix factorisation from the `"BPR: Bayesian Personalized Ranking from Implicit
    Feedback" <https://arxiv.org/abs/1205.2618>`_ paper. It uses no content and no graph.

    .. math::
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{e}_{u_b} \rVert^2 + \lVert \mathbf{e}_{i_b} \rVert^2
        + \lVert \mathbf{e}_{j_b} \rVert^2

    Comparisons of multimodal models often take norms :math:`\lVert \mathbf{E}_u \rVert_F`
    of the batch's vectors in place of squares, which hardly regularises:

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

    uses_content = False

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        regularizer: Literal["squares", "norms"] = "squares",
        reg_weight: NonNegative = 1e-1,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.regularizer, self.reg_weight = regularizer, reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "MFBPR":
        """A model for the users and items of ``data``."""
        return cls(**sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Vectors of users [U, D] and items [I, D], copied."""
        return self.embedding.split(self.embedding())

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self.embedding.user, self.embedding.item
        losses = {"bpr": bpr_loss(*score_triples(user, item, batch))}
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * self._regularization(batch)
        return losses

    def _regularization(self, batch: Batch) -> Tensor:
        user, item = self.embedding.user, self.embedding.item
        if self.regularizer == "squares":
            return triple_norm(user, item, batch)
        norms = [x.norm() for x in triple_rows(user, item, batch)]
        return torch.stack(norms).sum() / batch.user.numel()
