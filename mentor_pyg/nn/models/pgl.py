import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, hear_neighbors, nodes, whole_pairs
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.pruning import PrunedGraph
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
)
from mentor_pyg.typing import Batch


class PGL(BaseRecommender):
    r"""The model from the `"Mind Individual Information! Principal Graph Learning for
    Multimedia Recommendation" <https://doi.org/10.1609/aaai.v39i12.33429>`_ paper, with its
    local-aware principal subgraph.

    User embeddings and projected item features of all modalities are concatenated and
    propagated over the user-item graph as in :class:`LightGCN`. Items are also propagated over
    the frozen item graph :math:`\mathbf{S}` of :class:`~mentor_pyg.transforms.ItemKNN` (the
    mean over modalities if it is not merged):

    .. math::
        \mathbf{x}_u = \Vert_m \, \mathbf{p}_u^m, \qquad
        \mathbf{x}_i = \big\Vert_m \, \frac{\mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m}
        {\lVert \cdot \rVert}, \qquad
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{X}

    .. math::
        \mathbf{h}_u = \mathbf{e}_u, \qquad
        \mathbf{h}_i = \mathbf{e}_i + (\mathbf{S}^{L_s} \mathbf{X}_I)_i, \qquad
        s_{ui} = \langle \mathbf{h}_u, \mathbf{h}_i \rangle

    In training, :math:`\hat{\mathbf{A}}` is the principal subgraph: a share of the pairs,
    sampled anew each epoch, pairs of popular nodes least often
    (:class:`~mentor_pyg.nn.PrunedGraph`). Two views with dropout are contrasted over the
    distinct users and over the distinct positive items of a batch:

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \frac{\lambda_c}{2} \left(
        \mathcal{L}_{NCE}(\mathbf{h}_U^{\prime}, \mathbf{h}_U^{\prime\prime})
        + \mathcal{L}_{NCE}(\mathbf{h}_I^{\prime}, \mathbf{h}_I^{\prime\prime}) \right)

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D of one modality.
        num_layers: Number of hops L on the user-item graph.
        num_item_layers: Number of hops :math:`L_s` on the item graph.
        pruning: Share of pairs to prune from the principal subgraph.
        dropout: Dropout ratio of the contrasted views.
        contrast_weight: :math:`\lambda_c`.
        temperature: :math:`\tau` of InfoNCE.
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
        pruning: Probability = 0.7,
        dropout: Probability = 0.1,
        contrast_weight: NonNegative = 0.5,
        temperature: Positive = 0.2,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.projections = ModalityProjections(in_channels, hidden_channels, init="linear")
        self.user = Parameter(torch.empty(len(in_channels), num_users, hidden_channels))
        self.propagation = Propagation(num_layers, readout="mean")
        self.graph = PrunedGraph(num_users, num_items, pruning)
        self.num_item_layers, self.dropout = num_item_layers, dropout
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for rows in self.user:
            torch.nn.init.xavier_uniform_(rows)

    def start_epoch(self, data: HeteroData) -> None:
        """Resamples the principal subgraph."""
        self.graph.draw(whole_pairs(data))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, |M| D] and items [I, |M| D]."""
        names, graph = self.projections.modalities, nodes(data)
        projected = self.projections(*content(data, names))
        item = torch.cat([normalize(z) for z in projected.values()], dim=1)
        user = torch.cat([graph.users(rows) for rows in self.user], dim=1)
        adj = self.graph(whole_pairs(data)) if self.training else self.interactions(data)
        user_out, item_out = self.propagation(user, item, adj)
        return user_out, item_out + hear_neighbors(item, data, names, self.num_item_layers)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self(data)
        return self.objective(
            user,
            item,
            batch,
            contrast=(self.contrast_weight, lambda: self._contrast(user, item, batch)),
        )

    def _contrast(self, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
        # Dropout is applied to these rows only, which saves the work for all others.
        users, items = batch.user.unique(), batch.pos_item.unique()
        rows = user.index_select(0, users), item.index_select(0, items)
        return torch.stack([info_nce(*self._views(z), self.temperature) for z in rows]).mean()

    def _views(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return F.dropout(z, self.dropout, self.training), F.dropout(z, self.dropout, self.training)
