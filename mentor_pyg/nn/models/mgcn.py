from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Linear, ModuleList, Sequential, Tanh
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.functional import zero_missing
from mentor_pyg.nn.gating import item_view, sigmoid_gate
from mentor_pyg.nn.loss import batch_info_nce, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, item_adjacency, nodes
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Widths
from mentor_pyg.typing import Batch, similar


class MGCN(BaseRecommender):
    r"""The model from the `"Multi-View Graph Convolutional Network for Multimedia
    Recommendation" <https://arxiv.org/abs/2308.03588>`_ paper.

    Content does not enter the embeddings, but selects the channels of the item embeddings
    :math:`\mathbf{V}` that matter in a modality. These are propagated over the item graph
    :math:`\mathbf{S}_m` of the modality and to the users:

    .. math::
        \mathbf{E}^m_I = \mathbf{S}_m^{L_s} \left( \mathbf{V} \odot \sigma(\mathbf{W}^m_2
        (\mathbf{W}^m_1 \mathbf{X}^m + \mathbf{b}^m_1) + \mathbf{b}^m_2) \right), \qquad
        \mathbf{E}^m_U = \hat{\mathbf{R}} \mathbf{E}^m_I

    What the modalities share is their attention-weighted sum, and what is left of each is
    selected by the behaviour view :math:`\bar{\mathbf{E}}`, computed as in
    :class:`LightGCN`:

    .. math::
        \mathbf{E}^s = \sum_m \alpha_m \mathbf{E}^m, \qquad
        \alpha = \mathrm{softmax}_m (\mathbf{q}^{\top} \tanh(\mathbf{W}_4 \mathbf{E}^m
        + \mathbf{b}_4))

    .. math::
        \tilde{\mathbf{E}} = \mathbf{E}^s + \frac{1}{M} \sum_m (\mathbf{E}^m - \mathbf{E}^s)
        \odot \sigma(\mathbf{W}^m_3 \bar{\mathbf{E}} + \mathbf{b}^m_3)

    .. math::
        \mathbf{Z} = \bar{\mathbf{E}} + \tilde{\mathbf{E}}, \qquad
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_c \mathcal{L}_{NCE}(\tilde{\mathbf{E}},
        \bar{\mathbf{E}}) + \frac{\lambda}{2B} \sum_{b=1}^{B} \lVert \mathbf{z}_{u_b} \rVert^2
        + \lVert \mathbf{z}_{i_b} \rVert^2 + \lVert \mathbf{z}_{j_b} \rVert^2

    where InfoNCE is over the distinct users and over the distinct positive items of a batch.
    An item has only the modalities that it does not lack. Items added after training receive
    the embeddings of their neighbours on the item graphs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops on the user-item graph.
        num_item_layers: Number of hops :math:`L_s` on the item graphs.
        contrast_weight: :math:`\lambda_c`.
        temperature: :math:`\tau` of InfoNCE.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        num_item_layers: NonNegativeInt = 1,
        contrast_weight: NonNegative = 0.01,
        temperature: Positive = 0.2,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        size = hidden_channels
        self.embedding = UserItemEmbedding(num_users, num_items, size)
        self.propagation = Propagation(num_layers, readout="mean")
        self.projections = ModalityProjections(in_channels, size, init="linear")
        self.gates = ModuleList(sigmoid_gate(size) for _ in in_channels)
        self.attention = Sequential(Linear(size, size), Tanh(), Linear(size, 1, bias=False))
        self.preferences = ModuleList(sigmoid_gate(size) for _ in in_channels)
        self.num_item_layers = num_item_layers
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return _sum(*self._views(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        behavior, side = self._views(data)
        out = _sum(behavior, side)
        return self.objective(
            *out,
            batch,
            contrast=(
                self.contrast_weight,
                lambda: batch_info_nce(side, behavior, batch, self.temperature),
            ),
            reg=(self.reg_weight, lambda: triple_norm(*out, batch)),
        )

    def _views(self, data: HeteroData) -> tuple[Pair, Pair]:
        """Users and items by behaviour, and by content."""
        free, adj = self.embedding(nodes(data)), self.interactions(data)
        behavior = self.propagation(*free, adj)
        names = self.projections.modalities
        x, mask = content(data, names)
        projected = self.projections(x, mask)
        users, items = [], []
        for m, gate in zip(names, self.gates):
            item = zero_missing(free[1] * gate(projected[m]), mask[m])
            graph = item_adjacency(data, similar(m))
            user, item = item_view(item, graph, adj, self.num_item_layers)
            users.append(user)
            items.append(item)
        user = self._fuse(users, behavior[0], [None] * len(names))
        return behavior, (user, self._fuse(items, behavior[1], [mask[m] for m in names]))

    def _fuse(
        self, parts: Sequence[Tensor], behavior: Tensor, masks: Sequence[OptTensor]
    ) -> Tensor:
        """Fuses the modalities [N, D] of users or of items, without missing ones."""
        scores = []
        for x, mask in zip(parts, masks):
            score = self.attention(x)
            if mask is not None:
                score = score.masked_fill(~mask.unsqueeze(1), torch.finfo(score.dtype).min)
            scores.append(score)
        weights = torch.stack(scores).softmax(dim=0)
        shared = (weights * torch.stack(tuple(parts))).sum(dim=0)
        own = [
            zero_missing(prefer(behavior) * (x - shared), mask)
            for x, prefer, mask in zip(parts, self.preferences, masks)
        ]
        return shared + torch.stack(own).mean(dim=0)


def _sum(behavior: Pair, side: Pair) -> Pair:
    return behavior[0] + side[0], behavior[1] + side[1]
