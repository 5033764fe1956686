import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import Linear, ModuleDict, ModuleList, Parameter
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg._util.option_words import Words
from mentor_pyg.nn.contrast import info_nce
from mentor_pyg.nn.conv import NoisyLightGCNConv
from mentor_pyg.nn.encoder import ModalityEncoder, modality_encoders
from mentor_pyg.nn.functional import select
from mentor_pyg.nn.fusion import GlobalFusion, UserFusion
from mentor_pyg.nn.loss import (
    alignment_levels,
    bpr_loss,
    content_moments,
    feature_masking_loss,
    moments,
    score_triples,
    sum_of_squares,
)
from mentor_pyg.nn.models.inputs import (
    content,
    content_sizes,
    incomplete,
    item_adjacency,
    sizes,
    user_item_graph,
)
from mentor_pyg.nn.multimodal import Encoding, MultimodalEncoder
from mentor_pyg.nn.random import dropout, subset
from mentor_pyg.options import (
    Count,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Widths,
    checked,
    different,
)
from mentor_pyg.typing import SIMILAR, Batch, similar

Levels = Annotated[
    Sequence[Literal[1, 2, 3, 4]], different, Words("a list of different levels out of 1, 2, 3, 4")
]
"""Levels of alignment."""


@checked
class MENTOR(torch.nn.Module):
    r"""The model from the `"MENTOR: Multi-level Self-supervised Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2402.19407>`_ paper.

    Every modality is encoded on the user-item graph and on a frozen kNN graph of the
    items, and all are fused to :math:`\mathbf{z}`
    (:class:`~mentor_pyg.nn.MultimodalEncoder`); the score is the inner product
    :math:`s_{ui} = \langle \mathbf{z}_u, \mathbf{z}_i \rangle`, and training minimises

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_{align} \textstyle\sum_{\ell} \mathcal{L}_{align}^{(\ell)}
        + \lambda_f \mathcal{L}_{mask} + \lambda_g \mathcal{L}_{NCE}
        + \lambda_E \lVert \theta \rVert^2

    A term of weight zero isn't computed, nor is what only that term needs. The
    options' defaults follow the paper; its documentation page lists how the
    released code differs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        missing: Modalities that some items lack.
        hidden_channels: Embedding size D of one modality.
        num_layers: Hops L on the user-item graph.
        readout: :obj:`"sum"` or :obj:`"mean"` of its layers.
        num_item_layers: Hops on the item graph.
        item_graph: :obj:`"modality"`, a graph each and none for the IDs, or
            :obj:`"merged"`, one for all representations.
        fusion: :obj:`"global"`, one weight a modality, or :obj:`"user"`.
        missing_items: How an item without content starts, :obj:`"zero"` or
            :obj:`"free"`; see :class:`~mentor_pyg.nn.ModalityEncoder`.
        align_weight: :math:`\lambda_{align}`.
        align_levels: The levels of alignment to use, out of 1 to 4.
        mask_weight: :math:`\lambda_f`.
        mask_dropout: Dropout ratio p of the masked target.
        mask_gradient: Whether the online branch is trained, or the term a constant.
        contrast_weight: :math:`\lambda_g`.
        contrast_scope: :obj:`"modality"` contrasts the views of every modality,
            :obj:`"fused"` the fused ones after the item graph.
        contrast_rows: :obj:`"batch"`, the distinct users and positive items of the
            batch, or :obj:`"full"`, all.
        contrast_limit: The most users, and items, of a batch to contrast, drawn at random;
            the cost grows with their square, so large batches want one.
        temperature: :math:`\tau` of InfoNCE.
        noise_eps: Length of the noise in the perturbed views.
        view_parameters: :obj:`"shared"` perturbs the clean encoders,
            :obj:`"separate"` gives each view encoders of its own.
        score_scale: Factor of the scores in BPR; the larger, the sooner a pair counts as
            ranked.
        bpr_log: Logarithm of BPR, :obj:`"natural"` or :obj:`"binary"`.
        regularizer: :obj:`"parameters"`, squared norm of all parameters, or
            :obj:`"preferences"`, mean squares of the batch users' free rows and of
            the fusion weights.
        reg_weight: :math:`\lambda_E`.
    """

    uses_content = True

    def __init__(
        self,
        num_users: Count,
        num_items: Count,
        in_channels: Widths,
        missing: Sequence[str] = (),
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        readout: Literal["sum", "mean"] = "sum",
        num_item_layers: NonNegativeInt = 1,
        item_graph: Literal["modality", "merged"] = "modality",
        fusion: Literal["global", "user"] = "global",
        missing_items: Literal["zero", "free"] = "zero",
        align_weight: NonNegative = 0.1,
        align_levels: Levels = (1, 2, 3, 4),
        mask_weight: NonNegative = 1.5,
        mask_dropout: Probability = 0.5,
        mask_gradient: bool = True,
        contrast_weight: NonNegative = 1e-3,
        contrast_scope: Literal["modality", "fused"] = "modality",
        contrast_rows: Literal["batch", "full"] = "batch",
        contrast_limit: Count | None = None,
        temperature: Positive = 0.2,
        noise_eps: NonNegative = 0.1,
        view_parameters: Literal["shared", "separate"] = "shared",
        score_scale: Positive = 1.0,
        bpr_log: Literal["natural", "binary"] = "natural",
        regularizer: Literal["parameters", "preferences"] = "parameters",
        reg_weight: NonNegative = 1e-6,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.item_graph = item_graph
        self.align_weight, self.align_levels = align_weight, tuple(align_levels)
        self.mask_weight, self.mask_dropout = mask_weight, mask_dropout
        self.mask_gradient = mask_gradient
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.contrast_scope, self.contrast_rows = contrast_scope, contrast_rows
        self.contrast_limit = contrast_limit
        self.score_scale = score_scale
        self.bpr_base = {"natural": math.e, "binary": 2.0}[bpr_log]
        self.regularizer, self.reg_weight = regularizer, reg_weight

        free_items = missing if missing_items == "free" else ()
        sizes: dict[str, Any] = {
            "hidden_channels": hidden_channels,
            "num_layers": num_layers,
            "readout": readout,
        }
        self.encoder = MultimodalEncoder(
            in_channels,
            num_users,
            num_items,
            num_item_layers=num_item_layers,
            fusion=fusion,
            noise_eps=noise_eps,
            free_items=free_items,
            **sizes,
        )
        self.views = None
        if view_parameters == "separate":
            conv = NoisyLightGCNConv(noise_eps)
            args = (in_channels, num_users, num_items, free_items)
            self.views = ModuleList(modality_encoders(*args, conv=conv, **sizes) for _ in range(2))
        self.id_encoder = None
        if align_weight > 0 and {1, 2} & set(align_levels):
            self.id_item = Parameter(torch.empty(num_items, hidden_channels))
            self.id_encoder = ModalityEncoder(hidden_channels, num_users, **sizes)
        if mask_weight > 0:
            width = len(in_channels) * hidden_channels
            self.predictor = Linear(width, width)
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "MENTOR":
        """A model for the users, items and modalities of ``data``."""
        return cls(**sizes(data), **content_sizes(data), missing=incomplete(data), **options)

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, ModalityEncoder | GlobalFusion | UserFusion | Linear):
                module.reset_parameters()
        if self.id_encoder is not None:
            torch.nn.init.xavier_uniform_(self.id_item)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Fused embeddings of users [U, |M| D] and items [I, |M| D]."""
        parts = {m: encoding.out for m, encoding in self._propagate(data).items()}
        fused = self.encoder.fuse(self._enhance(parts, data))
        return fused[: self.num_users], fused[self.num_users :]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        encodings = self._propagate(data)
        parts = self._enhance({m: e.out for m, e in encodings.items()}, data)
        fused = self.encoder.fuse(parts)
        user, item = fused[: self.num_users], fused[self.num_users :]

        pos_score, neg_score = score_triples(self.score_scale * user, item, batch)
        losses = {"bpr": bpr_loss(pos_score, neg_score, self.bpr_base)}
        if self.align_weight > 0 and self.align_levels:
            losses["align"] = self.align_weight * self._alignment(data, parts, fused)
        if self.mask_weight > 0:
            losses["mask"] = self.mask_weight * self._feature_masking(user, item)
        if self.contrast_weight > 0:
            losses["contrast"] = self.contrast_weight * self._contrast(data, encodings, batch)
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * self._regularization(batch)
        return losses

    def _propagate(self, data: HeteroData) -> dict[str, Encoding]:
        x, mask = content(data, self.encoder.modalities)
        return self.encoder.propagate(x, user_item_graph(data), mask)

    def _perturb(
        self,
        data: HeteroData,
        encodings: Mapping[str, Encoding],
        view: int,
        rows: OptTensor = None,
    ) -> dict[str, Tensor]:
        """A noisy view of every modality, before the item graph."""
        if self.views is None:
            return self.encoder.perturb(encodings, user_item_graph(data), rows)
        x, mask = content(data, self.encoder.modalities)
        return {
            m: encoder(x[m], user_item_graph(data), mask[m], rows=rows)
            for m, encoder in cast(ModuleDict, self.views[view]).items()
        }

    def _enhance(
        self, representations: Mapping[str, Tensor], data: HeteroData
    ) -> dict[str, Tensor]:
        """Representations with what the item graph says; see :class:`MultimodalEncoder`."""
        if self.encoder.num_item_layers == 0:
            return dict(representations)
        return {
            name: self.encoder.enhance(z, item_adjacency(data, self._item_graph(name)))
            for name, z in representations.items()
        }

    def _item_graph(self, name: str) -> tuple[str, str, str]:
        return SIMILAR if self.item_graph == "merged" else similar(name)

    def _alignment(self, data: HeteroData, parts: Mapping[str, Tensor], fused: Tensor) -> Tensor:
        """Sum of the chosen levels; rows without content have no say."""
        users = torch.ones(self.num_users, dtype=torch.bool, device=fused.device)
        _, masks = content(data, list(parts))
        present = {m: torch.cat([users, x]) for m, x in masks.items() if x is not None}
        gaussians, fused_gaussian = content_moments(parts, fused, present)
        id_gaussian = fused_gaussian
        if self.id_encoder is not None:
            z = self.id_encoder(self.id_item, user_item_graph(data))
            if self.item_graph == "merged":
                z = self._enhance({"id": z}, data)["id"]
            id_gaussian = moments(z, repeats=len(parts))
        levels = alignment_levels(id_gaussian, fused_gaussian, gaussians)
        return torch.stack([levels[level] for level in self.align_levels]).sum()

    def _feature_masking(self, user: Tensor, item: Tensor) -> Tensor:
        terms = []
        for z in (user, item):
            online = self.predictor(z) if self.mask_gradient else self.predictor(z).detach()
            target = dropout(z.detach(), self.mask_dropout, self.training)
            terms.append(feature_masking_loss(online, target))
        return torch.stack(terms).sum()

    def _contrast(
        self, data: HeteroData, encodings: Mapping[str, Encoding], batch: Batch
    ) -> Tensor:
        """InfoNCE over users plus InfoNCE over items, summed over modalities."""
        rows, sizes = None, [self.num_users, self.num_items]
        if self.contrast_rows == "batch":
            nodes = batch.user.unique(), batch.pos_item.unique()
            users, items = (subset(n, self.contrast_limit) for n in nodes)
            rows, sizes = torch.cat([users, self.num_users + items]), [len(users), len(items)]
        if self.contrast_scope == "modality":
            views = [self._perturb(data, encodings, view, rows) for view in range(2)]
        else:
            full = [self._enhance(self._perturb(data, encodings, v), data) for v in range(2)]
            views = [{"fused": select(self.encoder.fuse(view), rows)} for view in full]
        terms = [
            info_nce(view1, view2, self.temperature)
            for name in views[0]
            for view1, view2 in zip(views[0][name].split(sizes), views[1][name].split(sizes))
        ]
        return torch.stack(terms).sum()

    def _regularization(self, batch: Batch) -> Tensor:
        if self.regularizer == "parameters":
            return sum_of_squares(list(self.parameters()))
        users = [cast(ModalityEncoder, e).user for e in self.encoder.encoders.values()]
        squares = [user.index_select(0, batch.user).pow(2).mean() for user in users]
        squares += [weight.pow(2).mean() for weight in self.encoder.fusion.parameters()]
        return torch.stack(squares).sum()
