"""Users described by the content of their items."""

import torch
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.nn.clustering import kmeans
from mentor_pyg.nn.functional import zero_missing
from mentor_pyg.options import Count, Share, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import neighbor_sum


@checked
@torch.no_grad()
def user_semantics(
    x: Tensor,
    adj: Adjacency,
    mask: OptTensor = None,
    num_clusters: Count = 8,
    local_weight: Share = 0.1,
) -> Tensor:
    r"""Describes users by the content of their items and of the clusters of these, as in the
    `"SG-URInit" <https://arxiv.org/abs/2604.14839>`_ paper. Nothing is trained.

    .. math::
        \mathbf{u}_u = \lambda \sum_{i \in \mathcal{N}_u} \frac{\mathbf{x}_i}
        {\sqrt{|\mathcal{N}_u| |\mathcal{N}_i|}} + (1 - \lambda) \frac{1}{|\mathcal{N}_u|}
        \sum_{i \in \mathcal{N}_u} \mathbf{c}_{z_i}

    where :math:`\mathbf{c}_{z_i}` is the centre of the k-means cluster of item i. Items without
    content contribute nothing; users without items get zeros.

    Args:
        x: Features of the items [I, F].
        adj: The normalised user-item graph [U, I].
        mask: Bool [I], False where an item has no content.
        num_clusters: Number of clusters; each item is its own if there are fewer items.
        local_weight: :math:`\lambda`.

    Returns:
        Rows of the users [U, F].

    Raises:
        InputError: If the shapes do not fit, or lambda is not from 0 to 1.
    """
    check_shapes("user_semantics", x=(x, (adj.num_sources, "F")))
    check_mask("user_semantics", x.size(0), mask=mask)
    x = zero_missing(x, mask)
    present = torch.arange(x.size(0), device=x.device) if mask is None else mask.nonzero()[:, 0]
    coarse = torch.zeros_like(x)
    if present.numel():
        centers, cluster = kmeans(x[present], min(num_clusters, present.numel()))
        coarse[present] = centers[cluster]
    count = adj.rowptr.diff().clamp(min=1).unsqueeze(1)
    return local_weight * (adj @ x) + (1 - local_weight) * neighbor_sum(coarse, adj) / count
