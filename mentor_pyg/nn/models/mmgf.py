from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float
from mentor_pyg.nn.models.inputs import content
from mentor_pyg.nn.models.solved import DenseItemItemRecommender
from mentor_pyg.options import Count, NonNegative, Positive, Share, Widths
from mentor_pyg.sparse.products import block_rows, gram_blocks

QUANTILE_ENTRIES = 2**24
"""Largest input of :func:`torch.quantile`."""


class MMGF(DenseItemItemRecommender):
    r"""MM-GF from the `"Training-free Graph Filtering via Multimodal Feature Refinement for
    Extremely Fast Multimodal Recommendation" <https://arxiv.org/abs/2503.04406v1>`_ paper, with
    linear filters.

    The interactions :math:`\mathbf{R}` [U, I] and the features of each modality
    :math:`\mathbf{X}^m` [I, D_m] are normalised by the sums of their rows and columns, and give
    a similarity graph of items each. Its weights are raised to the power s one by one:

    .. math::
        \tilde{\mathbf{R}} = \mathbf{D}_U^{-\alpha} \mathbf{R} \mathbf{D}_I^{\alpha - 1}, \qquad
        \mathbf{P} = (\tilde{\mathbf{R}}^{\top} \tilde{\mathbf{R}})^{\circ s}, \qquad
        \mathbf{P}^m = (\tilde{\mathbf{X}}^m \tilde{\mathbf{X}}^{m \top})^{\circ s}

    Before, features are refined: from each column its median is subtracted, and it is divided by
    its interquartile range; then the smallest value of the modality is subtracted from all. Rows
    of items without content are zero. Users are filtered by the sum of all graphs:

    .. math::
        \mathbf{S} = \mathbf{R} \Big( \mathbf{P} + \sum_m \beta_m \mathbf{P}^m \Big)

    The memory grows with the square of the number of items.

    Args:
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        exponent: :math:`\alpha`, the share of the normalisation that rows get.
        power: s.
        content_weight: :math:`\beta_m` by modality, or one for all. The graphs are not of the
            same scale, so that the best weights may be far from 1.

    Raises:
        InputError: If ``content_weight`` names other modalities than those of the data.
    """

    def __init__(
        self,
        num_items: Count,
        in_channels: Widths,
        exponent: Share = 0.9,
        power: Positive = 0.5,
        content_weight: NonNegative | Mapping[str, NonNegative] = 1.0,
    ) -> None:
        super().__init__(num_items)
        if not isinstance(content_weight, Mapping):
            content_weight = dict.fromkeys(in_channels, content_weight)
        if content_weight.keys() != in_channels.keys():
            raise InputError(
                f"MMGF.content_weight: weighs {', '.join(sorted(content_weight)) or 'nothing'}; "
                f"expected the modalities of the data, {', '.join(in_channels)}"
            )
        self.exponent, self.power, self.content_weight = exponent, power, dict(content_weight)

    def solve(self, data: HeteroData) -> None:
        adj = self.binary_interactions(data)
        user_scale = _scale(adj.rowptr.diff().float(), self.exponent)
        item_scale = _scale(adj.rowptr_t.diff().float(), 1 - self.exponent)
        users = torch.arange(adj.num_targets, device=adj.col.device)
        user = users.repeat_interleave(adj.rowptr.diff())
        scaled = adj.with_weight(user_scale[user] * item_scale[adj.col])
        for rows, products in gram_blocks(scaled):
            self.weight[rows] = products.pow_(self.power)
        x, masks = content(data, [m for m, weight in self.content_weight.items() if weight > 0])
        for modality, features in x.items():
            self._add(self._refine(features, masks[modality]), self.content_weight[modality])

    def _add(self, x: Tensor, factor: float) -> None:
        """Adds the graph of refined features [I, D_m]."""
        size = block_rows(len(x), x.size(1), x.device)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            self.weight[rows] += (x[rows] @ x.t()).pow_(self.power).mul_(factor)

    def _refine(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Scaled and normalised features [I, D_m]; zeros where an item has no content."""
        x = at_least_float(x)
        known = x if mask is None else x[mask]
        if len(known) == 0:
            return torch.zeros_like(x)
        known = _robust(known)
        known = known - known.min()
        row_scale = _scale(known.sum(dim=1), self.exponent)
        known = known * row_scale.unsqueeze(1) * _scale(known.sum(dim=0), 1 - self.exponent)
        return known if mask is None else torch.zeros_like(x).index_put_((mask,), known)


def _robust(x: Tensor) -> Tensor:
    """Columns less their medians, divided by their interquartile ranges unless these are zero."""
    at = torch.tensor([0.25, 0.5, 0.75], dtype=x.dtype, device=x.device)
    size = max(1, QUANTILE_ENTRIES // len(x))
    low, middle, high = torch.cat([part.quantile(at, dim=0) for part in x.split(size, dim=1)], 1)
    span = high - low
    return (x - middle) / torch.where(span > 0, span, 1.0)


def _scale(total: Tensor, exponent: float) -> Tensor:
    """Sums to the power of the negative exponent; zero for sums of zero."""
    return torch.where(total > 0, total.pow(-exponent), 0.0)
