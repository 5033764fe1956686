import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import ModuleDict, ModuleList, Parameter
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from mentor_pyg.nn.conv import NoisyLightGCNConv
from mentor_pyg.nn.embedding import UserItemEmbedding
from mentor_pyg.nn.encoder import (
    ModalityEncoder,
    Pair,
    Propagation,
    modality_encoders,
    select_pair,
)
from mentor_pyg.nn.initialization import spectral_embedding
from mentor_pyg.nn.loss import sum_of_squares
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content, item_adjacency, nodes
from mentor_pyg.nn.multimodal import Encoding, MultimodalEncoder
from mentor_pyg.nn.ranking import BPRLoss
from mentor_pyg.nn.self_supervision import Alignment, FeatureMasking, GraphContrast, Levels
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Positive, Probability, Widths
from mentor_pyg.typing import SIMILAR, Batch, similar


class MENTOR(BaseRecommender):
    r"""The model from the `"MENTOR: Multi-level Self-supervised Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2402.19407>`_ paper.

    Each modality is encoded on the user-item graph and on a frozen kNN graph of the items, and
    all are fused to :math:`\mathbf{z}` (:class:`~mentor_pyg.nn.MultimodalEncoder`). The score
    is :math:`s_{ui} = \langle \mathbf{z}_u, \mathbf{z}_i \rangle`, and training minimises

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_{align} \textstyle\sum_{\ell} \mathcal{L}_{align}^{(\ell)}
        + \lambda_f \mathcal{L}_{mask} + \lambda_g \mathcal{L}_{NCE}
        + \lambda_E \lVert \theta \rVert^2

    Terms of weight zero, and everything that only they need, are not computed. Defaults follow
    the paper; the model's documentation page lists where the released code differs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality.
        missing: Modalities that some items lack.
        hidden_channels: Embedding size D of one modality.
        num_layers: Number of hops L on the user-item graph.
        readout: :obj:`"sum"` or :obj:`"mean"` over its layers.
        num_item_layers: Number of hops on the item graph.
        item_graph: :obj:`"modality"`, one graph per modality and none for the IDs, or
            :obj:`"merged"`, one graph for all representations.
        fusion: :obj:`"global"`, one weight per modality, or :obj:`"user"`, one per modality
            and user.
        id_weight: Factor of the scores of free user and item vectors, which are joined to the
            fused embeddings; 0 for none, as in the paper. They are propagated as in LightGCN,
            and over the item graph if it is :obj:`"merged"`.
        id_init: Initial values of these vectors: :obj:`"random"`, or :obj:`"spectral"`, the
            singular vectors of the interactions (:func:`~mentor_pyg.nn.spectral_embedding`)
            at the scale of random values, with which training needs fewer epochs.
        missing_items: Initial embedding of items without content, :obj:`"zero"` or
            :obj:`"free"`; see :class:`~mentor_pyg.nn.ModalityEncoder`.
        align_weight: :math:`\lambda_{align}`.
        align_levels: Levels of alignment to use, from 1 to 4.
        mask_weight: :math:`\lambda_f`.
        mask_dropout: Dropout ratio p of the masked target.
        mask_gradient: Whether the online branch is trained; if not, the term is constant.
        contrast_weight: :math:`\lambda_g`.
        contrast_scope: :obj:`"modality"` contrasts the views of each modality,
            :obj:`"fused"` the fused views after the item graph.
        contrast_rows: :obj:`"batch"` for the distinct users and positive items of the batch,
            :obj:`"full"` for all.
        contrast_limit: Maximum number of users, and of items, to contrast per batch, sampled
            at random. The cost grows with its square, so set it for large batches.
        temperature: :math:`\tau` of InfoNCE.
        noise_eps: Length of the noise in the perturbed views.
        view_parameters: :obj:`"shared"` perturbs the main encoders, :obj:`"separate"` gives
            each view its own encoders.
        score_scale: Factor of the scores in BPR. Larger values saturate the loss earlier.
        bpr_log: Logarithm of BPR, :obj:`"natural"` or :obj:`"binary"`.
        regularizer: :obj:`"parameters"`, the squared norm of all parameters, or
            :obj:`"preferences"`, the mean squares of the fusion weights and of the batch users'
            embeddings.
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
        id_weight: NonNegative = 0.0,
        id_init: Literal["random", "spectral"] = "random",
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
        self.item_graph = item_graph
        self.align_weight, self.mask_weight = align_weight, mask_weight
        self.contrast_weight, self.contrast_scope = contrast_weight, contrast_scope
        self.ranking = BPRLoss(score_scale, {"natural": math.e, "binary": 2.0}[bpr_log])
        self.regularizer, self.reg_weight = regularizer, reg_weight

        hops: dict[str, Any] = {
            "hidden_channels": hidden_channels,
            "num_layers": num_layers,
            "readout": readout,
        }
        content_sizes = in_channels, num_users, num_items
        free_items = missing if missing_items == "free" else ()
        self.encoder = MultimodalEncoder(
            *content_sizes,
            num_item_layers=num_item_layers,
            fusion=fusion,
            noise_eps=noise_eps,
            free_items=free_items,
            **hops,
        )
        self.views = None
        if view_parameters == "separate":
            conv = NoisyLightGCNConv(noise_eps)
            self.views = ModuleList(
                modality_encoders(*content_sizes, free_items, conv=conv, **hops) for _ in range(2)
            )
        self.free = self.free_hops = None
        if id_weight > 0:
            self.free = UserItemEmbedding(num_users, num_items, hidden_channels)
            self.free_hops = Propagation(num_layers, readout="mean")
        self.id_weight, self.id_init = id_weight, id_init
        self.alignment = self.id_encoder = self.masking = self.contrast = None
        if align_weight > 0 and align_levels:
            self.alignment = Alignment(align_levels)
            if self.alignment.needs_id:
                self.id_item = Parameter(torch.empty(num_items, hidden_channels))
                self.id_encoder = ModalityEncoder(hidden_channels, num_users, **hops)
        if mask_weight > 0:
            width = len(in_channels) * hidden_channels
            self.masking = FeatureMasking(width, mask_dropout, mask_gradient)
        if contrast_weight > 0:
            self.contrast = GraphContrast(temperature, contrast_rows, contrast_limit)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.id_encoder is not None:
            torch.nn.init.xavier_uniform_(self.id_item)

    def initialize(self, data: HeteroData) -> None:
        """Sets the free vectors to the singular vectors, if that was chosen."""
        if self.free is None or self.id_init == "random":
            return
        user, item = spectral_embedding(self.interactions(data), self.free.item.size(1))
        with torch.no_grad():
            scale = self.free.item.norm() / item.norm()
            for table, x in ((self.free.user, user), (self.free.item, item)):
                is_known = x.any(dim=0)  # columns beyond the size of the graph stay random
                table.copy_(torch.where(is_known, scale * x, table))

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Fused embeddings of users and items [U, |M| D] and [I, |M| D]; with free vectors,
        [U, (|M| + 1) D] and [I, (|M| + 1) D]."""
        parts = {m: encoding.out for m, encoding in self._propagate(data).items()}
        return self._join(self.encoder.fuse(self._enhance(parts, data), nodes(data)), data)

    def modality_embeddings(self, data: HeteroData) -> dict[str, Pair]:
        """Embeddings of users [U, D] and items [I, D] by modality, before fusion."""
        return self._enhance({m: e.out for m, e in self._propagate(data).items()}, data)

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        encodings = self._propagate(data)
        parts = self._enhance({m: e.out for m, e in encodings.items()}, data)
        user, item = self.encoder.fuse(parts, nodes(data))
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {}
        if self.alignment is not None:
            terms["align"] = self.align_weight, lambda: self._align(data, parts, (user, item))
        if self.masking is not None:
            terms["mask"] = self.mask_weight, partial(self.masking, user, item)
        if self.contrast is not None:
            terms["contrast"] = self.contrast_weight, lambda: self._contrast(data, encodings, batch)
        terms["reg"] = self.reg_weight, lambda: self._regularization(data, batch)
        user, item = self._join((user, item), data)
        return self.objective(user, item, batch, **terms)

    def _join(self, fused: Pair, data: HeteroData) -> Pair:
        """Appends the free vectors, after their propagation."""
        if self.free is None:
            return fused
        assert self.free_hops is not None
        free = self.free_hops(*self.free(nodes(data)), self.interactions(data))
        if self.item_graph == "merged":
            free = self._enhance({"id": free}, data)["id"]
        factor = math.sqrt(self.id_weight)
        user, item = (torch.cat([x, factor * y], dim=1) for x, y in zip(fused, free))
        return user, item

    def _propagate(self, data: HeteroData) -> dict[str, Encoding]:
        x, mask = content(data, self.encoder.modalities)
        return self.encoder.propagate(x, self.interactions(data), mask, nodes(data))

    def _enhance(self, representations: Mapping[str, Pair], data: HeteroData) -> dict[str, Pair]:
        """Adds messages over the item graph; see :class:`MultimodalEncoder`."""
        if self.encoder.num_item_layers == 0:
            return dict(representations)
        return {
            name: (user, self.encoder.enhance(item, item_adjacency(data, self._item_graph(name))))
            for name, (user, item) in representations.items()
        }

    def _item_graph(self, name: str) -> EdgeType:
        return SIMILAR if self.item_graph == "merged" else similar(name)

    def _align(self, data: HeteroData, parts: Mapping[str, Pair], fused: Pair) -> Tensor:
        assert self.alignment is not None
        _, masks = content(data, list(parts))
        present = {m: mask for m, mask in masks.items() if mask is not None}
        id = None
        if self.id_encoder is not None:
            graph = nodes(data)
            features = graph.items(self.id_item)
            id = self.id_encoder(features, self.interactions(data), nodes=graph)
            if self.item_graph == "merged":
                id = self._enhance({"id": id}, data)["id"]
        return self.alignment(parts, fused, id, present)

    def _contrast(
        self, data: HeteroData, encodings: Mapping[str, Encoding], batch: Batch
    ) -> Tensor:
        assert self.contrast is not None
        rows = self.contrast.select(batch)
        if self.contrast_scope == "modality":
            views = [self._perturb(data, encodings, view, rows) for view in range(2)]
        else:
            full = [self._enhance(self._perturb(data, encodings, v), data) for v in range(2)]
            fused = [self.encoder.fuse(view, nodes(data)) for view in full]
            views = [{"fused": select_pair(view, rows)} for view in fused]
        return self.contrast(*views)

    def _perturb(
        self,
        data: HeteroData,
        encodings: Mapping[str, Encoding],
        view: int,
        rows: Pair | None = None,
    ) -> dict[str, Pair]:
        """A noisy view of each modality, before the item graph."""
        adj = self.interactions(data)
        if self.views is None:
            return self.encoder.perturb(encodings, adj, rows)
        x, mask = content(data, self.encoder.modalities)
        return {
            m: encoder(x[m], adj, mask[m], rows=rows, nodes=nodes(data))
            for m, encoder in cast(ModuleDict, self.views[view]).items()
        }

    def _regularization(self, data: HeteroData, batch: Batch) -> Tensor:
        if self.regularizer == "parameters":
            return sum_of_squares(list(self.parameters()))
        users, graph = [], nodes(data)
        for encoder in self.encoder.encoders.values():
            rows = graph.users(cast(ModalityEncoder, encoder).user)
            users.append(rows.index_select(0, batch.user))
        weights = self.encoder.fusion.parameters()
        return torch.stack([x.pow(2).mean() for x in (*users, *weights)]).sum()
