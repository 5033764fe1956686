r"""Losses as pure functions of tensors. All return a scalar unless they say otherwise."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.functional import sum_and_square
from mentor_pyg.typing import Batch

__all__ = [
    "Moments",
    "alignment_levels",
    "bpr_loss",
    "content_moments",
    "feature_masking_loss",
    "gaussian_distance",
    "info_nce",
    "moments",
    "score_triples",
    "sum_of_squares",
    "triple_norm",
]


def score_triples(user: Tensor, item: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Inner products of each user with its positive and its negative item, [B] each.

    Args:
        user: Embeddings of all users [U, C].
        item: Embeddings of all items [I, C].
        batch: The triples.
    """
    anchor = user.index_select(0, batch.user)  # its gradient is quicker than an index's
    pos_score = (anchor * item.index_select(0, batch.pos_item)).sum(dim=1)
    neg_score = (anchor * item.index_select(0, batch.neg_item)).sum(dim=1)
    return pos_score, neg_score


def bpr_loss(pos_score: Tensor, neg_score: Tensor, base: float = math.e) -> Tensor:
    r"""Bayesian personalised ranking (`paper <https://arxiv.org/abs/1205.2618>`_).

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B}
        \log_{\mathrm{base}} \sigma(s_b^{+} - s_b^{-})

    Shapes:
        ``pos_score``, ``neg_score`` [B]
    """
    return -F.logsigmoid(pos_score - neg_score).mean() / math.log(base)


class Moments(NamedTuple):
    """A representation summarised as a Gaussian: scalar mean and variance."""

    mean: Tensor
    var: Tensor


def moments(x: Tensor, repeats: int = 1) -> Moments:
    """Mean and unbiased variance over all entries of ``x``.

    From sums and a dot product, which on a CPU take a tenth of the time of
    :func:`torch.var_mean`; embeddings are centred well enough for it.

    Args:
        x: A representation, of any shape.
        repeats: Counts the entries as if ``x`` were there this many times, which only
            touches the correction n / (n - 1) of the variance.
    """
    count = repeats * x.numel()
    total, square = sum_and_square(x)
    mean = repeats * total / count
    return Moments(mean, (repeats * square - count * mean**2) / (count - 1))


def content_moments(
    content: Mapping[str, Tensor], fused: Tensor, present: Mapping[str, Tensor]
) -> tuple[dict[str, Moments], Moments]:
    """Moments of each modality and of the fused representation, over rows with content.

    Each modality counts as if repeated to the width of the fused one.

    Args:
        content: Representations by modality [N, D].
        fused: The fused representation [N, |M| D]; without rows that lack everything.
        present: Bool [N], False where a modality is missing; for those that miss any.
    """
    each = {
        m: moments(z[present[m]] if m in present else z, len(content)) for m, z in content.items()
    }
    if len(present) == len(content):
        fused = fused[torch.stack(list(present.values())).any(dim=0)]
    return each, moments(fused)


def gaussian_distance(a: Moments, b: Moments) -> Tensor:
    r"""Distance :math:`|\mu_a - \mu_b| + |\sigma^2_a - \sigma^2_b|` of Eq. 9."""
    return (a.mean - b.mean).abs() + (a.var - b.var).abs()


def alignment_levels(
    id: Moments, fused: Moments, content: Mapping[str, Moments]
) -> dict[int, Tensor]:
    r"""The four levels of cross-modal alignment, Eq. 8-17 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper.

    With the distance d of :func:`gaussian_distance`:

    1. ID direct guidance, :math:`d(\mathrm{id}, \mathrm{fused})`
    2. ID indirect guidance, :math:`\sum_m d(\mathrm{id}, m)`
    3. modality direct alignment, :math:`\sum_m d(\mathrm{fused}, m)`
    4. modality indirect alignment, :math:`\sum_{m < m'} d(m, m')`, zero if there is
       only one modality
    """
    each = list(content.values())
    pairs = [gaussian_distance(a, b) for a, b in combinations(each, 2)]
    return {
        1: gaussian_distance(id, fused),
        2: torch.stack([gaussian_distance(id, m) for m in each]).sum(),
        3: torch.stack([gaussian_distance(fused, m) for m in each]).sum(),
        4: torch.stack(pairs).sum() if pairs else torch.zeros_like(id.mean),
    }


def feature_masking_loss(online: Tensor, target: Tensor) -> Tensor:
    r"""Mean of :math:`1 - \cos` between online rows and targets, Eq. 23-24 of MENTOR.

    No gradient reaches ``target``. A row of zeros has cosine 0.

    Shapes:
        ``online``, ``target`` [N, F]
    """
    target = target.detach()
    online = online.to(target.dtype)  # autocast may have made it smaller
    # What F.cosine_similarity computes, in half its time:
    norms = online.norm(dim=1) * target.norm(dim=1)
    cosine = (online * target).sum(dim=1) / norms.clamp(min=1e-8)
    return 1 - cosine.mean()


def sum_of_squares(tensors: Sequence[Tensor]) -> Tensor:
    r"""Squared L2 norm :math:`\lVert\theta\rVert^2_2` over all tensors together."""
    return torch.stack([x.pow(2).sum() for x in tensors]).sum()


def triple_norm(user: Tensor, item: Tensor, batch: Batch) -> Tensor:
    r"""Half the mean squared norm of a batch's free vectors, the usual regulariser.

    .. math::
        \frac{1}{2B} \sum_{b=1}^{B} \lVert \mathbf{e}_{u_b} \rVert^2
        + \lVert \mathbf{e}_{i_b} \rVert^2 + \lVert \mathbf{e}_{j_b} \rVert^2

    Args:
        user: Vectors of all users [U, D].
        item: Vectors of all items [I, D].
        batch: The triples.
    """
    rows = [user[batch.user], item[batch.pos_item], item[batch.neg_item]]
    return sum_of_squares(rows) / (2 * batch.user.numel())
