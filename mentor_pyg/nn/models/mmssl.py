from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import ModuleDict
from torch.optim import Adam, AdamW
from torch_geometric.data import HeteroData

from mentor_pyg.nn.adversarial import Adversary
from mentor_pyg.nn.attention import ModalityAttention
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import Propagation
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.gathering import ContentGathering
from mentor_pyg.nn.loss import score_triples, triple_norm
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content
from mentor_pyg.nn.neighbors import NeighborGraph, gather
from mentor_pyg.nn.random import subset
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.nn.self_supervision import ModalityContrast
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
)
from mentor_pyg.typing import Batch, Objective


class Representations(NamedTuple):
    """Representations of N users or N items."""

    content: Tensor  # f [N, M, D]
    unit: Tensor  # f / |f| [N, M, D]
    modal: Tensor  # e [N, M, D]
    out: Tensor  # h [N, D]


class MMSSL(BaseRecommender):
    r"""The model from the `"Multi-Modal Self-Supervised Learning for Recommendation"
    <https://arxiv.org/abs/2302.10632>`_ paper.

    Content is aggregated to users and items as :math:`\mathbf{f}^m`
    (:class:`~mentor_pyg.nn.ContentGathering`). Its cosines predict interactions:

    .. math::
        A^m_{ui} = \cos(\mathbf{f}_u^m, \mathbf{f}_i^m)

    where observed pairs are set to zero and rows are L2-normalised. ID embeddings are summed
    over the k largest entries of each row of A (:class:`~mentor_pyg.nn.NeighborGraph`) to
    :math:`\mathbf{e}^m`. With :math:`\tilde{\mathbf{e}}`, the mean over modalities after
    self-attention (:class:`~mentor_pyg.nn.ModalityAttention`),

    .. math::
        \mathbf{E} = \mathrm{LightGCN}(\mathbf{E}_{id} +
        \eta \tilde{\mathbf{e}} / \lVert \tilde{\mathbf{e}} \rVert), \qquad
        \mathbf{h} = \mathbf{E} + \omega \textstyle\sum_m
        \mathbf{f}^m / \lVert \mathbf{f}^m \rVert, \qquad
        s_{ui} = \langle \mathbf{h}_u, \mathbf{h}_i \rangle

    A critic D (:class:`~mentor_pyg.nn.Critic`) learns to discriminate rows of A from observed
    rows :math:`\mathbf{a}`, which Gumbel-softmax makes dense:

    .. math::
        \mathcal{L}_D = \mathbb{E} [D(\mathbf{A}^m_u)] - \mathbb{E} [D(\mathbf{r}_u)]
        + \lambda_1 \mathcal{L}_{GP}, \qquad
        \mathbf{r}_u \propto \mathrm{softmax}((\mathbf{a}_u + \mathbf{g}) / \tau_g)
        + \zeta \cos(\mathbf{h}_u, \mathbf{h}_{\cdot})

    and all other parameters, with AdamW, minimise

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda_2 \textstyle\sum_m
        \mathcal{L}_{NCE}(\mathbf{h}_u, \mathbf{e}_u^m)
        - \lambda_3 \mathbb{E} [D(\mathbf{A}^m_u)]

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        hidden_channels: Embedding size D.
        num_layers: Number of LightGCN hops.
        dropout: Dropout ratio of the projected content.
        num_neighbors: Number of items k linked to a user per modality.
        link_observed: Whether these may include items from the user's training pairs.
        num_heads: Number of attention heads.
        attention_weight: :math:`\eta`.
        content_weight: :math:`\omega`.
        contrast_weight: :math:`\lambda_2`; 0 is the paper's "w/o-CL".
        temperature: :math:`\tau` of InfoNCE.
        augmentation: How A is trained: :obj:`"adversarial"`; :obj:`"autoencoder"`, a graph
            autoencoder that predicts the batch's pairs by :math:`\sigma(\langle
            \mathbf{f}_u^m, \mathbf{f}_i^m \rangle)` (the paper's "r/p-GAE"); or
            :obj:`"none"`, by the ranking loss only ("w/o-ASL").
        augmentation_weight: :math:`\lambda_3`.
        gumbel: Whether Gumbel-softmax is applied to observed rows; False is "w/o-GT".
        gumbel_temperature: :math:`\tau_g`.
        collaborative_weight: :math:`\zeta`.
        penalty_weight: :math:`\lambda_1`.
        critic_channels: Width of the critic's hidden layer.
        critic_dropout: Dropout ratio of the critic.
        critic_lr: Learning rate of the critic.
        critic_limit: Maximum number of users per batch for the critic, sampled at random. The
            cost grows with this number times the number of items.
        weight_decay: :math:`\lambda_4`, as weight decay of AdamW.
        reg_weight: Alternative reading of :math:`\lambda_4`, as an L2 penalty on the batch's
            embeddings (:func:`~mentor_pyg.nn.loss.triple_norm`).
    """

    whole_graph = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        dropout: Probability = 0.2,
        num_neighbors: Count = 10,
        link_observed: bool = False,
        num_heads: Count = 4,
        attention_weight: NonNegative = 0.36,
        content_weight: NonNegative = 0.55,
        contrast_weight: NonNegative = 0.03,
        temperature: Positive = 0.5,
        augmentation: Literal["adversarial", "autoencoder", "none"] = "adversarial",
        augmentation_weight: NonNegative = 1e-4,
        gumbel: bool = True,
        gumbel_temperature: Positive = 0.5,
        collaborative_weight: NonNegative = 1.0,
        penalty_weight: NonNegative = 1.0,
        critic_channels: Count = 64,
        critic_dropout: Probability = 0.3,
        critic_lr: Positive = 3e-4,
        critic_limit: Count | None = 128,
        weight_decay: NonNegative = 1e-2,
        reg_weight: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        self.ranking = BPRLoss()
        self.link_observed = link_observed
        self.attention_weight, self.content_weight = attention_weight, content_weight
        self.contrast_weight, self.contrast = contrast_weight, ModalityContrast(temperature)
        self.augmentation = augmentation if augmentation_weight > 0 else "none"
        self.augmentation_weight = augmentation_weight
        self.critic_lr, self.critic_limit = critic_lr, critic_limit
        self.weight_decay, self.reg_weight = weight_decay, reg_weight
        self.content = ContentGathering(in_channels, hidden_channels, dropout)
        self.graphs = ModuleDict(
            {m: NeighborGraph(num_users, num_items, num_neighbors) for m in sorted(in_channels)}
        )
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.attention = ModalityAttention(hidden_channels, num_heads)
        self.propagation = Propagation(num_layers, readout="mean")
        self.adversary = None
        if self.augmentation == "adversarial":
            self.adversary = Adversary(
                num_items,
                critic_channels,
                critic_dropout,
                gumbel,
                gumbel_temperature,
                collaborative_weight,
                penalty_weight,
            )

    def start_epoch(self, data: HeteroData) -> None:
        """Relinks users to the items suggested by the current content."""
        with torch.no_grad():
            self.content.eval()
            user, item = self._content(data)
            self.content.train()
        hidden = None if self.link_observed else self.interactions(data)
        for m, graph in enumerate(self.graphs.values()):
            cast(NeighborGraph, graph).rebuild(user[:, m], item[:, m], hidden)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users [U, D] and items [I, D]."""
        user, item = self._represent(data)
        return user.out, item.out

    def objectives(self) -> list[Objective]:
        """The critic's objective, and that of all other parameters."""
        critics = [] if self.adversary is None else list(self.adversary.parameters())
        others = [p for name, p in self.named_parameters() if not name.startswith("adversary.")]
        main = Objective(self.losses, others, AdamW, {"weight_decay": self.weight_decay})
        if not critics:
            return [main]
        options = {"lr": self.critic_lr, "betas": (0.5, 0.9)}  # as in WGAN-GP
        return [Objective(self.critic_losses, critics, Adam, options), main]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        user, item = self._represent(data)
        terms = {
            "reg": (
                self.reg_weight,
                lambda: triple_norm(self.embedding.user, self.embedding.item, batch),
            ),
            "contrast": (self.contrast_weight, lambda: self._contrast(user, batch)),
        }
        weight = self.augmentation_weight
        if self.adversary is not None:
            terms["adversarial"] = weight, lambda: self._fool_critic(data, user, item, batch)
        elif self.augmentation == "autoencoder":
            terms["autoencoder"] = weight, lambda: self._reconstruct(user, item, batch)
        return self.objective(user.out, item.out, batch, **terms)

    def critic_losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        """The critic's loss terms."""
        assert self.adversary is not None
        with torch.no_grad():
            user, item = self._represent(data)
            users, observed = self._observe(data, batch)
            fake = self.adversary.generate(user.unit[users], item.unit, observed)
            real = self.adversary.transform(observed, user.out[users], item.out)
        return self.adversary.losses(fake, real)

    def _represent(self, data: HeteroData) -> tuple[Representations, Representations]:
        free = self.embedding()
        contents = self._content(data)
        graphs = [cast(NeighborGraph, graph)() for graph in self.graphs.values()]
        modal = (
            torch.stack([gather(free[1], graph) for graph in graphs], dim=1),
            torch.stack([gather(free[0], graph.t()) for graph in graphs], dim=1),
        )
        start = [
            x + self.attention_weight * normalize(self.attention(z)) for x, z in zip(free, modal)
        ]
        outs = self.propagation(*start, self.interactions(data))
        units = [normalize(x.flatten(0, 1)).view_as(x) for x in contents]
        user, item = (
            Representations(x, unit, z, out + self.content_weight * unit.sum(dim=1))
            for x, unit, z, out in zip(contents, units, modal, outs)
        )
        return user, item

    def _content(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        return self.content(*content(data, list(self.graphs)), self.interactions(data))

    def _contrast(self, user: Representations, batch: Batch) -> Tensor:
        users = batch.user.unique()
        return self.contrast(user.out[users], user.modal[users])

    def _fool_critic(
        self, data: HeteroData, user: Representations, item: Representations, batch: Batch
    ) -> Tensor:
        assert self.adversary is not None
        users, observed = self._observe(data, batch)
        return self.adversary(self.adversary.generate(user.unit[users], item.unit, observed))

    def _observe(self, data: HeteroData, batch: Batch) -> tuple[Tensor, Tensor]:
        """Users of the batch [B] and their rows of the interaction matrix [B, I]."""
        users = subset(batch.user.unique(), self.critic_limit)
        torch._check_value(users.numel() > 0, lambda: "a batch without triples; expected one")
        adj = self.interactions(data)
        observed = adj.weight.new_zeros(users.numel(), adj.num_sources)
        observed[adj.entries(users)] = 1
        return users, observed

    def _reconstruct(self, user: Representations, item: Representations, batch: Batch) -> Tensor:
        """Cross-entropy of the batch's pairs by content, summed over modalities."""
        terms = []
        for parts in zip(user.content.unbind(dim=1), item.content.unbind(dim=1)):
            pos_score, neg_score = score_triples(*parts, batch)
            terms.append(F.softplus(-pos_score).mean() + F.softplus(neg_score).mean())
        return torch.stack(terms).sum()
