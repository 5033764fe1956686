import torch
from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.data import HeteroData

from mentor_pyg.nn.clustering import Prototypes
from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, EvenCount, NonNegative, NonNegativeInt, Positive
from mentor_pyg.typing import Batch


class NCL(BaseRecommender):
    r"""The model from the `"Improving Graph Collaborative Filtering with
    Neighborhood-enriched Contrastive Learning" <https://arxiv.org/abs/2202.06200>`_ paper.
    It uses no content.

    Embeddings and scores are those of :class:`LightGCN`. A node is contrasted with its
    structural neighbours (the output of an even number of hops h) and its semantic neighbours
    (the prototype of its cluster, see :class:`~mentor_pyg.nn.Prototypes`). The ID embeddings
    are clustered anew before each epoch:

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
        num_layers: Number of hops L.
        structure_hops: Number of hops h; must be even.
        structure_weight: :math:`\lambda_1`.
        item_weight: :math:`\alpha`.
        prototype_weight: :math:`\lambda_2`.
        num_prototypes: Number of clusters k, of users and of items.
        temperature: :math:`\tau`.
        reg_weight: :math:`\lambda_3`.
    """

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
        self.ranking = BPRLoss()
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

    def start_epoch(self, data: HeteroData) -> None:
        """Clusters the embeddings of users and of items."""
        for prototypes, x in zip(self.prototypes, self.embedding()):
            prototypes.fit(x)  # type: ignore[operator]

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self.propagation(*self.embedding(nodes(data)), self.interactions(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        layers = self._layers(free, data)
        read = layers[: self.propagation.num_layers + 1]
        user, item = (torch.stack(x).mean(dim=0) for x in zip(*read))
        rows = batch.user.unique(), batch.pos_item.unique()
        table_rows = nodes(data).table_rows(*rows)
        return self.objective(
            user,
            item,
            batch,
            structure=(
                self.structure_weight,
                lambda: self._structure(layers[self.structure_hops], free, rows),
            ),
            prototype=(
                self.prototype_weight,
                lambda: self._semantics(table_rows),
            ),
            reg=(self.reg_weight, lambda: triple_norm(*free, batch)),
        )

    def _layers(self, free: Pair, data: HeteroData) -> list[Pair]:
        """Outputs of all hops that are needed, starting with the embeddings."""
        adj, layers = self.interactions(data), [free]
        hops = self.structure_hops if self.structure_weight > 0 else 0
        for _ in range(max(self.propagation.num_layers, hops)):
            user, item = layers[-1]
            layers.append((adj @ item, adj.t() @ user))
        return layers

    def _structure(self, far: Pair, free: Pair, rows: Pair) -> Tensor:
        user, item = (info_nce(z[i], x[i], self.temperature) for z, x, i in zip(far, free, rows))
        return user + self.item_weight * item

    def _semantics(self, rows: Pair) -> Tensor:
        """The contrast with prototypes, of rows of the embedding tables."""
        parts = zip(self.prototypes, self.embedding(), rows)
        return torch.stack([p(x, i, self.temperature) for p, x, i in parts]).sum()
