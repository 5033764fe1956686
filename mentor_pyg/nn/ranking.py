"""Ranking losses, which train observed items to score higher than others."""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import at_least_float, normalize, select
from mentor_pyg.nn.loss import batch_bpr, triple_rows
from mentor_pyg.options import Count, NonNegative, Positive, checked
from mentor_pyg.typing import Batch


@checked
class RankingLoss(torch.nn.Module):
    """Base class of ranking losses on user and item embeddings, with their scores.

    Args:
        cosine: Whether scores are cosines instead of inner products.

    Shapes:
        ``user`` [U, C], ``item`` [I, C]; the result is a scalar
    """

    name: ClassVar[str]

    def __init__(self, cosine: bool = False) -> None:
        super().__init__()
        self.cosine = cosine

    def embed(self, user: Tensor, item: Tensor) -> Pair:
        """Embeddings whose inner products are the scores."""
        return (normalize(user), normalize(item)) if self.cosine else (user, item)

    def forward(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        """The loss of a batch of triples, averaged over them."""
        raise NotImplementedError


@checked
class BPRLoss(RankingLoss):
    r"""Bayesian personalised ranking from the `"BPR: Bayesian Personalized Ranking from
    Implicit Feedback" <https://arxiv.org/abs/1205.2618>`_ paper.

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B} \log_{\mathrm{base}}
        \sigma\left( a (s_{u_b i_b} - s_{u_b j_b}) \right)

    Args:
        scale: Factor a of the scores. Larger values saturate the loss earlier.
        base: Base of the logarithm.
        cosine: Whether scores are cosines, which need a scale of 5 to 10.
    """

    name = "bpr"

    def __init__(
        self, scale: Positive = 1.0, base: Positive = math.e, cosine: bool = False
    ) -> None:
        super().__init__(cosine)
        self.scale, self.base = scale, base

    def forward(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        user, item = self.embed(user, item)
        return batch_bpr(user if self.scale == 1 else self.scale * user, item, batch, self.base)


@checked
class SoftmaxLoss(RankingLoss):
    r"""Cross-entropy of the observed item against negatives shared by all users of a batch,
    known as sampled softmax or SSM (`"On the Effectiveness of Sampled Softmax Loss for Item
    Recommendation" <https://arxiv.org/abs/2201.02327>`_).

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B} \log \frac{\exp(s_{u_b i_b} / \tau)}
        {\exp(s_{u_b i_b} / \tau) + \sum_{j \in N \setminus i_b} \exp(s_{u_b j} / \tau)}

    The set N holds the batch's first negative items, each sampled uniformly from those that its
    own user has not interacted with; other users of the batch may have. With
    :obj:`negatives="all"`, N holds all items, and scores of all items are kept in memory for
    each triple.

    Args:
        temperature: :math:`\tau`.
        cosine: Whether scores are cosines, as usual with this loss.
        negatives: :obj:`"sampled"` or :obj:`"all"`.
        num_negatives: Maximum size of N if it is sampled.
    """

    name = "softmax"

    def __init__(
        self,
        temperature: Positive = 0.15,
        cosine: bool = True,
        negatives: Literal["sampled", "all"] = "sampled",
        num_negatives: Count = 1024,
    ) -> None:
        super().__init__(cosine)
        self.temperature, self.negatives = temperature, negatives
        self.num_negatives = num_negatives

    def forward(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        check_shapes("SoftmaxLoss", user=(user, ("U", "C")), item=(item, ("I", "C")))
        anchor = self._rows(user, batch.user)
        if self.negatives == "all":
            scores = anchor @ self._rows(item).t() / self.temperature
            return F.cross_entropy(scores, batch.pos_item)
        chosen = batch.neg_item[: self.num_negatives]
        scores = anchor @ self._rows(item, chosen).t() / self.temperature
        scores = scores.masked_fill(chosen == batch.pos_item.unsqueeze(1), -torch.inf)
        positive = (anchor * self._rows(item, batch.pos_item)).sum(dim=1) / self.temperature
        logits = torch.cat([positive.unsqueeze(1), scores], dim=1)
        return (logits.logsumexp(dim=1) - positive).mean()

    def _rows(self, x: Tensor, rows: OptTensor = None) -> Tensor:
        """Rows of x, normalised for cosines. This is faster than normalising all of x."""
        chosen = at_least_float(select(x, rows))
        return normalize(chosen) if self.cosine else chosen


@checked
class DirectAULoss(RankingLoss):
    r"""Alignment of observed pairs and uniformity of users and items on the unit sphere, from
    the `"Towards Representation Alignment and Uniformity in Collaborative Filtering"
    <https://arxiv.org/abs/2206.12811>`_ paper. It needs no negative items.

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{b=1}^{B} \lVert \hat{\mathbf{z}}_{u_b} -
        \hat{\mathbf{z}}_{i_b} \rVert^2 + \frac{\gamma}{2} \sum_{X \in \{U, I\}} \log
        \frac{2}{B (B - 1)} \sum_{b < c} \exp(-2 \lVert \hat{\mathbf{x}}_b -
        \hat{\mathbf{x}}_c \rVert^2)

    Args:
        uniformity: :math:`\gamma`.
        cosine: Whether scores are cosines. The paper ranks by inner products of the
            embeddings before normalisation."""

    name = "directau"

    def __init__(self, uniformity: NonNegative = 1.0, cosine: bool = False) -> None:
        super().__init__(cosine)
        self.uniformity = uniformity

    def forward(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        anchor, pos, _ = (normalize(at_least_float(x)) for x in triple_rows(user, item, batch))
        loss = (anchor - pos).square().sum(dim=1).mean()
        if self.uniformity > 0 and anchor.size(0) > 1:
            spread = (_uniformity(anchor) + _uniformity(pos)) / 2
            loss = loss + self.uniformity * spread
        return loss


def _uniformity(x: Tensor) -> Tensor:
    """Logarithm of the mean Gaussian potential between distinct L2-normalised rows."""
    row, column = torch.triu_indices(x.size(0), x.size(0), 1, device=x.device)
    squared = 2 - 2 * (x @ x.t())[row, column]
    return (-2 * squared).exp().mean().log()


LOSSES: dict[str, type[RankingLoss]] = {
    loss.name: loss for loss in (BPRLoss, SoftmaxLoss, DirectAULoss)
}
"""Ranking losses by their names in the section ``ranking`` of presets."""
