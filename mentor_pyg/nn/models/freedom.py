import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.loss import bpr_loss
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, hear_neighbors, nodes, whole_pairs
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.pruning import PrunedGraph
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Probability, Widths
from mentor_pyg.typing import Batch


class FREEDOM(BaseRecommender):
    r"""The model from the `"A Tale of Two Graphs: Freezing and Denoising Graph Structures
    for Multimodal Recommendation" <https://arxiv.org/abs/2211.06924>`_ paper.

    Item embeddings are propagated over the frozen item graph :math:`\mathbf{S}` of
    :class:`~mentor_pyg.transforms.ItemKNN` (the mean over modalities if it is not merged),
    and all embeddings over the user-item graph as in :class:`LightGCN`:

    .. math::
        \mathbf{E} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{E}^{(0)},
        \qquad \mathbf{h}_u = \mathbf{e}_u, \qquad
        \mathbf{h}_i = \mathbf{e}_i + (\mathbf{S}^{L_s} \mathbf{E}^{(0)}_I)_i

    In training, a share of the pairs is pruned from :math:`\hat{\mathbf{A}}`. It is sampled
    anew each epoch, pairs of popular nodes most often (:class:`~mentor_pyg.nn.PrunedGraph`).
    Users are also trained to rank items by content:

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}(\mathbf{h}_u, \mathbf{h}_i)
        + \lambda \sum_m \mathcal{L}_{BPR}(\mathbf{h}_u, \mathbf{W}_m \mathbf{x}_i^m)

    where a triple contributes :math:`\log 2` if one of its items lacks the content. Items
    added after training receive the embeddings of their neighbours on the item graph.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L on the user-item graph.
        num_item_layers: Number of hops :math:`L_s` on the item graph.
        dropout: Share of pairs to prune.
        content_weight: :math:`\lambda`.
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
        dropout: Probability = 0.8,
        content_weight: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.modalities = sorted(in_channels)
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.num_item_layers = num_item_layers
        self.graph = PrunedGraph(num_users, num_items, dropout) if dropout else None
        self.content_weight = content_weight
        self.projections = None
        if content_weight > 0:
            # No bias, since it would cancel in the difference of two scores.
            self.projections = ModalityProjections(
                in_channels, hidden_channels, bias=False, init="linear"
            )

    def start_epoch(self, data: HeteroData) -> None:
        """Resamples the pruned user-item graph."""
        if self.graph is not None:
            self.graph.draw(whole_pairs(data))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        if self.training and self.graph is not None:
            adj = self.graph(whole_pairs(data))
        else:
            adj = self.interactions(data)
        free_user, free_item = self.embedding(nodes(data))
        user, item = self.propagation(free_user, free_item, adj)
        return user, item + hear_neighbors(free_item, data, self.modalities, self.num_item_layers)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self(data)
        return self.objective(
            user,
            item,
            batch,
            content=(self.content_weight, lambda: self._rank_by_content(user, data, batch)),
        )

    def _rank_by_content(self, user: Tensor, data: HeteroData, batch: Batch) -> Tensor:
        """BPR loss with content in place of item embeddings, summed over modalities."""
        assert self.projections is not None
        x, mask = content(data, self.modalities, torch.cat([batch.pos_item, batch.neg_item]))
        anchor = user.index_select(0, batch.user)
        terms = []
        for m, projected in self.projections(x, mask).items():
            scores = torch.stack([(anchor * z).sum(dim=1) for z in projected.chunk(2)])
            present = mask[m]
            if present is not None:
                scores = scores * present.view(2, -1).all(dim=0)
            terms.append(bpr_loss(*scores))
        return torch.stack(terms).sum()
