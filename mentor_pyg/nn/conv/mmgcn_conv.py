from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.initialization import reset_linear
from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.adjacency import Adjacency, check_adjacency
from mentor_pyg.sparse.edges import neighbor_sum


@checked
class MMGCNConv(torch.nn.Module):
    r"""One layer of the `"MMGCN: Multi-modal Graph Convolution Network for Personalized
    Recommendation of Micro-video" <https://doi.org/10.1145/3343031.3351034>`_ paper.

    The aggregated neighbours of one modality are combined with the node's own features and
    its ID embedding :math:`\mathbf{v}_n`, which all modalities share:

    .. math::
        \mathbf{h}_n = \sigma \Big( \frac{1}{|\mathcal{N}_n|} \sum_{j \in \mathcal{N}_n}
        \mathbf{W}_1 \mathbf{x}_j \Big), \qquad
        \hat{\mathbf{h}}_n = \sigma(\mathbf{W}_2 \mathbf{x}_n + \mathbf{b}_2) + \mathbf{v}_n

    .. math::
        \mathbf{x}^{\prime}_n = \sigma(\mathbf{W}_3 [\mathbf{h}_n \,|\, \hat{\mathbf{h}}_n]
        + \mathbf{b}_3) \quad \text{or} \quad
        \sigma(\mathbf{W}_3 \mathbf{h}_n + \mathbf{b}_3 + \hat{\mathbf{h}}_n)

    with LeakyReLU for :math:`\sigma`. Isolated nodes aggregate zeros.

    Args:
        in_channels: Width F of the features.
        out_channels: Width D of the result and of the ID embeddings.
        combine: :obj:`"concat"` or :obj:`"sum"`, for the first or the second form.

    Shapes:
        ``x`` [N, F], or [N_s, F] and [N, F] of sources and targets; ``id_embedding`` [N, D];
        ``adj`` an :class:`~mentor_pyg.Adjacency` [N, N] or [N, N_s], whose weights are
        ignored; result [N, D]

    Raises:
        InputError: If shapes do not fit, or ``adj`` is not an ``Adjacency``.
    """

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        combine: Literal["concat", "sum"] = "concat",
    ) -> None:
        super().__init__()
        self.combine = combine
        self.lin_neighbor = Linear(in_channels, out_channels, bias=False)
        self.lin_self = Linear(in_channels, out_channels)
        width = 2 * out_channels if combine == "concat" else out_channels
        self.lin_out = Linear(width, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for linear in (self.lin_neighbor, self.lin_self, self.lin_out):
            reset_linear(linear, "xavier_normal")

    def forward(
        self, x: Tensor | tuple[Tensor, Tensor], id_embedding: Tensor, adj: Adjacency
    ) -> Tensor:
        check_adjacency("MMGCNConv", adj)
        source, x = (x, x) if isinstance(x, Tensor) else x
        num_targets, width = adj.num_targets, self.lin_self.in_features
        check_shapes(
            "MMGCNConv",
            x=(x, (num_targets, width)),
            x_src=(source, (adj.num_sources, width)),
            id_embedding=(id_embedding, (num_targets, self.lin_self.out_features)),
        )
        count = adj.rowptr.diff().clamp(min=1).unsqueeze(1)
        neighbors = F.leaky_relu(neighbor_sum(self.lin_neighbor(source), adj) / count)
        own = F.leaky_relu(self.lin_self(x)) + id_embedding
        if self.combine == "concat":
            return F.leaky_relu(self.lin_out(torch.cat([neighbors, own], dim=1)))
        return F.leaky_relu(self.lin_out(neighbors) + own)
