import torch
from torch import Tensor
from torch_geometric.typing import Adj, OptTensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.conv.light_gcn_conv import LightGCNConv
from mentor_pyg.nn.functional import SMALLEST_NORM, at_least_float
from mentor_pyg.nn.random import uniform
from mentor_pyg.options import NonNegative, checked
from mentor_pyg.sparse.adjacency import Adjacency


@checked
class NoisyLightGCNConv(LightGCNConv):
    r"""A LightGCN hop that perturbs its output, as in the `"Are Graph Augmentations
    Necessary? Simple Graph Contrastive Learning for Recommendation"
    <https://arxiv.org/abs/2112.08679>`_ and `"MENTOR: Multi-level Self-supervised
    Learning for Multimodal Recommendation" <https://arxiv.org/abs/2402.19407>`_ papers.

    .. math::
        \tilde{\mathbf{x}}_i = \mathbf{x}^{\prime}_i + \epsilon \,
        \mathrm{sign}(\mathbf{x}^{\prime}_i) \odot
        \frac{\boldsymbol{\delta}_i}{\lVert \boldsymbol{\delta}_i \rVert_2},
        \qquad \boldsymbol{\delta}_i \sim \mathcal{U}(0, 1)^F

    where :math:`\mathbf{x}^{\prime}_i` is the output of :class:`LightGCNConv`. The
    perturbation has length :math:`\epsilon` and keeps every vector in its orthant.
    In :meth:`eval` mode, or with ``eps=0``, the output equals that of :class:`LightGCNConv`.

    Args:
        eps (float, optional): Length of the noise. (default: :obj:`0.1`)
        normalize (bool, optional): See :class:`LightGCNConv`. (default: :obj:`True`)
        **kwargs (optional): Additional arguments of
            :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        As :class:`LightGCNConv`; ``noise`` has the shape of the output.
    """

    def __init__(self, eps: NonNegative = 0.1, normalize: bool = True, **kwargs):  # type: ignore[no-untyped-def]
        super().__init__(normalize, **kwargs)
        self.eps = eps

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor | None],
        edge_index: Adj | Adjacency,
        edge_weight: OptTensor = None,
        rows: OptTensor = None,
        noise: OptTensor = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.perturb(super().forward(x, edge_index, edge_weight, rows), noise, generator)

    def perturb(
        self,
        x: Tensor,
        noise: OptTensor = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Adds the noise to the output of a hop that is already known.

        Args:
            x: Output of a hop without noise, [num_nodes, F].
            noise: Uniform draws [num_nodes, F] to use instead of new ones.
            generator: Source of randomness; the global one if not given.
        """
        if not self.training or self.eps == 0:
            return x
        if noise is None:
            noise = uniform(x.shape, x, generator)
        else:
            check_shapes("NoisyLightGCNConv", x=(x, ("N", "F")), noise=(noise, ("N", "F")))
        wide, noise = at_least_float(x), at_least_float(noise)
        scale = self.eps / noise.norm(dim=-1, keepdim=True).clamp(min=SMALLEST_NORM)
        return torch.addcmul(wide, wide.detach().sign(), noise * scale).to(x.dtype)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(eps={self.eps})"
