r"""Losses as pure functions of tensors. All return a scalar unless stated otherwise."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.functional import SMALLEST_NORM, at_least_float, mean_and_squares, select
from mentor_pyg.typing import Batch

__all__ = [
    "Moments",
    "alignment_levels",
    "batch_bpr",
    "batch_info_nce",
    "bpr_loss",
    "content_moments",
    "feature_masking_loss",
    "gaussian_distance",
    "moments",
    "score_triples",
    "sum_of_squares",
    "triple_norm",
    "triple_rows",
    "weighted",
]


def triple_rows(user: Tensor, item: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of a batch's users, positive and negative items, [B, C] or [B, D] each.

    Args:
        user: Embeddings of all users [U, C].
        item: Embeddings of all items [I, D].
        batch: The triples.

    Raises:
        InputError: If the shapes do not fit.
    """
    check_shapes("rows of triples", user=(user, ("U", "C")), item=(item, ("I", "D")))
    check_shapes("triples", **{name: (ids, ("B",)) for name, ids in batch._asdict().items()})
    return (
        select(user, batch.user),
        select(item, batch.pos_item),
        select(item, batch.neg_item),
    )


def score_triples(user: Tensor, item: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores of each user's positive and negative item by inner products, [B] each, in at
    least float32.

    Args:
        user: Embeddings of all users [U, C].
        item: Embeddings of all items [I, C].
        batch: The triples.

    Raises:
        InputError: If the shapes do not fit.
    """
    check_shapes("score_triples", user=(user, ("U", "C")), item=(item, ("I", "C")))
    anchor, pos, neg = (at_least_float(x) for x in triple_rows(user, item, batch))
    return (anchor * pos).sum(dim=1), (anchor * neg).sum(dim=1)


def bpr_loss(pos_score: Tensor, neg_score: Tensor, base: float = math.e) -> Tensor:
    r"""Bayesian personalised ranking loss (`paper <https://arxiv.org/abs/1205.2618>`_).

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B}
        \log_{\mathrm{base}} \sigma(s_b^{+} - s_b^{-})

    Shapes:
        ``pos_score``, ``neg_score`` [B]

    Raises:
        InputError: If the shapes differ, or the base is not finite and greater than 1.
    """
    if not 1 < base < math.inf:
        raise InputError(f"bpr_loss.base: is {base}; expected more than 1 and finite")
    check_shapes("bpr_loss", pos_score=(pos_score, ("B",)), neg_score=(neg_score, ("B",)))
    margin = at_least_float(pos_score) - at_least_float(neg_score)
    return -F.logsigmoid(margin).mean() / math.log(base)


def batch_bpr(user: Tensor, item: Tensor, batch: Batch, base: float = math.e) -> Tensor:
    """:func:`bpr_loss` of a batch, with inner products as scores.

    Args:
        user: Embeddings of all users [U, C].
        item: Embeddings of all items [I, C].
        batch: The triples.
        base: Base of the logarithm.
    """
    return bpr_loss(*score_triples(user, item, batch), base)


def weighted(**terms: tuple[float, Callable[[], Tensor]]) -> dict[str, Tensor]:
    """Multiplies loss terms by their weights; terms of weight zero are not computed.

    Args:
        **terms: For each name, a weight and a function that computes the term.
    """
    return {
        name: term() if weight == 1 else weight * term()
        for name, (weight, term) in terms.items()
        if weight > 0
    }


def batch_info_nce(
    view1: tuple[Tensor, Tensor], view2: tuple[Tensor, Tensor], batch: Batch, tau: float
) -> Tensor:
    """:func:`info_nce` over the distinct users of a batch plus over its distinct positive items.

    Args:
        view1: Anchors, all users [U, C] and all items [I, C].
        view2: Their positives.
        batch: The triples.
        tau: Temperature.
    """
    rows = batch.user.unique(), batch.pos_item.unique()
    terms = [info_nce(select(a, i), select(b, i), tau) for a, b, i in zip(view1, view2, rows)]
    return torch.stack(terms).sum()


class Moments(NamedTuple):
    """Scalar mean and variance of a representation, seen as a Gaussian."""

    mean: Tensor
    var: Tensor


def moments(*parts: Tensor, repeats: int = 1) -> Moments:
    """Mean and unbiased variance over all entries of all parts.

    Args:
        *parts: Parts of a representation of any shape, e.g. users and items. Half precision
            is accumulated in float32.
        repeats: Counts each entry this many times, which only changes the correction
            n / (n - 1) of the variance.
    """
    parts = tuple(x for x in parts if x.numel())
    count = sum(x.numel() for x in parts)
    means, squares = zip(*(mean_and_squares(x) for x in parts))
    mean = torch.stack([x.numel() / count * m for x, m in zip(parts, means)]).sum()
    between = [x.numel() * (m - mean).square() for x, m in zip(parts, means)]
    total = torch.stack([*squares, *between]).sum()
    return Moments(mean, repeats * total / (repeats * count - 1))


def content_moments(
    content: Mapping[str, tuple[Tensor, Tensor]],
    fused: tuple[Tensor, Tensor],
    present: Mapping[str, Tensor],
) -> tuple[dict[str, Moments], Moments]:
    """Moments of each modality and of the fused representation, over users and over items
    that have content.

    Each modality counts as if repeated to the width of the fused representation.

    Args:
        content: Users [U, D] and items [I, D] by modality.
        fused: Fused users [U, |M| D] and items [I, |M| D]. Items without any content are
            excluded.
        present: Masks bool [I], False where an item lacks the modality, for incomplete
            modalities.
    """
    for m, mask in present.items():
        check_mask("content_moments", fused[1].size(0), **{m: mask})
    each = {
        m: moments(user, item[present[m]] if m in present else item, repeats=len(content))
        for m, (user, item) in content.items()
    }
    user, item = fused
    if len(present) == len(content):
        item = item[torch.stack(list(present.values())).any(dim=0)]
    return each, moments(user, item)


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
    r"""Mean of :math:`1 - \cos` between online rows and target rows, Eq. 23-24 of MENTOR.

    No gradient flows into ``target``. Rows shorter than 1e-12 have cosine 0 and no gradient.

    Shapes:
        ``online``, ``target`` [N, F]

    Raises:
        InputError: If the shapes differ.
    """
    where = "feature_masking_loss"
    check_shapes(where, online=(online, ("N", "F")), target=(target, ("N", "F")))
    online, target = at_least_float(online), at_least_float(target.detach())
    # Equals F.cosine_similarity, in half the time.
    norm, target_norm = online.norm(dim=1), target.norm(dim=1)
    # A very short row would have a gradient of up to 1 / SMALLEST_NORM.
    is_short = (norm < SMALLEST_NORM) | (target_norm < SMALLEST_NORM)
    norms = (norm * target_norm).masked_fill(is_short, 1.0)
    cosine = (online * target).sum(dim=1) / norms
    return 1 - cosine.masked_fill(is_short, 0.0).mean()


def sum_of_squares(tensors: Sequence[Tensor]) -> Tensor:
    r"""Squared L2 norm :math:`\lVert\theta\rVert^2_2` of all tensors together."""
    return torch.stack([at_least_float(x).pow(2).sum() for x in tensors]).sum()


def triple_norm(user: Tensor, item: Tensor, batch: Batch) -> Tensor:
    r"""Half the mean squared norm of a batch's embeddings, the usual regulariser.

    .. math::
        \frac{1}{2B} \sum_{b=1}^{B} \lVert \mathbf{e}_{u_b} \rVert^2
        + \lVert \mathbf{e}_{i_b} \rVert^2 + \lVert \mathbf{e}_{j_b} \rVert^2

    Args:
        user: Embedding table of the users [U, D].
        item: Embedding table of the items [I, D].
        batch: The triples.
    """
    return sum_of_squares(triple_rows(user, item, batch)) / (2 * batch.user.numel())
