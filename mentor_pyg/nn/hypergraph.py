import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter, ParameterList

from mentor_pyg.nn.random import dropout
from mentor_pyg.options import Count, NonNegativeInt, Probability, checked


@checked
class LowRankHypergraph(torch.nn.Module):
    r"""A hypergraph whose node-hyperedge weights are learned from node embeddings,
    Eq. 3-6 of the `"HCCF" <https://arxiv.org/abs/2204.12200>`_ paper.

    .. math::
        \mathbf{H} = \mathbf{E}^{(0)} \mathbf{W}, \qquad
        \boldsymbol{\Lambda}^{(0)} = \sigma(\mathbf{H}^{\top} \mathbf{E}), \qquad
        \boldsymbol{\Lambda}^{(c)} = \sigma(\mathbf{V}_c \boldsymbol{\Lambda}^{(c - 1)})
        + \boldsymbol{\Lambda}^{(c - 1)}, \qquad
        \boldsymbol{\Gamma} = \sigma(\mathbf{H} \boldsymbol{\Lambda}^{(C)})

    with :math:`\sigma` a LeakyReLU. In training, dropout is applied to H.

    Args:
        channels: Embedding size D.
        num_hyperedges: Number of hyperedges K.
        num_levels: Number of mappings C between hyperedges.
        dropout: Dropout ratio of H.
        negative_slope: Negative slope of the LeakyReLU.

    Shapes:
        ``x``, ``start`` [N, D]; ``member`` [N, K]; result [N, D]
    """

    def __init__(
        self,
        channels: Count,
        num_hyperedges: Count,
        num_levels: NonNegativeInt = 3,
        dropout: Probability = 0.5,
        negative_slope: float = 0.5,
    ) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(channels, num_hyperedges))
        self.levels = ParameterList(
            torch.empty(num_hyperedges, num_hyperedges) for _ in range(num_levels)
        )
        self.dropout, self.negative_slope = dropout, negative_slope
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            torch.nn.init.xavier_uniform_(parameter)

    def members(self, start: Tensor) -> Tensor:
        """Node-hyperedge weights H [N, K] for node embeddings ``start``."""
        return start @ self.weight

    def forward(self, x: Tensor, member: Tensor) -> Tensor:
        """Propagates x from nodes to hyperedges and back."""
        member = dropout(member, self.dropout, self.training)
        edge = F.leaky_relu(member.t() @ x, self.negative_slope)
        for level in self.levels:
            edge = F.leaky_relu(level @ edge, self.negative_slope) + edge
        return F.leaky_relu(member @ edge, self.negative_slope)
