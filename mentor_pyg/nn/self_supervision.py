"""Self-supervised tasks of MENTOR and MMSSL, usable in any model."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import Linear

from mentor_pyg._util.option_words import Words
from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.loss import (
    alignment_levels,
    content_moments,
    feature_masking_loss,
    moments,
)
from mentor_pyg.nn.random import dropout, subset
from mentor_pyg.options import Count, Positive, Probability, checked, different
from mentor_pyg.typing import Batch

Levels = Annotated[
    Sequence[Literal[1, 2, 3, 4]], different, Words("a list of different levels out of 1, 2, 3, 4")
]
"""Levels of alignment."""


@checked
class Alignment(torch.nn.Module):
    r"""Cross-modal alignment of distributions, Eq. 8-17 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper: a sum of :func:`~mentor_pyg.nn.alignment_levels`.

    Args:
        levels: Levels to use, from 1 to 4.

    Shapes:
        each representation is a pair, users [U, F] and items [I, F]
    """

    def __init__(self, levels: Levels = (1, 2, 3, 4)) -> None:
        super().__init__()
        self.levels = tuple(levels)

    @property
    def needs_id(self) -> bool:
        """Whether a level uses the ID representation."""
        return bool({1, 2} & set(self.levels))

    def forward(
        self,
        content: Mapping[str, Pair],
        fused: Pair,
        id: Pair | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Sum of the levels.

        Args:
            content: Representations by modality.
            fused: Fused representation, as wide as all modalities together.
            id: ID representation, for levels 1 and 2.
            present: Masks bool [I] by modality, False where an item lacks it. Such rows are
                ignored.
        """
        gaussians, fused_gaussian = content_moments(content, fused, present or {})
        id_gaussian = fused_gaussian if id is None else moments(*id, repeats=len(content))
        each = alignment_levels(id_gaussian, fused_gaussian, gaussians)
        return torch.stack([each[level] for level in self.levels]).sum()


@checked
class FeatureMasking(torch.nn.Module):
    r"""Predicts representations under feature dropout by a linear layer, Eq. 22-24 of the
    `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper.

    .. math::
        \mathcal{L} = \sum_{\mathbf{Z} \in \{\mathbf{Z}_U, \mathbf{Z}_I\}}
        C(\mathbf{W} \mathbf{Z} + \mathbf{b}, \mathrm{dropout}(\mathbf{Z}))

    with C the mean of :math:`1 - \cos` over rows. No gradient flows into the target.

    Args:
        channels: Width F of the representations.
        dropout: Dropout ratio of the target.
        gradient: Whether the online branch is trained; if not, the term is constant.

    Shapes:
        ``user`` [U, F], ``item`` [I, F]
    """

    def __init__(self, channels: Count, dropout: Probability = 0.5, gradient: bool = True) -> None:
        super().__init__()
        self.predictor = Linear(channels, channels)
        self.dropout, self.gradient = dropout, gradient

    def reset_parameters(self) -> None:
        self.predictor.reset_parameters()

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        terms = []
        for z in (user, item):
            online = self.predictor(z) if self.gradient else self.predictor(z).detach()
            target = dropout(z.detach(), self.dropout, self.training)
            terms.append(feature_masking_loss(online, target))
        return torch.stack(terms).sum()


@checked
class GraphContrast(torch.nn.Module):
    r"""InfoNCE between two views of users and items, Eq. 25-27 of the `"MENTOR"
    <https://arxiv.org/abs/2402.19407>`_ paper.

    Args:
        temperature: :math:`\tau`.
        rows: :obj:`"batch"` for the distinct users and positive items of the batch,
            :obj:`"full"` for all.
        limit: Maximum number of users, and of items, to contrast per batch, sampled at random.
            The cost grows with its square, so set it for large batches.

    Shapes:
        each view is a pair of users [n, F] and items [m, F] by name
    """

    def __init__(
        self,
        temperature: Positive = 0.2,
        rows: Literal["batch", "full"] = "batch",
        limit: Count | None = None,
    ) -> None:
        super().__init__()
        self.temperature, self.rows, self.limit = temperature, rows, limit

    def select(self, batch: Batch) -> Pair | None:
        """Users and items to contrast; None for all."""
        if self.rows == "full":
            return None
        users, items = batch.user.unique(), batch.pos_item.unique()
        return subset(users, self.limit), subset(items, self.limit)

    def forward(self, view1: Mapping[str, Pair], view2: Mapping[str, Pair]) -> Tensor:
        """Sum over users, items and names."""
        terms = [
            info_nce(rows1, rows2, self.temperature)
            for name in view1
            for rows1, rows2 in zip(view1[name], view2[name])
        ]
        return torch.stack(terms).sum()


@checked
class ModalityContrast(torch.nn.Module):
    r"""InfoNCE between nodes and their representation in each modality, Eq. 10 of the
    `"MMSSL" <https://arxiv.org/abs/2302.10632>`_ paper, summed over modalities.

    Args:
        temperature: :math:`\tau`.

    Shapes:
        ``out`` [n, D], ``modal`` [n, M, D]
    """

    def __init__(self, temperature: Positive = 0.5) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, out: Tensor, modal: Tensor) -> Tensor:
        terms = [info_nce(out, view, self.temperature) for view in modal.unbind(dim=1)]
        return torch.stack(terms).sum()
