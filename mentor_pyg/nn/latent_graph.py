"""Item graph learned from embeddings."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.functional import SMALLEST_NORM, neighbor_products, normalize
from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.products import top_k_products


@checked
class LatentGraph(torch.nn.Module):
    r"""Links each item to its k nearest items by cosine, itself included, Eq. 4-7 of the
    `"LATTICE" <https://arxiv.org/abs/2104.09036>`_ paper.

    .. math::
        \mathbf{h}^{\prime} = \mathbf{D}^{-1/2} \mathbf{S} \mathbf{D}^{-1/2} \mathbf{h},
        \qquad S_{ab} = \max(0, \cos(\mathbf{x}_a, \mathbf{x}_b)), \quad b \in \mathcal{N}_a

    where :math:`\mathbf{D}` holds row sums. The neighbours are a buffer, so that a run can be
    resumed within an epoch; edge weights are computed from the given embeddings, with
    gradients. Before the first :meth:`rebuild`, each item is linked only to itself. Embeddings
    of zeros send and receive nothing.

    Args:
        num_items: Number of items I.
        k: Neighbours per item, at most I.

    Shapes:
        ``x`` [I, F]; ``hidden`` and result [I, D]; ``neighbor`` [I, k]
    """

    neighbor: Tensor

    def __init__(self, num_items: Count, k: Count) -> None:
        super().__init__()
        self.register_buffer("neighbor", torch.empty(num_items, min(k, num_items)).long())
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.neighbor.copy_(torch.arange(self.neighbor.size(0)).unsqueeze(1))

    @torch.no_grad()
    def rebuild(self, x: Tensor) -> None:
        """Recomputes the neighbours from item embeddings."""
        check_shapes("LatentGraph", x=(x, (self.neighbor.size(0), "F")))
        unit = normalize(x)
        k = self.neighbor.size(1)
        self.neighbor.copy_(top_k_products(unit, unit, k, lambda products, rows: None)[1])

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Propagates ``hidden`` by one hop."""
        num_items = self.neighbor.size(0)
        check_shapes("LatentGraph", x=(x, (num_items, "F")), hidden=(hidden, (num_items, "D")))
        weight = neighbor_products(normalize(x), self.neighbor).clamp(min=0)
        root = weight.sum(dim=1, keepdim=True).clamp(min=SMALLEST_NORM).rsqrt()
        return root * F.embedding_bag(
            self.neighbor, root * hidden, mode="sum", per_sample_weights=weight
        )
