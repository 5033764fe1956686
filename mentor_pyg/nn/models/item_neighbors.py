import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.models.solved import ItemItemRecommender
from mentor_pyg.options import Count, NonNegative
from mentor_pyg.sparse.products import gram_blocks


class ItemNeighbors(ItemItemRecommender):
    r"""Item-based collaborative filtering, known as ItemKNN, from the `"Item-based Top-N
    Recommendation Algorithms" <https://doi.org/10.1145/963770.963776>`_ paper.

    The weight from item j to item i is the cosine of their columns in the matrix
    :math:`\tilde{\mathbf{R}}` [U, I], whose rows have unit length, so that users with many items
    say less about each pair of them. A shrinkage h lowers the similarity of items with few users,
    as in the `"Are We Really Making Much Progress?" <https://arxiv.org/abs/1907.06902>`_ paper:

    .. math::
        \tilde{r}_{ui} = \frac{r_{ui}}{\sqrt{|\mathcal{N}_u|}}, \qquad
        w_{ji} = \frac{\langle \tilde{\mathbf{r}}_j, \tilde{\mathbf{r}}_i \rangle}
        {\lVert \tilde{\mathbf{r}}_j \rVert \, \lVert \tilde{\mathbf{r}}_i \rVert + h} \quad
        \text{for the k nearest items j of i, else 0}, \qquad
        s_{ui} = \sum_{j \in \mathcal{N}_u} w_{ji}

    Args:
        num_items: Number of items I.
        k: Number of neighbours of an item; all other items if there are fewer.
        shrinkage: h.
        normalize_users: Whether rows have unit length; otherwise
            :math:`\tilde{\mathbf{R}} = \mathbf{R}`, as in most comparisons.

    Attributes:
        neighbor: Nearest items of each item [I, k].
        similarity: Their weights [I, k]; zeros at the end if there are fewer.
    """

    neighbor: Tensor
    similarity: Tensor

    def __init__(
        self,
        num_items: Count,
        k: Count = 100,
        shrinkage: NonNegative = 100.0,
        normalize_users: bool = True,
    ) -> None:
        super().__init__()
        self.shrinkage, self.normalize_users = shrinkage, normalize_users
        self.register_buffer("neighbor", torch.zeros(num_items, k, dtype=torch.long))
        self.register_buffer("similarity", torch.zeros(num_items, k))

    def solve(self, data: HeteroData) -> None:
        adj = self.binary_interactions(data)
        if self.normalize_users:
            count = adj.rowptr.diff()
            adj = adj.with_weight(count.rsqrt().repeat_interleave(count))
        item = torch.arange(adj.num_sources, device=adj.col.device)
        item = item.repeat_interleave(adj.rowptr_t.diff())
        square = adj.weight_t.square()
        length = square.new_zeros(adj.num_sources).index_add_(0, item, square).sqrt()
        k = min(self.neighbor.size(1), len(length) - 1)
        for rows, common in gram_blocks(adj):
            norm = length[rows].unsqueeze(1) * length + self.shrinkage
            similarity = common / norm.masked_fill_(norm == 0, 1.0)
            own = torch.arange(rows.start, rows.stop, device=similarity.device)
            similarity[own - rows.start, own] = -1.0  # never among the k others
            self.similarity[rows, :k], self.neighbor[rows, :k] = similarity.topk(k, dim=1)

    def columns(self) -> Tensor:
        num_items, k = self.neighbor.shape
        item = torch.arange(num_items, device=self.neighbor.device).repeat_interleave(k)
        index = torch.stack([item, self.neighbor.flatten()])
        return torch.sparse_coo_tensor(index, self.similarity.flatten(), (num_items, num_items))
