from itertools import chain
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.loss import batch_info_nce, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes, whole_pairs
from mentor_pyg.nn.pruning import MaskedGraph
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Probability
from mentor_pyg.typing import Batch


class SGL(BaseRecommender):
    r"""The model from the `"Self-supervised Graph Learning for Recommendation"
    <https://arxiv.org/abs/2010.10783>`_ paper. It uses no content.

    Embeddings and scores are those of :class:`LightGCN`. Two views,
    :math:`\mathbf{Z}^{\prime}` and :math:`\mathbf{Z}^{\prime\prime}`, propagate the same
    embeddings over two graphs from which pairs are dropped anew each epoch. The graphs are
    normalised after dropping:

    * :obj:`"edge"`: each pair is dropped with probability p.
    * :obj:`"node"`: each user and item is dropped with probability p, with all its pairs.
    * :obj:`"walk"`: as :obj:`"edge"`, with a separate graph for each layer.

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_1 \left( \mathrm{InfoNCE}_\tau(\mathbf{Z}^{\prime}_{\mathcal{U}},
        \mathbf{Z}^{\prime\prime}_{\mathcal{U}})
        + \mathrm{InfoNCE}_\tau(\mathbf{Z}^{\prime}_{\mathcal{I}},
        \mathbf{Z}^{\prime\prime}_{\mathcal{I}}) \right)
        + \frac{\lambda_2}{2B} \sum_{b=1}^{B} \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    over the distinct users and positive items of the batch.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        augmentation: What is dropped, :obj:`"edge"`, :obj:`"node"` or :obj:`"walk"`.
        dropout: Probability p.
        contrast_weight: :math:`\lambda_1`.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_2`.
    """

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        augmentation: Literal["edge", "node", "walk"] = "edge",
        dropout: Probability = 0.1,
        contrast_weight: NonNegative = 0.1,
        temperature: Positive = 0.2,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        num_graphs = num_layers if augmentation == "walk" else 1
        self.views = ModuleList(
            ModuleList(MaskedGraph(num_users, num_items) for _ in range(num_graphs))
            for _ in range(2 if contrast_weight > 0 else 0)
        )
        self.augmentation, self.dropout = augmentation, dropout
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight

    def start_epoch(self, data: HeteroData) -> None:
        """Resamples the graphs of both views."""
        edge_index = whole_pairs(data)
        for graph in chain(*self.views):
            graph.keep(edge_index, self._draw(edge_index))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.propagation(*self.embedding(nodes(data)), self.interactions(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        out: Pair = self.propagation(*free, self.interactions(data))
        return self.objective(
            *out,
            batch,
            contrast=(self.contrast_weight, lambda: self._contrast(data, free, batch)),
            reg=(self.reg_weight, lambda: triple_norm(*free, batch)),
        )

    def _draw(self, edge_index: Tensor) -> Tensor:
        """Samples the pairs that a graph keeps, bool [E]."""

        def kept(size: int) -> Tensor:
            return torch.rand(size, device=edge_index.device) >= self.dropout

        if self.augmentation != "node":
            return kept(edge_index.size(1))
        users, items = (kept(x.size(0)) for x in self.embedding())
        return users[edge_index[0]] & items[edge_index[1]]

    def _contrast(self, data: HeteroData, free: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        edge_index = whole_pairs(data)
        view1, view2 = (self._view(cast(ModuleList, v), free, edge_index) for v in self.views)
        return batch_info_nce(view1, view2, batch, self.temperature)

    def _view(
        self, graphs: ModuleList, free: tuple[Tensor, Tensor], edge_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums over layers [U, D] and [I, D], whose cosines equal those of the means."""
        user, item = out = free
        for layer in range(self.propagation.num_layers):
            adj = graphs[layer % len(graphs)](edge_index)
            user, item = adj @ item, adj.t() @ user
            out = out[0] + user, out[1] + item
        return out
