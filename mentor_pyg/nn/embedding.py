from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.typing import OptTensor

from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import select, table_rows
from mentor_pyg.options import Count, checked


class Nodes(NamedTuple):
    """Which users and items a graph has, for layers with a free vector of each.

    Attributes:
        num_users: Number of users U.
        num_items: Number of items I, those included that came after training.
        user: Where the users stand in a table of all [U]; in its order if not given.
        item: Where the items do [I]; in its order if not given.
    """

    num_users: int
    num_items: int
    user: OptTensor = None
    item: OptTensor = None

    def users(self, table: Tensor) -> Tensor:
        """Rows [U, F] of a table of all users.

        Raises:
            InputError: If the table is of other users.
        """
        if self.user is None and table.size(0) != self.num_users:
            raise InputError(
                f"the graph has {self.num_users} users, and the model {table.size(0)}; expected "
                "equal numbers, or a sampled graph with 'n_id', the users' row numbers"
            )
        return select(table, self.user)

    def items(self, table: Tensor) -> Tensor:
        """Rows [I, F] of a table of all items of the training; zeros for those that came later.

        Raises:
            InputError: If the table is of other items.
        """
        if self.item is None and table.size(0) > self.num_items:
            raise InputError(
                f"the graph has {self.num_items} items, and the model {table.size(0)}; expected "
                "as many at least, or a sampled graph with 'n_id', the items' row numbers"
            )
        return table_rows(table, self.num_items, self.item)


@checked
class UserItemEmbedding(torch.nn.Module):
    r"""Free vectors of all users and items, :math:`\mathbf{E}^{(0)}`.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.

    Shapes:
        ``user`` [U, D], ``item`` [I, D]; the result is a pair of them, or of the rows that a
        graph's ``nodes`` have
    """

    def __init__(self, num_users: Count, num_items: Count, hidden_channels: Count) -> None:
        super().__init__()
        self.user = Parameter(torch.empty(num_users, hidden_channels))
        self.item = Parameter(torch.empty(num_items, hidden_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.user)
        torch.nn.init.xavier_uniform_(self.item)

    def forward(self, nodes: Nodes | None = None) -> tuple[Tensor, Tensor]:
        if nodes is None:
            return self.user, self.item
        return nodes.users(self.user), nodes.items(self.item)
