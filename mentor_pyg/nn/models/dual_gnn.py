from typing import cast

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import Nodes
from mentor_pyg.nn.encoder import ModalityEncoder, Pair, modality_encoders
from mentor_pyg.nn.fusion import UserFusion
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, nodes, user_adjacency
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths
from mentor_pyg.typing import Batch


class DualGNN(BaseRecommender):
    r"""The model from the `"DualGNN: Dual Graph Neural Network for Multimedia
    Recommendation" <https://doi.org/10.1109/TMM.2021.3138298>`_ paper.

    Each modality is encoded on the user-item graph (:class:`~mentor_pyg.nn.ModalityEncoder`).
    Users sum the modalities with weights :math:`\alpha_{um}` of their own and aggregate the
    sums of similar users on the graph :math:`\mathbf{C}` of
    :class:`~mentor_pyg.transforms.UserCooccurrence`. Items sum the modalities without weights:

    .. math::
        \mathbf{h}_u = \sum_m \alpha_{um} \mathbf{e}_u^m, \qquad
        \mathbf{z}_u = \mathbf{h}_u + \sum_v C_{uv} \mathbf{h}_v, \qquad
        \mathbf{z}_i = \sum_m \mathbf{e}_i^m

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}(\langle \mathbf{z}_u, \mathbf{z}_i \rangle)
        + \lambda \left( \sum_m \frac{1}{B D} \sum_{b=1}^{B} \lVert \mathbf{p}_{u_b}^m \rVert^2
        + \frac{1}{U M} \lVert \boldsymbol{\alpha} \rVert^2 \right)

    where :math:`\mathbf{p}_u^m` are the users' embeddings before propagation. The weights of a
    user are initialised by a softmax and unconstrained afterwards
    (:class:`~mentor_pyg.nn.UserFusion`).

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops on the user-item graph.
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
        reg_weight: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.encoders = modality_encoders(
            in_channels,
            num_users,
            num_items,
            hidden_channels=hidden_channels,
            num_layers=num_layers,
        )
        self.fusion = UserFusion(len(in_channels), num_users)
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        graph, adj = nodes(data), self.interactions(data)
        x, mask = content(data, list(self.encoders))
        parts = [e(x[m], adj, mask[m], nodes=graph) for m, e in self.encoders.items()]
        user, item = (
            z.unflatten(1, (len(parts), -1)).sum(dim=1) for z in self.fusion(*zip(*parts), graph)
        )
        return user + user_adjacency(data) @ user, item

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out: Pair = self(data)
        return self.objective(
            *out,
            batch,
            reg=(self.reg_weight, lambda: self._regularization(nodes(data), batch)),
        )

    def _regularization(self, graph: Nodes, batch: Batch) -> Tensor:
        free = [cast(ModalityEncoder, encoder).user for encoder in self.encoders.values()]
        squares = [graph.users(p).index_select(0, batch.user).square().mean() for p in free]
        return torch.stack([*squares, self.fusion.weight.square().mean()]).sum()
