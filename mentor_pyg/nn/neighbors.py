"""User-item graph learned from embeddings."""

from typing import Any

import torch
from torch import Tensor

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import normalize
from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import neighbor_sum
from mentor_pyg.sparse.products import top_k_products


@checked
class NeighborGraph(torch.nn.Module):
    r"""Links each user to the k nearest items by cosine, Eq. 3 and 8 of the `"MMSSL"
    <https://arxiv.org/abs/2302.10632>`_ paper.

    Only items of positive cosine are linked. A hop sums over neighbours and divides by the
    square root of their number, in both directions:

    .. math::
        \mathbf{e}^{\prime}_u = \frac{1}{\sqrt{|\mathcal{N}_u|}}
        \sum_{i \in \mathcal{N}_u} \mathbf{e}_i, \qquad
        \mathbf{e}^{\prime}_i = \frac{1}{\sqrt{|\mathcal{N}_i|}}
        \sum_{u \in \mathcal{N}_i} \mathbf{e}_u

    The neighbours are a buffer, so that a run can be resumed within an epoch. There are none
    before the first :meth:`rebuild`.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        k: Neighbours per user, at most I.

    Shapes:
        ``neighbor`` [U, k], -1 where there is none
    """

    neighbor: Tensor

    def __init__(self, num_users: Count, num_items: Count, k: Count) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.register_buffer("neighbor", torch.full((num_users, min(k, num_items)), -1))
        self._built: Adjacency | None = None
        self.register_load_state_dict_post_hook(_forget)

    def reset_parameters(self) -> None:
        self.neighbor.fill_(-1)
        self._built = None

    @torch.no_grad()
    def rebuild(self, user: Tensor, item: Tensor, hidden: Adjacency | None = None) -> None:
        """Recomputes the neighbours from embeddings.

        Args:
            user: Embeddings of all users [U, F].
            item: Embeddings of all items [I, F].
            hidden: Pairs to exclude, with one row per user.

        Raises:
            InputError: If the shapes do not fit.
        """
        sizes = {"U": self.num_users, "I": self.num_items}
        check_shapes(
            "NeighborGraph", user=(user, (sizes["U"], "F")), item=(item, (sizes["I"], "F"))
        )
        if hidden is not None and (hidden.num_targets, hidden.num_sources) != (*sizes.values(),):
            raise InputError(
                f"NeighborGraph: 'hidden' is of {hidden.num_targets} users and "
                f"{hidden.num_sources} items; expected {sizes['U']} and {sizes['I']}"
            )

        def hide(cosine: Tensor, rows: slice) -> None:
            if hidden is not None:
                users = torch.arange(rows.start, rows.stop, device=cosine.device)
                cosine[hidden.entries(users)] = -1

        k = self.neighbor.size(1)
        cosine, neighbor = top_k_products(normalize(user), normalize(item), k, hide)
        self.neighbor.copy_(neighbor.where(cosine > 0, -1))
        self._built = None
        self.forward()

    def forward(self) -> Adjacency:
        """The graph [U, I] with weights of one; see :func:`gather` for a hop."""
        if self._built is None or self._built.col.device != self.neighbor.device:
            user, rank = (self.neighbor >= 0).nonzero().t()
            edge_index = torch.stack([self.neighbor[user, rank], user])
            ones = torch.ones(user.numel(), device=user.device)
            size = self.num_items, self.num_users
            self._built = Adjacency.from_edge_index(edge_index, ones, size)
        return self._built

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the matrix, which is rebuilt on demand."""
        return self.__dict__ | {"_built": None}


def _forget(graph: NeighborGraph, incompatible_keys: object) -> None:
    """Hook after loading; a function, since closures cannot be pickled."""
    graph._built = None


def gather(x: Tensor, adj: Adjacency) -> Tensor:
    """Sums over neighbours, divided by the square root of their number: [num_sources, F] to
    [num_targets, F]. Edge weights are ignored. Isolated nodes get zeros."""
    count = adj.rowptr.diff().clamp(min=1).unsqueeze(1)
    return neighbor_sum(x, adj) * count.rsqrt()
