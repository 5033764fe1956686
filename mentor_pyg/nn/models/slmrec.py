from typing import cast

import torch
from torch import Tensor
from torch.nn import Linear, ModuleList
from torch.optim import Adam
from torch_geometric.data import HeteroData

from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.initialization import reset_linear
from mentor_pyg.nn.loss import batch_info_nce, weighted
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes, unit_content
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.random import dropout
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
)
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import Batch, Objective


class SLMRec(BaseRecommender):
    r"""The model from the `"Self-supervised Learning for Multimedia Recommendation"
    <https://doi.org/10.1109/TMM.2022.3187556>`_ paper, with its tasks "fine and coarse" and
    "feature dropout".

    Users and items have one representation for the IDs, :math:`\mathbf{z}_i^0 = \mathbf{f}_i`,
    and one for the content of each modality, :math:`\mathbf{z}_i^m = \mathbf{W}_m
    \mathbf{x}_i^m / \lVert \mathbf{x}_i^m \rVert + \mathbf{b}_m`. Users start from the same
    embeddings in all of them, and linear layers fuse them:

    .. math::
        \mathbf{E}^m = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l
        \begin{bmatrix} \mathbf{F}_U \\ \mathbf{Z}^m \end{bmatrix}, \qquad
        \mathbf{h}_u = \mathbf{W}_U \Vert_m \, \mathbf{e}_u^m + \mathbf{b}_U, \qquad
        \mathbf{h}_i = \mathbf{W}_I \Vert_m \, \mathbf{e}_i^m + \mathbf{b}_I

    The objective is InfoNCE over the pairs of a batch plus the two tasks, where
    :math:`\mathbf{h}^{\prime}` and :math:`\mathbf{h}^{\prime\prime}` are h with dropout after
    each hop:

    .. math::
        \mathcal{L} = \mathcal{L}_{NCE}(\mathbf{h}_u, \mathbf{h}_i)
        + \alpha_1 \sum_{m=1}^{M} \mathcal{L}_{NCE}(\mathbf{c}_i^m, \mathbf{Q}_m \mathbf{e}_i^m)
        + \alpha_2 \left( \mathcal{L}_{NCE}(\mathbf{h}_u^{\prime}, \mathbf{h}_u^{\prime\prime})
        + \mathcal{L}_{NCE}(\mathbf{h}_i^{\prime}, \mathbf{h}_i^{\prime\prime}) \right)

    .. math::
        \mathbf{c}_i^1 = \mathbf{P}_1 \mathbf{e}_i^0, \qquad
        \mathbf{c}_i^m = \mathbf{P}_m \mathbf{c}_i^{m-1}

    The modalities are sorted by name. Each is contrasted with all previous ones in a common
    space, and these spaces become coarser. Items added after training are embedded by their
    content only.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        temperature: Temperature of the pairs' InfoNCE.
        coarse_weight: :math:`\alpha_1`, weight of the task "fine and coarse".
        dropout_weight: :math:`\alpha_2`, weight of the task "feature dropout".
        dropout: Dropout ratio of this task.
        task_temperature: Temperature of both tasks.
        weight_decay: Weight decay of Adam.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        temperature: Positive = 0.2,
        coarse_weight: NonNegative = 0.1,
        dropout_weight: NonNegative = 0.0,
        dropout: Probability = 0.3,
        task_temperature: Positive = 0.2,
        weight_decay: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projections = ModalityProjections(in_channels, hidden_channels)
        width, num_parts = hidden_channels, len(in_channels) + 1
        self.fuse_user = Linear(num_parts * width, width)
        self.fuse_item = Linear(num_parts * width, width)
        self.coarse, self.fine = ModuleList(), ModuleList()
        if coarse_weight > 0:
            self.coarse.extend(Linear(width, width) for _ in in_channels)
            self.fine.extend(Linear(width, width) for _ in in_channels)
        self.num_layers, self.num_parts = num_layers, num_parts
        self.temperature, self.task_temperature = temperature, task_temperature
        self.coarse_weight, self.dropout_weight = coarse_weight, dropout_weight
        self.dropout, self.weight_decay = dropout, weight_decay
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for linear in (self.fuse_user, self.fuse_item, *self.coarse, *self.fine):
            reset_linear(cast(Linear, linear))

    def objectives(self) -> list[Objective]:
        """A single objective, optimised by Adam with weight decay."""
        options = {"weight_decay": self.weight_decay}
        return [Objective(self.losses, list(self.parameters()), Adam, options)]

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Fused embeddings of users [U, D] and items [I, D]."""
        return self._fuse(*self._propagate(*self._start(data), self.interactions(data)))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        start, adj = self._start(data), self.interactions(data)
        user_parts, item_parts = self._propagate(*start, adj)
        user, item = self._fuse(user_parts, item_parts)
        pairs = user.index_select(0, batch.user), item.index_select(0, batch.pos_item)
        return weighted(
            contrast=(1, lambda: info_nce(*pairs, self.temperature)),
            coarse=(self.coarse_weight, lambda: self._fine_and_coarse(item_parts, batch)),
            dropout=(self.dropout_weight, lambda: self._drop_features(start, adj, batch)),
        )

    def _start(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """All representations before propagation, concatenated: users [U, (M + 1) D] and items
        [I, (M + 1) D]."""
        user, free = self.embedding(nodes(data))
        x, mask = unit_content(data, self.projections.modalities)
        item = torch.cat([free, *self.projections(x, mask).values()], dim=1)
        return user.repeat(1, self.num_parts), item

    def _propagate(
        self, user: Tensor, item: Tensor, adj: Adjacency, p: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        out = user, item
        for _ in range(self.num_layers):
            user, item = (dropout(x, p, self.training) for x in (adj @ item, adj.t() @ user))
            out = out[0] + user, out[1] + item
        return out[0] / (self.num_layers + 1), out[1] / (self.num_layers + 1)

    def _fuse(self, user_parts: Tensor, item_parts: Tensor) -> tuple[Tensor, Tensor]:
        return self.fuse_user(user_parts), self.fuse_item(item_parts)

    def _drop_features(self, start: tuple[Tensor, Tensor], adj: Adjacency, batch: Batch) -> Tensor:
        view1, view2 = (self._fuse(*self._propagate(*start, adj, self.dropout)) for _ in range(2))
        return batch_info_nce(view1, view2, batch, self.task_temperature)

    def _fine_and_coarse(self, item_parts: Tensor, batch: Batch) -> Tensor:
        """InfoNCE between modalities in increasingly coarse spaces."""
        parts = item_parts.index_select(0, batch.pos_item.unique())
        common, *others = parts.chunk(self.num_parts, dim=1)
        terms = []
        for coarse, fine, other in zip(self.coarse, self.fine, others):
            common = coarse(common)
            terms.append(info_nce(common, fine(other), self.task_temperature))
        return torch.stack(terms).sum()
