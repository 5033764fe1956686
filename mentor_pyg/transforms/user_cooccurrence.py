import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce, softmax

from mentor_pyg._util.shapes import check_edge_index
from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.products import block_rows
from mentor_pyg.typing import COOCCURS, INTERACTS, ITEM, USER


@functional_transform("user_cooccurrence")
@checked
class UserCooccurrence(BaseTransform):
    r"""Links users who share the most training items by a frozen graph, as in the
    `"DualGNN" <https://doi.org/10.1109/TMM.2021.3138298>`_ paper.

    With :math:`c_{uv} = |\mathcal{N}_u \cap \mathcal{N}_v|`, each user u is linked to the k
    users v with the largest :math:`c_{uv} > 0` (lower indices first in case of ties) and
    weights :math:`\mathrm{softmax}_v(c_{uv})`. Edges :math:`v \to u` of
    ``(user, cooccurs, user)`` are stored as ``edge_index``, ``edge_weight`` and
    ``adjacency``. Users who share no item with others get no edges.

    Args:
        k: Maximum number of neighbours per user.
    """

    def __init__(self, k: Count = 40) -> None:
        self.k = k

    def forward(self, data: HeteroData) -> HeteroData:
        num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        edge_index, count = shared_items(data[INTERACTS].edge_index, num_users, num_items, self.k)
        weight = softmax(count, edge_index[1], num_nodes=num_users)
        data[COOCCURS].edge_index, data[COOCCURS].edge_weight = edge_index, weight
        data[COOCCURS].adjacency = Adjacency.from_edge_index(
            edge_index, weight, (num_users, num_users)
        )
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(k={self.k})"


def shared_items(
    edge_index: Tensor, num_users: int, num_items: int, k: int
) -> tuple[Tensor, Tensor]:
    """Finds the users who share the most items with each user, one block of users at a time.

    Args:
        edge_index: Pairs [2, E] of user and item; duplicates count once.
        num_users: Number of users U.
        num_items: Number of items I.
        k: Maximum number of neighbours per user.

    Returns:
        ``edge_index`` [2, n] from neighbour to user, sorted by user and descending count, and
        the counts [n].
    """
    pairs = check_edge_index("shared_items", edge_index, (num_users, num_items))
    edge_index = coalesce(pairs)
    user, item = edge_index
    ones = torch.ones(user.numel(), dtype=torch.float32, device=user.device)
    buyers = Adjacency.from_edge_index(edge_index.flip(0), ones, (num_items, num_users))
    sources, targets, counts = [], [], []
    block = block_rows(num_users, 1, user.device)
    for start in range(0, num_users, block):
        rows = torch.arange(start, min(start + block, num_users), device=user.device)
        mine = (user >= start) & (user < start + block)
        bought = ones.new_zeros(num_items, rows.numel())
        bought[item[mine], user[mine] - start] = 1.0
        count = buyers.matmul(bought).t()
        count[torch.arange(rows.numel(), device=user.device), rows] = 0.0
        # Lower indices come first in case of ties; exact in double precision.
        rank = torch.arange(num_users, device=user.device)
        key = count.double() * num_users - rank
        neighbor = key.topk(min(k, num_users), dim=1).indices
        shared = count.gather(1, neighbor)
        found = shared > 0
        sources.append(neighbor[found])
        targets.append(rows.unsqueeze(1).expand_as(neighbor)[found])
        counts.append(shared[found])
    return torch.stack([torch.cat(sources), torch.cat(targets)]), torch.cat(counts)
