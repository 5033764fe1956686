from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import Linear, ModuleList
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.loss import (
    batch_info_nce,
    triple_norm,
)
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes, unit_content, whole_pairs
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.pruning import MaskedGraph
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
)
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import Batch


class MMGCL(BaseRecommender):
    r"""The model from the `"Multi-modal Graph Contrastive Learning for Micro-video
    Recommendation" <https://doi.org/10.1145/3477495.3532027>`_ paper.

    Channels c are the item embeddings and the projected features of each modality. Each
    channel is propagated over the user-item graph with the same user embeddings, and a linear
    layer fuses them:

    .. math::
        \mathbf{E}_c = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l
        \left[ \mathbf{F}_{\mathcal{U}} \,\Big|\, \mathbf{X}_c \right], \qquad
        \mathbf{X}_{id} = \mathbf{F}_{\mathcal{I}}, \quad
        \mathbf{x}_i^m = \mathbf{W}_m \frac{\mathbf{f}_i^m}{\lVert \mathbf{f}_i^m \rVert}
        + \mathbf{b}_m, \qquad
        \mathbf{z} = \mathbf{W} \, \Vert_c \, \mathbf{e}_c

    with separate :math:`\mathbf{W}` for users and items. The score is
    :math:`s_{ui} = \langle \mathbf{z}_u, \mathbf{z}_i \rangle`. Two views are contrasted. In
    :math:`\mathbf{Z}^{\prime}`, pairs are dropped with probability p, for each channel and
    epoch anew (modality edge dropout). In :math:`\mathbf{Z}^{\prime\prime}`, one modality of
    the items, chosen anew in each step, is replaced by random vectors (modality masking).

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_1 \left( \mathrm{InfoNCE}_\tau(\mathbf{Z}^{\prime}_{\mathcal{U}},
        \mathbf{Z}^{\prime\prime}_{\mathcal{U}})
        + \mathrm{InfoNCE}_\tau(\mathbf{Z}^{\prime}_{\mathcal{I}},
        \mathbf{Z}^{\prime\prime}_{\mathcal{I}}) \right)
        + \frac{\lambda_2}{2B} \sum_{b=1}^{B} \lVert \mathbf{f}_{u_b} \rVert^2
        + \lVert \mathbf{f}_{i_b} \rVert^2 + \lVert \mathbf{f}_{j_b} \rVert^2

    over the distinct users and positive items of the batch. Items added after training are
    embedded by their content only.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        dropout: Probability p.
        contrast_weight: :math:`\lambda_1`.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_2`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        dropout: Probability = 0.05,
        contrast_weight: NonNegative = 0.4,
        temperature: Positive = 0.2,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projections = ModalityProjections(in_channels, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        num_channels = 1 + len(in_channels)
        # An item bias would shift all scores of a user equally.
        self.read_user = Linear(num_channels * hidden_channels, hidden_channels, bias=False)
        self.read_item = Linear(num_channels * hidden_channels, hidden_channels, bias=False)
        self.graphs = ModuleList(
            MaskedGraph(num_users, num_items)
            for _ in range(num_channels if contrast_weight > 0 else 0)
        )
        self.dropout = dropout
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        torch.nn.init.xavier_uniform_(self.read_user.weight)
        torch.nn.init.xavier_uniform_(self.read_item.weight)

    def start_epoch(self, data: HeteroData) -> None:
        """Resamples the graph of each channel."""
        edge_index = whole_pairs(data)
        for graph in self.graphs:
            kept = torch.rand(edge_index.size(1), device=edge_index.device) >= self.dropout
            cast(MaskedGraph, graph).keep(edge_index, kept)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._encode(*self._start(data), self._full_graphs(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, items = start = self._start(data)
        out = self._encode(*start, self._full_graphs(data))
        return self.objective(
            *out,
            batch,
            contrast=(self.contrast_weight, lambda: self._contrast(data, *start, batch)),
            reg=(self.reg_weight, lambda: triple_norm(user, items[0], batch)),
        )

    def _start(self, data: HeteroData) -> tuple[Tensor, list[Tensor]]:
        """Embeddings of users [U, D], and of items [I, D] in each channel, before propagation.
        The ID channel comes first."""
        user, free = self.embedding(nodes(data))
        projected = self.projections(*unit_content(data, self.projections.modalities))
        return user, [free, *projected.values()]

    def _full_graphs(self, data: HeteroData) -> list[Adjacency]:
        return [self.interactions(data)] * (1 + len(self.projections.modalities))

    def _encode(
        self, user: Tensor, items: Sequence[Tensor], graphs: Sequence[Adjacency]
    ) -> tuple[Tensor, Tensor]:
        """Propagates each channel over its graph and fuses the channels."""
        outs = [self.propagation(user, item, adj) for item, adj in zip(items, graphs)]
        users, items = zip(*outs)
        return self.read_user(torch.cat(users, dim=1)), self.read_item(torch.cat(items, dim=1))

    def _contrast(
        self, data: HeteroData, user: Tensor, items: Sequence[Tensor], batch: Batch
    ) -> Tensor:
        edge_index = whole_pairs(data)
        dropped = self._encode(user, items, [graph(edge_index) for graph in self.graphs])
        masked = self._encode(user, self._mask(items), self._full_graphs(data))
        return batch_info_nce(dropped, masked, batch, self.temperature)

    def _mask(self, items: Sequence[Tensor]) -> list[Tensor]:
        """Replaces a random modality by random vectors."""
        free, *modalities = items
        chosen = torch.randint(len(modalities), (), device=free.device)
        fresh = torch.nn.init.xavier_uniform_(torch.empty_like(free))
        # The choice stays on the device, so that nothing waits for it.
        masked = [torch.where(chosen == m, fresh, item) for m, item in enumerate(modalities)]
        return [free, *masked]
