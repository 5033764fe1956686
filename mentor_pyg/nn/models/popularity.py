import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.nn.models.solved import SolvedRecommender
from mentor_pyg.options import Count


class Popularity(SolvedRecommender):
    r"""Recommends the items with the most training pairs to every user.

    .. math::
        s_{ui} = |\mathcal{N}_i|

    Args:
        num_items: Number of items I.

    Attributes:
        count: Number of training pairs of each item [I, 1].
    """

    count: Tensor

    def __init__(self, num_items: Count) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(num_items, 1))

    def solve(self, data: HeteroData) -> None:
        self.count.copy_(self.interactions(data).rowptr_t.diff().unsqueeze(1))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Ones for all users [U, 1], and the counts of items [I, 1]."""
        num_users = self.interactions(data).num_targets
        return self.count.new_ones(num_users, 1), self.count.clone()

    def fold_in(self, item: Tensor, pairs: Tensor, num_users: int) -> Tensor:
        """Ones for new users [n, 1]."""
        return item.new_ones(num_users, 1)

    def similar(self, item: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Not defined.

        Raises:
            InputError: In any case.
        """
        raise InputError(
            "Popularity: knows counts of items only, so none are similar; "
            "expected a model with embeddings of items"
        )
