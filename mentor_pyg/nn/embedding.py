from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.typing import OptTensor

from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import select, table_rows
from mentor_pyg.options import Count, checked


class Nodes(NamedTuple):
    """The users and items of a graph, for layers with an embedding table.

    Attributes:
        num_users: Number of users U.
        num_items: Number of items I, including items added after training.
        user: Row of each user in the table [U]; the table's order if not given.
        item: Row of each item in the table [I]; the table's order if not given.
    """

    num_users: int
    num_items: int
    user: OptTensor = None
    item: OptTensor = None

    def users(self, table: Tensor) -> Tensor:
        """Rows [U, F] of the users' embedding table.

        Raises:
            InputError: If the table has another number of users.
        """
        if self.user is None and table.size(0) != self.num_users:
            raise InputError(
                f"the graph has {self.num_users} users, and the model {table.size(0)}; expected "
                "equal numbers, or a sampled graph with 'n_id', the users' row numbers"
            )
        return select(table, self.user)

    def items(self, table: Tensor) -> Tensor:
        """Rows [I, F] of the items' embedding table; zeros for items added after training.

        Raises:
            InputError: If the table has more items than the graph.
        """
        if self.item is None and table.size(0) > self.num_items:
            raise InputError(
                f"the graph has {self.num_items} items, and the model {table.size(0)}; expected "
                "at least as many, or a sampled graph with 'n_id', the items' row numbers"
            )
        return table_rows(table, self.num_items, self.item)

    def table_rows(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the tables [n] and [m] of users [n] and items [m] of the graph."""
        return (
            user if self.user is None else self.user[user],
            item if self.item is None else self.item[item],
        )


@checked
class UserItemEmbedding(torch.nn.Module):
    r"""Embedding tables of users and items, :math:`\mathbf{E}^{(0)}`.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.

    Shapes:
        ``user`` [U, D], ``item`` [I, D]; the result is a pair of both tables, or of the rows
        selected by ``nodes``
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
