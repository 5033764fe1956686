from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.contrast import joint_info_nce
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair, Propagation
from mentor_pyg.nn.functional import normalize, select
from mentor_pyg.nn.hypergraph import item_hypergraph_hops, user_hypergraph_hops
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, item_graphs, nodes
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Widths
from mentor_pyg.typing import Batch


class MMHCL(BaseRecommender):
    r"""The model from the `"MMHCL: Multi-Modal Hypergraph Contrastive Learning for
    Recommendation" <https://arxiv.org/abs/2504.16576>`_ paper, with LightGCN.

    Users and items have a second table of embeddings :math:`\mathbf{P}`, which is propagated
    over a hypergraph of users whose hyperedges are the items, :math:`\mathbf{C}_U`
    (:func:`~mentor_pyg.nn.user_hypergraph_hops`), and one of items whose hyperedges are the
    neighbourhoods in each modality, :math:`\mathbf{C}_I`
    (:func:`~mentor_pyg.nn.item_hypergraph_hops`):

    .. math::
        \mathbf{G}_U = (\mathbf{D}_U^{-1} \mathbf{C}_U)^{L_U} \mathbf{P}_U, \qquad
        \mathbf{G}_I = (\mathbf{D}_I^{-1/2} \mathbf{C}_I \mathbf{D}_I^{-1/2})^{L_I}
        \mathbf{P}_I

    They are added to the embeddings :math:`\bar{\mathbf{E}}` of :class:`LightGCN`, and
    contrasted with the sum:

    .. math::
        \mathbf{Z} = \bar{\mathbf{E}} + \mathrm{norm}(\mathbf{G}), \qquad
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_U \mathcal{L}_{NCE}(\mathbf{Z}_U,
        \mathbf{G}_U) + \lambda_I \mathcal{L}_{NCE}(\mathbf{Z}_I, \mathbf{G}_I)
        + \frac{\lambda}{2B} \sum_{b=1}^{B} \lVert \mathbf{z}_{u_b} \rVert^2
        + \lVert \mathbf{z}_{i_b} \rVert^2 + \lVert \mathbf{z}_{j_b} \rVert^2

    where norm divides rows by their length, and the contrast
    (:func:`~mentor_pyg.nn.joint_info_nce`) is over the distinct users and over the distinct
    positive items of a batch. Items added after training receive the second embeddings of the
    items with which they share neighbours.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: The modalities, whose item graphs are used.
        hidden_channels: Embedding size D.
        num_layers: Number of hops on the user-item graph.
        num_user_layers: Number of hops :math:`L_U` on the hypergraph of users.
        num_item_layers: Number of hops :math:`L_I` on the hypergraph of items.
        user_contrast_weight: :math:`\lambda_U`.
        item_contrast_weight: :math:`\lambda_I`.
        temperature: :math:`\tau` of the contrast.
        reg_weight: :math:`\lambda`.
    """

    uses_content = True
    whole_graph = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        num_user_layers: NonNegativeInt = 3,
        num_item_layers: NonNegativeInt = 2,
        user_contrast_weight: NonNegative = 0.03,
        item_contrast_weight: NonNegative = 0.07,
        temperature: Positive = 0.6,
        reg_weight: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.modalities = sorted(in_channels)
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.second = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(num_layers, readout="mean")
        self.num_user_layers, self.num_item_layers = num_user_layers, num_item_layers
        self.user_contrast_weight = user_contrast_weight
        self.item_contrast_weight = item_contrast_weight
        self.temperature, self.reg_weight = temperature, reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._embed(data)[0]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        out, second = self._embed(data)
        return self.objective(
            *out,
            batch,
            user_contrast=(
                self.user_contrast_weight,
                lambda: self._contrast(out[0], second[0], batch.user),
            ),
            item_contrast=(
                self.item_contrast_weight,
                lambda: self._contrast(out[1], second[1], batch.pos_item),
            ),
            reg=(self.reg_weight, lambda: triple_norm(*out, batch)),
        )

    def _embed(self, data: HeteroData) -> tuple[Pair, Pair]:
        """Users and items, and their part of the hypergraphs."""
        adj = self.interactions(data)
        content(data, self.modalities)  # only checked; the item graphs are made of it
        user, item = self.propagation(*self.embedding(nodes(data)), adj)
        far_user = user_hypergraph_hops(self.second.user, adj, self.num_user_layers)
        graphs = item_graphs(data, self.modalities)
        far_item = item_hypergraph_hops(self.second.item, graphs, self.num_item_layers)
        return (user + normalize(far_user), item + normalize(far_item)), (far_user, far_item)

    def _contrast(self, out: Tensor, second: Tensor, rows: Tensor) -> Tensor:
        distinct = rows.unique()
        return joint_info_nce(select(out, distinct), select(second, distinct), self.temperature)
