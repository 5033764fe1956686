import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear
from torch_geometric.typing import Adj, OptTensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.conv.light_gcn_conv import LightGCNConv
from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.adjacency import Adjacency


@checked
class NGCFConv(torch.nn.Module):
    r"""One hop of the `"Neural Graph Collaborative Filtering"
    <https://arxiv.org/abs/1905.08108>`_ paper.

    .. math::
        \mathbf{X}^{\prime} = \mathrm{LeakyReLU} \left(
        (\mathbf{X} + \hat{\mathbf{A}} \mathbf{X}) \mathbf{W}_1
        + (\mathbf{X} \odot \hat{\mathbf{A}} \mathbf{X}) \mathbf{W}_2 \right)

    with :math:`\hat{\mathbf{A}}` as in :class:`~mentor_pyg.nn.LightGCNConv`, which takes any
    form of a homogeneous or bipartite graph. In a bipartite graph, :math:`\mathbf{X}` alone
    denotes the targets.

    Args:
        in_channels: Width F of the features.
        out_channels: Width of the result.
        negative_slope: Negative slope of LeakyReLU.

    Shapes:
        ``x`` [N, F], or [N_s, F] and [N, F] of sources and targets; result [N, out_channels]

    Raises:
        InputError: If shapes do not fit; see :class:`~mentor_pyg.nn.LightGCNConv`.
    """

    def __init__(
        self, in_channels: Count, out_channels: Count, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        self.hop = LightGCNConv()
        self.lin_sum = Linear(in_channels, out_channels, bias=False)
        self.lin_product = Linear(in_channels, out_channels, bias=False)
        self.negative_slope = negative_slope
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.lin_sum.weight)
        torch.nn.init.xavier_uniform_(self.lin_product.weight)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        edge_index: Adj | Adjacency,
        edge_weight: OptTensor = None,
    ) -> Tensor:
        neighbors = self.hop(x, edge_index, edge_weight)
        own = x if isinstance(x, Tensor) else x[1]
        check_shapes("NGCFConv", x=(own, tuple(neighbors.shape)))
        out = self.lin_sum(own + neighbors) + self.lin_product(own * neighbors)
        return F.leaky_relu(out, self.negative_slope)
