from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import normalize, refine
from mentor_pyg.nn.loss import triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes, whole_pairs
from mentor_pyg.nn.pruning import PrunedGraph
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.options import Count, NonNegative, Probability
from mentor_pyg.typing import Batch


class LayerGCN(BaseRecommender):
    r"""The model from the `"Layer-refined Graph Convolutional Networks for
    Recommendation" <https://arxiv.org/abs/2207.11088>`_ paper. It uses no content.

    The output of each hop over the normalised user-item graph :math:`\hat{\mathbf{A}}` is
    scaled, row by row, by its cosine with the ID embeddings :math:`\mathbf{E}^{(0)}`, which
    are not part of the readout:

    .. math::
        \mathbf{H}^{(l)} = \hat{\mathbf{A}} \mathbf{E}^{(l-1)}, \qquad
        \mathbf{e}_n^{(l)} = \cos(\mathbf{h}_n^{(l)}, \mathbf{e}_n^{(0)}) \, \mathbf{h}_n^{(l)},
        \qquad \mathbf{E} = \sum_{l=1}^{L} \mathbf{E}^{(l)}

    In training, a share of the pairs is pruned from :math:`\hat{\mathbf{A}}`. It is sampled
    anew each epoch, pairs of popular nodes most often (:class:`~mentor_pyg.nn.PrunedGraph`).
    The score is :math:`s_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle`, and the objective
    is a sum over the batch:

    .. math::
        \mathcal{L} = \sum_{b=1}^{B} -\log \sigma(s_{u_b i_b} - s_{u_b j_b})
        + \frac{\lambda}{2} \left( \lVert \mathbf{e}^{(0)}_{u_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{i_b} \rVert^2
        + \lVert \mathbf{e}^{(0)}_{j_b} \rVert^2 \right)

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D.
        num_layers: Number of hops L.
        dropout: Share of pairs to prune.
        reg_weight: :math:`\lambda`.
    """

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 4,
        dropout: Probability = 0.2,
        reg_weight: NonNegative = 1e-2,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.graph = PrunedGraph(num_users, num_items, dropout) if dropout else None
        self.num_layers = num_layers
        self.reg_weight = reg_weight

    def start_epoch(self, data: HeteroData) -> None:
        """Resamples the pruned graph."""
        if self.graph is not None:
            self.graph.draw(whole_pairs(data))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        return self._propagate(self.embedding(nodes(data)), data)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        free: Pair = self.embedding(nodes(data))
        out = self._propagate(free, data)
        terms = self.objective(
            *out, batch, reg=(self.reg_weight, lambda: triple_norm(*free, batch))
        )
        # A sum instead of a mean: refined embeddings start so short that the gradients of a
        # mean would be no larger than Adam's epsilon.
        return {name: batch.user.numel() * term for name, term in terms.items()}

    def _propagate(self, free: tuple[Tensor, Tensor], data: HeteroData) -> tuple[Tensor, Tensor]:
        if self.training and self.graph is not None:
            adj = self.graph(whole_pairs(data))
        else:
            adj = self.interactions(data)
        user, item = free
        unit_user, unit_item = normalize(user), normalize(item)
        out: tuple[Tensor, Tensor] | None = None
        for _ in range(self.num_layers):
            user, item = refine(adj @ item, unit_user), refine(adj.t() @ user, unit_item)
            out = (user, item) if out is None else (out[0] + user, out[1] + item)
        assert out is not None
        return out
