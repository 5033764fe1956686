import torch
from torch_geometric.data import HeteroData

from mentor_pyg.nn.models.solved import DenseItemItemRecommender, cholesky
from mentor_pyg.options import Count, Positive
from mentor_pyg.sparse.products import gram_blocks


class EASE(DenseItemItemRecommender):
    r"""EASE\ :sup:`R` from the `"Embarrassingly Shallow Autoencoders for Sparse Data"
    <https://arxiv.org/abs/1905.03375>`_ paper.

    The weights between items reproduce the interactions :math:`\mathbf{R}` best, but no item may
    explain itself. This has a closed form:

    .. math::
        \min_{\mathbf{W}} \; \lVert \mathbf{R} - \mathbf{R} \mathbf{W} \rVert_F^2
        + \lambda \lVert \mathbf{W} \rVert_F^2 \quad \text{with} \quad
        \mathrm{diag}(\mathbf{W}) = 0

    .. math::
        \mathbf{P} = (\mathbf{R}^{\top} \mathbf{R} + \lambda \mathbf{I})^{-1}, \qquad
        w_{ji} = -\frac{p_{ji}}{p_{ii}} \quad \text{for } j \neq i

    The memory grows with the square of the number of items, and the time with its cube.

    Args:
        num_items: Number of items I.
        reg_weight: :math:`\lambda`.
    """

    def __init__(self, num_items: Count, reg_weight: Positive = 100.0) -> None:
        super().__init__(num_items)
        self.reg_weight = reg_weight

    def solve(self, data: HeteroData) -> None:
        """Computes the closed form.

        Raises:
            InputError: If the matrix cannot be inverted in single precision.
        """
        gram = torch.empty_like(self.weight)
        for rows, products in gram_blocks(self.binary_interactions(data)):
            gram[rows] = products
        gram.diagonal().add_(self.reg_weight)
        inverse = torch.cholesky_inverse(cholesky(gram, "EASE"))
        self.weight.copy_(inverse.div_(-inverse.diagonal().clone()))
        self.weight.fill_diagonal_(0.0)
