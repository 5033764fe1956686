import torch
from torch import Tensor
from torch.nn import Parameter

from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, checked


@checked
class UserItemEmbedding(torch.nn.Module):
    r"""Free vectors of all users and items, :math:`\mathbf{E}^{(0)}`.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.

    Shapes:
        ``user`` [U, D], ``item`` [I, D]; result [U + I, D], users first
    """

    def __init__(self, num_users: Count, num_items: Count, hidden_channels: Count) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.user = Parameter(torch.empty(num_users, hidden_channels))
        self.item = Parameter(torch.empty(num_items, hidden_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.user)
        torch.nn.init.xavier_uniform_(self.item)

    def forward(self) -> Tensor:
        return torch.cat([self.user, self.item])

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the users and of the items in z [U + I, F], and those of items after them.

        Raises:
            InputError: If z has fewer rows.
        """
        num_nodes = self.num_users + self.num_items
        if z.size(0) < num_nodes:
            raise InputError(
                f"split: 'z' has {z.size(0)} rows; expected at least those of "
                f"{self.num_users} users and {self.num_items} items"
            )
        return z[: self.num_users], z[self.num_users :]
