"""k-means clustering and contrast with cluster centres."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, normalize, power_of_two
from mentor_pyg.options import Count, NonNegativeInt, checked
from mentor_pyg.sparse.products import block_rows


@checked
@torch.no_grad()
def kmeans(x: Tensor, k: Count, num_iters: NonNegativeInt = 20) -> tuple[Tensor, Tensor]:
    """Lloyd's k-means, initialised with random rows.

    Distances are computed for one block of rows at a time. A cluster that loses all of its
    rows keeps its centre. The result does not depend on the rows' offset or scale.

    Args:
        x: Rows [N, F].
        k: Number of clusters, at most N.
        num_iters: Maximum number of updates; it stops early once no row changes its cluster.

    Returns:
        Centres [k, F] and the cluster of each row [N].
    """
    if k > x.size(0):
        raise InputError(f"kmeans: {k} clusters of {x.size(0)} rows; expected at most one per row")
    # Centring and scaling avoids overflow, and cancellation in rows far from the origin.
    start, dtype = x.mean(dim=0), x.dtype
    x = at_least_float(x) - start
    scale = power_of_two(x.abs().amax())
    x = x * scale
    centers = x[torch.randperm(x.size(0), device=x.device)[:k]].clone()
    nearest = nearest_rows(x, centers)
    for _ in range(num_iters):
        sums = torch.zeros_like(centers).index_add_(0, nearest, x)
        count = nearest.bincount(minlength=k).unsqueeze(1)
        centers = torch.where(count > 0, sums / count.clamp(min=1), centers)
        before, nearest = nearest, nearest_rows(x, centers)
        if torch.equal(before, nearest):
            break
    return (centers / scale + start).to(dtype), nearest


def nearest_rows(x: Tensor, others: Tensor) -> Tensor:
    """Indices [N] of the rows of ``others`` [M, F] nearest to the rows of x [N, F]."""
    square = others.square().sum(dim=1)
    block = block_rows(others.size(0), x.size(1), x.device)
    # |x|^2 is constant for each row.
    parts = [
        torch.addmm(square, rows, others.t(), alpha=-2).argmin(dim=1) for rows in x.split(block)
    ]
    return torch.cat(parts)


@checked
class Prototypes(torch.nn.Module):
    r"""Contrast of rows with the centres of their clusters, Eq. 11-14 of the `"NCL"
    <https://arxiv.org/abs/2202.06200>`_ paper.

    .. math::
        \mathcal{L} = -\frac{1}{|R|} \sum_{i \in R} \log
        \frac{\exp(\hat{\mathbf{x}}_i^{\top} \hat{\mathbf{c}}_{z_i} / \tau)}
        {\sum_{j=1}^{k} \exp(\hat{\mathbf{x}}_i^{\top} \hat{\mathbf{c}}_j / \tau)}

    with L2-normalised rows and centres. Clusters are buffers that :meth:`fit` computes; until
    then the loss is constant.

    Args:
        num_rows: Number of rows N.
        num_prototypes: Number of clusters k. With fewer rows, each row is its own cluster.
        channels: Width F.

    Shapes:
        ``x`` [N, F]; ``rows`` [n]

    Raises:
        InputError: If x has another shape.
    """

    centers: Tensor
    cluster: Tensor

    def __init__(self, num_rows: Count, num_prototypes: Count, channels: Count) -> None:
        super().__init__()
        self.register_buffer("centers", torch.zeros(min(num_prototypes, num_rows), channels))
        self.register_buffer("cluster", torch.zeros(num_rows, dtype=torch.long))

    def reset_parameters(self) -> None:
        self.centers.zero_()
        self.cluster.zero_()

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Clusters all rows again."""
        self._check(x)
        centers, cluster = kmeans(x, self.centers.size(0))
        self.centers.copy_(normalize(centers))
        self.cluster.copy_(cluster)

    def forward(self, x: Tensor, rows: Tensor, tau: float) -> Tensor:
        self._check(x)
        unit = normalize(at_least_float(x.index_select(0, rows)))
        return F.cross_entropy(unit @ self.centers.t() / tau, self.cluster[rows])

    def _check(self, x: Tensor) -> None:
        check_shapes("Prototypes", x=(x, (self.cluster.size(0), self.centers.size(1))))
