from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import ModuleList, Parameter
from torch_geometric.data import HeteroData
from torch_geometric.nn.inits import reset

from mentor_pyg.nn.conv import MMGCNConv
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.functional import normalize, pad_rows
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import content, content_sizes, sizes, user_item_graph
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.options import Count, NonNegative, Widths, checked
from mentor_pyg.typing import ITEM, Batch


@checked
class MMGCN(torch.nn.Module):
    r"""The model from the `"MMGCN: Multi-modal Graph Convolution Network for Personalized
    Recommendation of Micro-video" <https://doi.org/10.1145/3343031.3351034>`_ paper.

    Every modality has layers of its own (:class:`~mentor_pyg.nn.MMGCNConv`) on the
    user-item graph, which start from free rows :math:`\mathbf{p}_u^m` of the users and
    projected features of the items, all of length one, and share the IDs' free vectors
    :math:`\mathbf{v}`. The last layers are averaged:

    .. math::
        \mathbf{e} = \frac{1}{M} \sum_m \mathbf{x}^{(L)}_m, \qquad
        \mathbf{x}^{(0)}_{u,m} = \frac{\mathbf{p}_u^m}{\lVert \cdot \rVert}, \quad
        \mathbf{x}^{(0)}_{i,m} = \frac{\mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m}
        {\lVert \cdot \rVert}, \qquad
        s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda}{2B} \sum_{b=1}^{B}
        \lVert \mathbf{v}_{u_b} \rVert^2 + \sum_m \lVert \mathbf{p}^m_{u_b} \rVert^2
        + \lVert \mathbf{v}_{i_b} \rVert^2 + \lVert \mathbf{v}_{j_b} \rVert^2

    An item that came after training has no ID vector.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        content_channels: Width of the projected features.
        num_layers: Layers L.
        combine: How a layer combines a node's own part with its neighbours',
            :obj:`"concat"` or :obj:`"sum"`.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        content_channels: Count = 256,
        num_layers: Count = 2,
        combine: Literal["concat", "sum"] = "concat",
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projections = ModalityProjections(in_channels, content_channels, init="linear")
        self.user = Parameter(torch.empty(len(in_channels), num_users, content_channels))
        widths = [content_channels] + [hidden_channels] * (num_layers - 1)
        self.convs = ModuleList(
            ModuleList(MMGCNConv(width, hidden_channels, combine) for width in widths)
            for _ in in_channels
        )
        self.reg_weight = reg_weight
        self._reset_users()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "MMGCN":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), **options)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        self._reset_users()

    def _reset_users(self) -> None:
        for rows in self.user:
            torch.nn.init.xavier_normal_(rows)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        id_item = pad_rows(self.embedding.item, data[ITEM].num_nodes)
        id = torch.cat([self.embedding.user, id_item])
        projected = self.projections(*content(data, self.projections.modalities))
        parts = []
        for user, item, convs in zip(self.user, projected.values(), self.convs):
            assert isinstance(convs, ModuleList)
            hidden = normalize(torch.cat([user, item]))
            for conv in convs:
                hidden = conv(hidden, id, user_item_graph(data))
            parts.append(hidden)
        return self.embedding.split(torch.stack(parts).mean(dim=0))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        losses = {"bpr": bpr_loss(*score_triples(*self.encode(data), batch))}
        if self.reg_weight > 0:
            user = torch.cat([self.embedding.user, *self.user], dim=1)
            norm = triple_norm(user, self.embedding.item, batch)
            losses["reg"] = self.reg_weight * norm
        return losses
