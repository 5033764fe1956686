"""A training step of MENTOR computed in the way of the authors' released code: messages
gathered and scattered, degrees counted anew at every hop, one product with the item
graph for each representation, views with encoders of their own, and an InfoNCE that
holds the whole matrix of users by users.

It takes the parameters of a :class:`~mentor_pyg.nn.models.MENTOR` in preset
``released``, so that both can be compared number by number.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import degree

from mentor_pyg.nn import ModalityEncoder
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.typing import INTERACTS, ITEM, SIMILAR, USER, Batch


class GatherScatterConv(MessagePassing):
    """A LightGCN hop on an edge_index that counts the degrees itself."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        row, col = edge_index
        inverse = degree(row, x.size(0), x.dtype).pow(-0.5)
        inverse = inverse.masked_fill(inverse.isinf(), 0.0)
        return self.propagate(edge_index, x=x, norm=inverse[row] * inverse[col])

    def message(self, x_j: Tensor, norm: Tensor) -> Tensor:
        return norm.view(-1, 1) * x_j


def dense_info_nce(view1: Tensor, view2: Tensor, tau: float) -> Tensor:
    """InfoNCE with the matrix of all pairs in memory."""
    view1, view2 = F.normalize(view1), F.normalize(view2)
    positive = torch.exp((view1 * view2).sum(dim=1) / tau)
    similarity = view1 @ view2.t()
    total = torch.exp(similarity / tau).sum(dim=1)
    return -torch.log(positive / total).mean()


class ReleasedStep:
    """Losses of preset ``released`` for the parameters of ``model``."""

    def __init__(self, model: MENTOR, data: HeteroData) -> None:
        self.model, self.data = model, data
        self.num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        pairs = data[INTERACTS].edge_index + torch.tensor([[0], [self.num_users]])
        self.edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
        store = data[SIMILAR]
        size = (num_items, num_items)
        self.item_adj = torch.sparse_coo_tensor(store.edge_index.flip(0), store.edge_weight, size)
        self.conv = GatherScatterConv()
        self.eps = model.encoder.noisy_propagation.conv.eps

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        model = self.model
        parts = {m: self._encode(e, self._features(m), 0.0) for m, e in self._encoders().items()}
        views = [
            {m: self._encode(e, self._features(m), self.eps) for m, e in view.items()}
            for view in model.views
        ]
        fused = self._enhance(self._fuse(parts))
        repeated = {
            name: self._enhance(torch.cat(len(parts) * [z], dim=1))
            for name, z in {
                **parts,
                "id": self._encode(model.id_encoder, model.id_item, 0.0),
            }.items()
        }
        view1, view2 = (self._enhance(self._fuse(view)) for view in views)

        users, items = fused[: self.num_users], fused[self.num_users :]
        pos = (users[batch.user] * items[batch.pos_item]).sum(dim=1)
        neg = (users[batch.user] * items[batch.neg_item]).sum(dim=1)
        split = slice(self.num_users), slice(self.num_users, None)
        tau = model.contrast.temperature
        contrast = sum(dense_info_nce(view1[s], view2[s], tau) for s in split)
        return {
            "bpr": -torch.mean(F.logsigmoid(pos - neg)) / math.log(2),
            "align": model.align_weight * self._alignment(fused, repeated),
            "mask": model.mask_weight * (self._mask(users) + self._mask(items)),
            "contrast": model.contrast_weight * contrast,
            "reg": model.reg_weight * self._regularization(batch),
        }

    def _encoders(self) -> dict[str, ModalityEncoder]:
        return dict(self.model.encoder.encoders.items())

    def _features(self, modality: str) -> Tensor:
        return self.data[ITEM][f"x_{modality}"]

    def _encode(self, encoder: ModalityEncoder, x: Tensor, eps: float) -> Tensor:
        hidden = out = F.normalize(torch.cat([encoder.user, encoder.mlp(x)]))
        for _ in range(encoder.propagation.num_layers):
            hidden = self.conv(hidden, self.edge_index)
            if eps > 0:
                noise = torch.rand_like(hidden)
                hidden = hidden + torch.sign(hidden) * F.normalize(noise, dim=-1) * eps
            out = out + hidden
        return out

    def _fuse(self, parts: dict[str, Tensor]) -> Tensor:
        weights = self.model.encoder.fusion.weight.unbind(dim=1)
        users = [w * z[: self.num_users] for w, z in zip(weights, parts.values())]
        items = [z[self.num_users :] for z in parts.values()]
        return torch.cat([torch.cat(users, dim=1), torch.cat(items, dim=1)])

    def _enhance(self, z: Tensor) -> Tensor:
        items = z[self.num_users :]
        return torch.cat([z[: self.num_users], items + torch.sparse.mm(self.item_adj, items)])

    def _alignment(self, fused: Tensor, repeated: dict[str, Tensor]) -> Tensor:
        def distance(a: Tensor, b: Tensor) -> Tensor:
            return (a.mean() - b.mean()).abs() + (a.var() - b.var()).abs()

        content = [repeated[m] for m in self._encoders()]
        levels = [distance(repeated["id"], fused)]
        levels += [distance(repeated["id"], z) for z in content]
        levels += [distance(fused, z) for z in content]
        levels += [distance(a, b) for k, a in enumerate(content) for b in content[k + 1 :]]
        return torch.stack(levels).sum()

    @torch.no_grad()
    def _mask(self, z: Tensor) -> Tensor:
        masking = self.model.masking
        target = F.dropout(z, masking.dropout)
        return 1 - F.cosine_similarity(masking.predictor(z), target, dim=-1).mean()

    def _regularization(self, batch: Batch) -> Tensor:
        terms = [(e.user[batch.user] ** 2).mean() for e in self._encoders().values()]
        return torch.stack([*terms, (self.model.encoder.fusion.weight**2).mean()]).sum()
