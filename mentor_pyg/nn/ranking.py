"""Ranking losses, which train observed items to score higher than others."""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import at_least_float, normalize, select
from mentor_pyg.nn.loss import batch_bpr, triple_rows
from mentor_pyg.nn.softmax import softmax_loss
from mentor_pyg.options import Count, NonNegative, Positive, checked
from mentor_pyg.typing import INTERACTS, ITEM, Batch


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

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "RankingLoss":
        """Creates the loss; what it needs from the data is taken from there."""
        return cls(**options)

    @property
    def whole_graph(self) -> bool:
        """Whether it needs all items, and not only those of a sampled part of the graph."""
        return False

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
    r"""Cross-entropy of the observed item against negatives, known as sampled softmax or SSM
    (`"On the Effectiveness of Sampled Softmax Loss for Item Recommendation"
    <https://arxiv.org/abs/2201.02327>`_).

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B} \log \frac{\exp(s_{u_b i_b} / \tau)}
        {\exp(s_{u_b i_b} / \tau) + \sum_{j \in N_b \setminus i_b} \exp(s_{u_b j} / \tau)}

    ==========  =====================================================================
    negatives   items in :math:`N_b`
    ==========  =====================================================================
    "shared"    the batch's first ``num_negatives`` negative items, for all its users.
                Each was sampled uniformly from those that its own user has not
                interacted with; other users of the batch may have
    "own"       the ``num_negatives`` that were sampled for the pair's own user
    "batch"     the observed items of the batch; popular items occur more often
    "all"       all items
    ==========  =====================================================================

    With ``log_q``, :math:`\log q_j` is subtracted from each logit, where q is the relative
    frequency of an item among the training pairs, to correct for the popularity of in-batch
    negatives (`"Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations" <https://doi.org/10.1145/3298689.3346996>`_). Negatives that are sampled
    uniformly need no correction.

    Args:
        temperature: :math:`\tau`.
        cosine: Whether scores are cosines, as usual with this loss.
        negatives: :obj:`"shared"`, :obj:`"own"`, :obj:`"batch"` or :obj:`"all"`.
        num_negatives: Number of shared negatives at most, or of own negatives, which must be
            that of the sampler.
        log_q: Whether to correct for the popularity of in-batch negatives.
        item_counts: Number of training pairs of each item [I], for ``log_q``.
            :meth:`from_data` takes them from the data.
    """

    name = "softmax"

    def __init__(
        self,
        temperature: Positive = 0.15,
        cosine: bool = True,
        negatives: Literal["shared", "own", "batch", "all"] = "shared",
        num_negatives: Count = 1024,
        log_q: bool = False,
        item_counts: OptTensor = None,
    ) -> None:
        super().__init__(cosine)
        self.temperature, self.negatives = temperature, negatives
        self.num_negatives = num_negatives
        self.log_q: Tensor | None
        log_probability = None
        if log_q:
            if negatives != "batch":
                raise InputError(
                    f"SoftmaxLoss.log_q: corrects in-batch negatives, not '{negatives}'; "
                    "expected negatives='batch'"
                )
            if item_counts is None:
                raise InputError("SoftmaxLoss.log_q: has no 'item_counts'; expected those of I")
            log_probability = (item_counts.clamp(min=1) / item_counts.sum()).log()
        self.register_buffer("log_q", log_probability, persistent=False)

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "SoftmaxLoss":
        if options.get("log_q"):
            item = data[INTERACTS].edge_index[1]
            options["item_counts"] = item.bincount(minlength=data[ITEM].num_nodes)
        return cls(**options)

    @property
    def whole_graph(self) -> bool:
        return self.negatives == "all" or self.log_q is not None

    def forward(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        check_shapes("SoftmaxLoss", user=(user, ("U", "C")), item=(item, ("I", "C")))
        if self.negatives == "own":
            return self._own(user, item, batch)
        positive = self._rows(item, batch.pos_item)
        positive_bias = None
        if self.negatives == "batch":
            candidate, ids = positive, batch.pos_item
            if self.log_q is not None:
                check_shapes("SoftmaxLoss", item_counts=(self.log_q, (item.size(0),)))
                positive_bias = -self.log_q[ids]
        elif self.negatives == "all":
            candidate, ids = self._rows(item), torch.arange(item.size(0), device=item.device)
        else:
            ids = batch.neg_item[: self.num_negatives]
            candidate = self._rows(item, ids)
        anchor = self._rows(user, batch.user)
        return softmax_loss(
            anchor,
            positive,
            candidate,
            batch.pos_item,
            ids,
            self.temperature,
            positive_bias,
            positive_bias,
        )

    def _own(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        count = self.num_negatives
        if batch.user.size(0) % count:
            raise InputError(
                f"SoftmaxLoss.num_negatives: is {count}, but the batch has "
                f"{batch.user.size(0)} triples; expected the sampler's 'num_negatives'"
            )
        anchor = self._rows(user, batch.user[::count]).unsqueeze(1)
        positive = self._rows(item, batch.pos_item[::count]).unsqueeze(1)
        negative = self._rows(item, batch.neg_item).unflatten(0, (-1, count))
        logits = (anchor * torch.cat([positive, negative], dim=1)).sum(dim=2) / self.temperature
        return (logits.logsumexp(dim=1) - logits[:, 0]).mean()

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
