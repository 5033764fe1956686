"""Base classes of models that are solved at once instead of being trained by steps."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.options import Count
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import Objective


class SolvedRecommender(BaseRecommender):
    """Base class of models without gradient steps, e.g. with a closed form.

    A subclass keeps what it computes in buffers of fixed shapes, and implements
    :meth:`~mentor_pyg.BaseRecommender.forward` and :meth:`solve` instead of ``losses``.
    :func:`mentor_pyg.fit` calls :meth:`solve` once, as the only epoch, and measures on
    validation as always. Settings of gradient steps in :class:`~mentor_pyg.TrainConfig`, such as
    ``epochs`` and ``lr``, are ignored.
    """

    whole_graph = True

    def solve(self, data: HeteroData) -> None:
        """Computes the buffers from the training pairs of ``data``, without gradients.

        Iterative methods start from the values that the buffers have, closed forms from nothing.
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Sets all buffers to zero. A model that starts from other values must extend this
        method."""
        for buffer in self.buffers():
            buffer.zero_()

    def objectives(self) -> list[Objective]:
        """None, since there are no gradient steps."""
        return []

    def binary_interactions(self, data: HeteroData) -> Adjacency:
        r"""The training pairs as matrix :math:`\mathbf{R}` [U, I] of ones."""
        adj = self.interactions(data)
        return adj._replace(
            weight=torch.ones_like(adj.weight), weight_t=torch.ones_like(adj.weight_t)
        )


class ItemItemRecommender(SolvedRecommender):
    r"""Base class of models with weights between items, :math:`\mathbf{S} = \mathbf{R} \mathbf{W}`.

    The embedding of a user is its sparse row of the interactions :math:`\mathbf{R}` [U, I], and
    that of an item its column of :math:`\mathbf{W}` [I, I], so that dense scores only exist for
    the users of a block. New users are rows of their own interactions. Similar items are those of
    the highest weights.
    """

    def columns(self) -> Tensor:
        r""":math:`\mathbf{W}^{\top}` [I, I], the weights to each item from the items of a user,
        as a copy; dense or sparse."""
        raise NotImplementedError

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Sparse rows of users [U, I], and columns of the weights [I, I]."""
        adj = self.interactions(data)
        users = torch.arange(adj.num_targets, device=adj.col.device)
        pairs = torch.stack([users.repeat_interleave(adj.rowptr.diff()), adj.col])
        return _ones_at(pairs, adj.shape), self.columns()

    def fold_in(self, item: Tensor, pairs: Tensor, num_users: int) -> Tensor:
        """Sparse rows of new users [n, I], with ones for their items."""
        return _ones_at(pairs, (num_users, item.size(1)))

    def similar(self, item: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Users of one item each, whose scores are the weights from it to all items."""
        pairs = torch.stack([torch.arange(rows.numel(), device=rows.device), rows])
        return self.fold_in(item, pairs, rows.numel()), item


class DenseItemItemRecommender(ItemItemRecommender):
    """An :class:`ItemItemRecommender` with a dense matrix of weights.

    Args:
        num_items: Number of items I.

    Attributes:
        weight: W [I, I], from the items of a user to recommended items.
    """

    weight: Tensor

    def __init__(self, num_items: Count) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_items, num_items))

    def columns(self) -> Tensor:
        return self.weight.clone().t()  # products with sparse rows are fastest in this order


def cholesky(matrix: Tensor, where: str) -> Tensor:
    """The Cholesky factor of regularised matrices [*, n, n].

    Raises:
        InputError: If rounding errors exceed the regularisation.
    """
    try:
        return torch.linalg.cholesky(matrix)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise InputError(
            f"{where}: can't be solved in single precision; expected a larger reg_weight"
        ) from None


def _ones_at(pairs: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse matrix with ones at these pairs [2, E], which are sorted."""
    ones = torch.ones(pairs.size(1), device=pairs.device)
    return torch.sparse_coo_tensor(pairs, ones, size, is_coalesced=True)
