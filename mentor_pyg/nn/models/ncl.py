from typing import Any

import torch
from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.data import HeteroData

from mentor_pyg.nn.clustering import Prototypes
from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.loss import bpr_loss, score_triples, triple_norm
from mentor_pyg.nn.models.inputs import sizes, user_item_graph
from mentor_pyg.options import Count, EvenCount, NonNegative, NonNegativeInt, Positive, checked
from mentor_pyg.typing import Batch


@checked
class NCL(torch.nn.Module):
    r"""The model from the `"Improving Graph Collaborative Filtering with
    Neighborhood-enriched Contrastive Learning" <https://arxiv.org/abs/2202.06200>`_ paper.
    It uses no content.

    Embeddings and scores are those of :class:`LightGCN`. A node is contrasted with its
    structural neighbours, the output of an even number of hops h, and with its semantic
    ones, the prototype of its cluster (:class:`~mentor_pyg.nn.Prototypes`) among the free
    vectors, clustered anew for every epoch:

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_1 \left( \mathrm{InfoNCE}_\tau(\mathbf{E}^{(h)}_{\mathcal{U}},
        \mathbf{E}^{(0)}_{\mathcal{U}}) + \alpha \,
        \mathrm{InfoNCE}_\tau(\mathbf{E}^{(h)}_{\mathcal{I}},
        \mathbf{E}^{(0)}_{\mathcal{I}}) \right)
        + \lambda_2 \left( \mathcal{L}_P(\mathbf{E}^{(0)}_{\mathcal{U}})
        + \mathcal{L}_P(\mathbf{E}^{(0)}_{\mathcal{I}}) \right)
        + \frac{\lambda_3}{2B} \sum_{b=1}^{B} \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2 + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2

    over the distinct users and positive items of the batch.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_layers: Hops L.
        structure_hops: Hops h, even.
        structure_weight: :math:`\lambda_1`.
        item_weight: :math:`\alpha`.
        prototype_weight: :math:`\lambda_2`.
        num_prototypes: Clusters k of the users, and of the items.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_3`.
    """

    uses_content = False

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 3,
        structure_hops: EvenCount = 2,
        structure_weight: NonNegative = 4e-4,
        item_weight: NonNegative = 1.0,
        prototype_weight: NonNegative = 3e-4,
        num_prototypes: Count = 1000,
        temperature: Positive = 0.1,
        reg_weight: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.prototypes = ModuleList(
            Prototypes(size, num_prototypes, hidden_channels)
            for size in (num_users, num_items)
            if prototype_weight > 0
        )
        self.structure_hops, self.structure_weight = structure_hops, structure_weight
        self.item_weight = item_weight
        self.prototype_weight, self.temperature = prototype_weight, temperature
        self.reg_weight = reg_weight

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "NCL":
        """A model for the users and items of ``data``."""
        return cls(**sizes(data), **options)

    def reset_parameters(self) -> None:
        self.embedding.reset_parameters()
        for prototypes in self.prototypes:
            prototypes.reset_parameters()  # type: ignore[operator]

    def start_epoch(self, data: HeteroData) -> None:
        """Clusters the free vectors of users and of items."""
        for prototypes, x in zip(self.prototypes, (self.embedding.user, self.embedding.item)):
            prototypes.fit(x)  # type: ignore[operator]

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.embedding.split(self.propagation(self.embedding(), user_item_graph(data)))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        layers = self._layers(data)
        out = torch.stack(layers[: self.propagation.num_layers + 1]).mean(dim=0)
        losses = {"bpr": bpr_loss(*score_triples(*self.embedding.split(out), batch))}
        rows = batch.user.unique(), batch.pos_item.unique()
        if self.structure_weight > 0:
            term = self._structure(layers[self.structure_hops], rows)
            losses["structure"] = self.structure_weight * term
        if self.prototype_weight > 0:
            losses["prototype"] = self.prototype_weight * self._semantics(rows)
        if self.reg_weight > 0:
            norm = triple_norm(self.embedding.user, self.embedding.item, batch)
            losses["reg"] = self.reg_weight * norm
        return losses

    def _layers(self, data: HeteroData) -> list[Tensor]:
        """Outputs [U + I, D] of as many hops as are needed, from none on."""
        layers = [self.embedding()]
        hops = self.structure_hops if self.structure_weight > 0 else 0
        for _ in range(max(self.propagation.num_layers, hops)):
            layers.append(user_item_graph(data).matmul(layers[-1]))
        return layers

    def _structure(self, far: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        """InfoNCE between the output of the hops and the free vectors."""
        free = self.embedding.user, self.embedding.item
        user, item = (
            info_nce(z[i], x[i], self.temperature)
            for z, x, i in zip(self.embedding.split(far), free, rows)
        )
        return user + self.item_weight * item

    def _semantics(self, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Contrast of free vectors with the prototypes."""
        free = self.embedding.user, self.embedding.item
        terms = [p(x, i, self.temperature) for p, x, i in zip(self.prototypes, free, rows)]
        return torch.stack(terms).sum()
