import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg.nn.models.solved import SolvedRecommender, cholesky
from mentor_pyg.options import Count, Positive

ENTRIES = 2**22
"""Entries per block of gathered embeddings and of matrices."""


class ALS(SolvedRecommender):
    r"""Matrix factorisation by alternating least squares from the `"Collaborative Filtering for
    Implicit Feedback Datasets" <https://doi.org/10.1109/ICDM.2008.22>`_ paper.

    All pairs count: training pairs with target 1 and confidence :math:`1 + \alpha`, all others
    with target 0 and confidence 1:

    .. math::
        \min_{\mathbf{X}, \mathbf{Y}} \; \sum_{u, i} (1 + \alpha r_{ui})
        (r_{ui} - \langle \mathbf{x}_u, \mathbf{y}_i \rangle)^2
        + \lambda \Big( \sum_u \lVert \mathbf{x}_u \rVert^2
        + \sum_i \lVert \mathbf{y}_i \rVert^2 \Big)

    With fixed items, the best users have a closed form, and vice versa. Both are solved in turn:

    .. math::
        \mathbf{x}_u = \Big( \mathbf{Y}^{\top} \mathbf{Y} + \alpha \sum_{i \in \mathcal{N}_u}
        \mathbf{y}_i \mathbf{y}_i^{\top} + \lambda \mathbf{I} \Big)^{-1} (1 + \alpha)
        \sum_{i \in \mathcal{N}_u} \mathbf{y}_i

    New users are embedded by the same formula.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_iterations: Number of times that users and items are solved.
        alpha: :math:`\alpha`, the additional confidence of a training pair.
        reg_weight: :math:`\lambda`.
    """

    user: Tensor
    item: Tensor

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_iterations: Count = 15,
        alpha: Positive = 10.0,
        reg_weight: Positive = 100.0,
    ) -> None:
        super().__init__()
        self.num_iterations, self.alpha, self.reg_weight = num_iterations, alpha, reg_weight
        self.register_buffer("user", torch.empty(num_users, hidden_channels))
        self.register_buffer("item", torch.empty(num_items, hidden_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws items from a normal distribution of standard deviation 0.01."""
        self.user.zero_()
        self.item.normal_(std=0.01)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D], as copies."""
        self.interactions(data)  # refuses sampled parts
        return self.user.clone(), self.item.clone()

    def solve(self, data: HeteroData) -> None:
        adj = self.interactions(data)
        for _ in range(self.num_iterations):
            self.user.copy_(self._solve_rows(self.item, adj.rowptr, adj.col))
            self.item.copy_(self._solve_rows(self.user, adj.rowptr_t, adj.col_t))

    def fold_in(self, item: Tensor, pairs: Tensor, num_users: int) -> Tensor:
        """Solves the embeddings of new users [n, D]."""
        order = pairs[0].argsort(stable=True)
        return self._solve_rows(item, index2ptr(pairs[0][order], num_users), pairs[1][order])

    def _solve_rows(self, other: Tensor, rowptr: Tensor, col: Tensor) -> Tensor:
        """The best embeddings of all rows of a CSR matrix for embeddings of its columns."""
        width, count = other.size(1), rowptr.diff()
        common = other.t() @ other
        common.diagonal().add_(self.reg_weight)
        out = other.new_zeros(count.numel(), width)
        order = count.argsort(descending=True)  # so that the rows of a block have similar lengths
        start = 0
        while start < order.numel():
            longest = int(count[order[start]])
            rows = order[start : start + max(1, ENTRIES // (width * max(width, longest)))]
            place = rowptr[rows].unsqueeze(1) + torch.arange(longest, device=col.device)
            inside = place < rowptr[rows + 1].unsqueeze(1)
            own = other[col[place.clamp(max=col.numel() - 1)]] * inside.unsqueeze(2)
            matrix = torch.baddbmm(common, own.mT, own, alpha=self.alpha)
            target = (1 + self.alpha) * own.sum(dim=1).unsqueeze(2)
            out[rows] = torch.cholesky_solve(target, cholesky(matrix, "ALS")).squeeze(2)
            start += rows.numel()
        return out
