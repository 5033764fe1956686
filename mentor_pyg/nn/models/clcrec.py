import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import triple_norm, weighted
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import nodes, unit_content
from mentor_pyg.nn.projection import ContentProjection
from mentor_pyg.options import Count, NonNegative, Positive, Share, Widths
from mentor_pyg.typing import Batch


class CLCRec(BaseRecommender):
    r"""The model from the `"Contrastive Learning for Cold-start Recommendation"
    <https://arxiv.org/abs/2107.05315>`_ paper.

    Items have embeddings :math:`\mathbf{z}_i` and encoded content, computed from L2-normalised
    features :math:`\mathbf{x}_i^m`:

    .. math::
        \mathbf{f}_i = \mathbf{W}_2 \, \mathrm{LeakyReLU}\big(\mathbf{W}_1 \,
        \Vert_m \, \mathbf{x}_i^m\big) + \mathbf{b}

    The score is :math:`\langle \mathbf{z}_u, \mathbf{z}_i \rangle` for items with training
    pairs and :math:`\langle \mathbf{z}_u, \mathbf{f}_i \rangle` for cold items. Users are
    contrasted with items (U-I), where content replaces the embeddings of a random share
    :math:`\rho` of items, giving :math:`\tilde{\mathbf{z}}_i`. Item embeddings are contrasted
    with content (R-E):

    .. math::
        \mathcal{L}_{UI} = -\frac{1}{B} \sum_{b=1}^{B} \log \frac{
        \exp(\langle \mathbf{z}_{u_b}, \tilde{\mathbf{z}}_{i_b} \rangle / \tau)}{
        \sum_{j \in \{i_b\} \cup N}
        \exp(\langle \mathbf{z}_{u_b}, \tilde{\mathbf{z}}_j \rangle / \tau)}, \qquad
        \mathcal{L}_{RE} = -\frac{1}{B} \sum_{b=1}^{B} \log \frac{
        \exp(\cos(\mathbf{z}_{i_b}, \mathbf{f}_{i_b}) / \tau)}{
        \sum_{j \in \{i_b\} \cup N} \exp(\cos(\mathbf{z}_{i_b}, \mathbf{f}_j) / \tau)}

    .. math::
        \mathcal{L} = (1 - \lambda) \mathcal{L}_{UI} + \lambda \mathcal{L}_{RE}
        + \frac{\eta}{2B} \sum_{b=1}^{B} \lVert \mathbf{z}_{u_b} \rVert^2
        + \lVert \mathbf{z}_{i_b} \rVert^2 + \lVert \mathbf{z}_{j_b} \rVert^2

    N are the first negative items of the batch. With a single negative, U-I equals BPR with
    scores divided by :math:`\tau`, which is why the term is called ``bpr``.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        mlp_channels: Width of the encoder's hidden layer.
        num_negatives: Number of negatives, the size of N.
        temperature: :math:`\tau`.
        content_weight: :math:`\lambda`.
        content_share: :math:`\rho`.
        reg_weight: :math:`\eta`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        mlp_channels: Count = 256,
        num_negatives: Count = 128,
        temperature: Positive = 2.0,
        content_weight: Share = 0.5,
        content_share: Share = 0.5,
        reg_weight: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.projection = ContentProjection(in_channels, mlp_channels, init="linear")
        self.linear = Linear(mlp_channels, hidden_channels)
        self.num_negatives, self.temperature = num_negatives, temperature
        self.content_weight, self.content_share = content_weight, content_share
        self.reg_weight = reg_weight

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] (a copy) and items [I, D]; encoded content for cold items."""
        user, free = self.embedding(nodes(data))
        degree = self.interactions(data).rowptr_t.diff()
        return user.clone(), torch.where(degree.unsqueeze(1) > 0, free, self._content(data))

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        all_users, all_items = self.embedding(nodes(data))
        positives, negatives = batch.pos_item, batch.neg_item[: self.num_negatives]
        candidates = torch.cat([positives, negatives])
        free, content = all_items.index_select(0, candidates), self._content(data, candidates)
        user, size = all_users.index_select(0, batch.user), positives.numel()
        mixed = self._mix(free, content)
        return weighted(
            bpr=(1 - self.content_weight, lambda: self._contrast(user, mixed)),
            content=(
                self.content_weight,
                lambda: self._contrast(normalize(free[:size]), normalize(content)),
            ),
            reg=(self.reg_weight, lambda: triple_norm(all_users, all_items, batch)),
        )

    def _content(self, data: HeteroData, items: OptTensor = None) -> Tensor:
        """Encoded content of the given items [n, D]; all if not given."""
        features = unit_content(data, self.projection.modalities, items)
        out = self.linear(F.leaky_relu(self.projection(*features)))
        return out.to(self.embedding.item.dtype)

    def _mix(self, free: Tensor, content: Tensor) -> Tensor:
        """Replaces a random share of the embeddings by content."""
        by_content = torch.rand(free.size(0), 1, device=free.device) < self.content_share
        return torch.where(by_content, content, free)

    def _contrast(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """Softmax loss of anchors [B, D]. The first B candidates are their positives; the rest
        are shared negatives."""
        own, negatives = candidates.tensor_split([anchors.size(0)])
        positive = (anchors * own).sum(dim=1, keepdim=True)
        logits = torch.cat([positive, anchors @ negatives.t()], dim=1) / self.temperature
        return (logits.logsumexp(dim=1) - logits[:, 0]).mean()
