"""Aggregation of item content over the user-item graph."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg.nn.neighbors import gather
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.random import dropout
from mentor_pyg.options import Count, Probability, Widths, checked
from mentor_pyg.sparse.adjacency import Adjacency


@checked
class ContentGathering(torch.nn.Module):
    r"""Aggregates item content to users, and users' content back to items, Eq. 2 of the
    `"MMSSL" <https://arxiv.org/abs/2302.10632>`_ paper.

    .. math::
        \mathbf{F}_i^m = \mathrm{dropout}(\mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m), \qquad
        \mathbf{f}_u^m = \frac{1}{\sqrt{|\mathcal{N}_u|}} \sum_{i \in \mathcal{N}_u}
        \mathbf{F}_i^m, \qquad
        \mathbf{f}_i^m = \frac{1}{\sqrt{|\mathcal{N}_i|}} \sum_{u \in \mathcal{N}_i}
        \mathbf{f}_u^m

    Missing content contributes nothing.

    Args:
        in_channels: Width D_m of the features by modality.
        out_channels: Width D of the result.
        dropout: Dropout ratio.

    Shapes:
        ``x`` [I, D_m] by modality; ``mask`` bool [I], False where an item has no content,
        or None; ``adj`` the user-item graph [U, I], whose weights are ignored; results
        [U, M, D] and [I, M, D], modalities sorted by name

    Raises:
        InputError: If the shapes do not fit.
    """

    def __init__(
        self, in_channels: Widths, out_channels: Count, dropout: Probability = 0.0
    ) -> None:
        super().__init__()
        self.projections = ModalityProjections(in_channels, out_channels)
        self.dropout = dropout

    def reset_parameters(self) -> None:
        self.projections.reset_parameters()

    def forward(
        self, x: Mapping[str, Tensor], mask: Mapping[str, OptTensor], adj: Adjacency
    ) -> tuple[Tensor, Tensor]:
        projected = self.projections(x, mask).values()
        parts = [dropout(part, self.dropout, self.training) for part in projected]
        user = gather(torch.cat(parts, dim=1), adj)
        item = gather(user, adj.t())
        size = len(parts), -1
        return user.unflatten(1, size), item.unflatten(1, size)
