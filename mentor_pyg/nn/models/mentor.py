import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, ModuleDict, ModuleList, Parameter
from torch_geometric.data import HeteroData

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.nn.conv import LightGCNConv, NoisyLightGCNConv
from mentor_pyg.nn.encoder import ModalityEncoder, Propagation, modality_encoders
from mentor_pyg.nn.fusion import GlobalFusion, UserFusion
from mentor_pyg.nn.info_nce import info_nce
from mentor_pyg.nn.loss import (
    alignment_levels,
    bpr_loss,
    feature_masking_loss,
    moments,
    sum_of_squares,
)
from mentor_pyg.typing import ITEM, SIMILAR, USER, Batch, modalities, similar


class Encoding(NamedTuple):
    """What one forward pass knows of a modality."""

    initial: Tensor  # E^(0), [U + I, D]
    first_hop: Tensor  # E^(1)
    out: Tensor  # E, the sum over layers


class MENTOR(torch.nn.Module):
    r"""The model from the `"MENTOR: Multi-level Self-supervised Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2402.19407>`_ paper.

    Every modality is encoded on the user-item graph and on a frozen kNN graph of the
    items, and all are fused by concatenation; the score is the inner product

    .. math::
        \hat{\mathbf{E}}_m = [\mathbf{E}_m^{U} \,|\, \mathbf{E}_m^{I} + \mathbf{S}_m
        \mathbf{E}_m^{I}], \qquad \mathbf{z} = \Vert_m \, \alpha_m \hat{\mathbf{E}}_m,
        \qquad s_{ui} = \langle \mathbf{z}_u, \mathbf{z}_i \rangle

    and training minimises

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}
        + \lambda_{align} \textstyle\sum_{\ell} \mathcal{L}_{align}^{(\ell)}
        + \lambda_f \mathcal{L}_{mask} + \lambda_g \mathcal{L}_{NCE}
        + \lambda_E \lVert \theta \rVert^2

    A term of weight zero isn't computed, nor is what only that term needs. The
    options' defaults follow the paper; README's table of deviations says how the
    released code differs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        in_channels: Width of the raw features by modality; any names, at least one.
        missing: Modalities that some items lack (they have a ``mask_<m>``).
        hidden_channels: Embedding size D of one modality.
        num_layers: Hops L on the user-item graph.
        num_item_layers: Hops on the item graph.
        item_graph: :obj:`"modality"`, a graph each, or :obj:`"merged"`, one for all
            representations. With :obj:`"modality"` the ID representation, which has
            no content, gets no item graph.
        fusion: :obj:`"global"`, one weight a modality, or :obj:`"user"`.
        missing_items: :obj:`"zero"` or :obj:`"free"`; how an item without content
            starts, see :class:`~mentor_pyg.nn.ModalityEncoder`.
        align_weight: :math:`\lambda_{align}`.
        align_levels: The levels of alignment to use, out of 1 to 4.
        mask_weight: :math:`\lambda_f`.
        mask_dropout: Dropout ratio p of the masked target.
        mask_gradient: Whether the online branch is trained; if not, the term is a
            constant.
        contrast_weight: :math:`\lambda_g`.
        contrast_scope: :obj:`"modality"` contrasts the views of every modality,
            :obj:`"fused"` the fused ones after the item graph.
        contrast_rows: :obj:`"batch"`, the distinct users and positive items of the
            batch, or :obj:`"full"`, all.
        temperature: :math:`\tau` of InfoNCE.
        noise_eps: Length of the noise in the perturbed views.
        view_parameters: :obj:`"shared"` perturbs the clean encoders,
            :obj:`"separate"` gives each view encoders of its own.
        bpr_log: Logarithm of BPR, :obj:`"natural"` or :obj:`"binary"`.
        regularizer: :obj:`"parameters"`, squared norm of all parameters, or
            :obj:`"preferences"`, mean squares of the batch users' free rows and of
            the fusion weights.
        reg_weight: :math:`\lambda_E`.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        in_channels: Mapping[str, int],
        missing: Sequence[str] = (),
        hidden_channels: int = 64,
        num_layers: int = 2,
        num_item_layers: int = 1,
        item_graph: Literal["modality", "merged"] = "modality",
        fusion: Literal["global", "user"] = "global",
        missing_items: Literal["zero", "free"] = "zero",
        align_weight: float = 0.1,
        align_levels: Sequence[int] = (1, 2, 3, 4),
        mask_weight: float = 1.5,
        mask_dropout: float = 0.5,
        mask_gradient: bool = True,
        contrast_weight: float = 1e-3,
        contrast_scope: Literal["modality", "fused"] = "modality",
        contrast_rows: Literal["batch", "full"] = "batch",
        temperature: float = 0.2,
        noise_eps: float = 0.1,
        view_parameters: Literal["shared", "separate"] = "shared",
        bpr_log: Literal["natural", "binary"] = "natural",
        regularizer: Literal["parameters", "preferences"] = "parameters",
        reg_weight: float = 1e-6,
    ) -> None:
        super().__init__()
        if not in_channels:
            raise ValueError("MENTOR needs at least one modality of item features (got none)")
        if not set(align_levels) <= {1, 2, 3, 4}:
            raise ValueError(f"'align_levels' must be out of 1 to 4 (got {list(align_levels)})")
        self.num_users, self.num_items = num_users, num_items
        self.num_item_layers = num_item_layers
        self.item_graph = item_graph
        self.align_weight, self.align_levels = align_weight, tuple(align_levels)
        self.mask_weight, self.mask_dropout = mask_weight, mask_dropout
        self.mask_gradient = mask_gradient
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.contrast_scope, self.contrast_rows = contrast_scope, contrast_rows
        self.bpr_base = {"natural": math.e, "binary": 2.0}[bpr_log]
        self.regularizer, self.reg_weight = regularizer, reg_weight

        def encoders(conv: LightGCNConv) -> ModuleDict:
            return modality_encoders(
                in_channels,
                num_users,
                num_items,
                free_items=missing if missing_items == "free" else (),
                hidden_channels=hidden_channels,
                num_layers=num_layers,
                conv=conv,
            )

        self.encoders = encoders(LightGCNConv())
        self.noisy_propagation = Propagation(num_layers, conv=NoisyLightGCNConv(noise_eps))
        self.views = None
        if view_parameters == "separate":
            self.views = ModuleList(encoders(NoisyLightGCNConv(noise_eps)) for _ in range(2))
        self.fusion = (
            GlobalFusion(len(in_channels))
            if fusion == "global"
            else UserFusion(len(in_channels), num_users)
        )
        self.id_encoder = None
        if align_weight > 0 and {1, 2} & set(align_levels):
            self.id_item = Parameter(torch.empty(num_items, hidden_channels))
            self.id_encoder = ModalityEncoder(
                hidden_channels, num_users, hidden_channels, num_layers
            )
        if mask_weight > 0:
            width = len(in_channels) * hidden_channels
            self.predictor = Linear(width, width)
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: HeteroData, **options: Any) -> "MENTOR":
        """A model for the users, items and modalities of ``data``."""
        names = modalities(data)
        return cls(
            data[USER].num_nodes,
            data[ITEM].num_nodes,
            in_channels={m: data[ITEM][f"x_{m}"].size(1) for m in names},
            missing=[m for m in names if f"mask_{m}" in data[ITEM]],
            **options,
        )

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, ModalityEncoder | GlobalFusion | UserFusion | Linear):
                module.reset_parameters()
        if self.id_encoder is not None:
            torch.nn.init.xavier_uniform_(self.id_item)

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Fused embeddings of users [U, |M| D] and items [I, |M| D]."""
        content = {m: encoding.out for m, encoding in self._propagate(data).items()}
        fused = self._fuse(self._enhance_all(content, data))
        return fused[: self.num_users], fused[self.num_users :]

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        encodings = self._propagate(data)
        content = self._enhance_all({m: e.out for m, e in encodings.items()}, data)
        fused = self._fuse(content)
        user, item = fused[: self.num_users], fused[self.num_users :]

        anchor = user[batch.user]
        pos_score = (anchor * item[batch.pos_item]).sum(dim=1)
        neg_score = (anchor * item[batch.neg_item]).sum(dim=1)
        losses = {"bpr": bpr_loss(pos_score, neg_score, self.bpr_base)}
        if self.align_weight > 0 and self.align_levels:
            losses["align"] = self.align_weight * self._alignment(data, content, fused)
        if self.mask_weight > 0:
            losses["mask"] = self.mask_weight * self._feature_masking(user, item)
        if self.contrast_weight > 0:
            losses["contrast"] = self.contrast_weight * self._contrast(data, encodings, batch)
        if self.reg_weight > 0:
            losses["reg"] = self.reg_weight * self._regularization(batch)
        return losses

    # Representations ####################################################

    def _propagate(self, data: HeteroData) -> dict[str, Encoding]:
        """Clean encodings; their first hop also serves the perturbed views."""
        encodings = {}
        for name, encoder in self.encoders.items():
            initial = encoder.initial(*_content(data, name))
            first_hop = data.adj.matmul(initial)
            out = encoder.propagation(initial, data.adj, first_hop=first_hop)
            encodings[name] = Encoding(initial, first_hop, out)
        return encodings

    def _perturb(
        self, data: HeteroData, encodings: Mapping[str, Encoding], view: int
    ) -> dict[str, Tensor]:
        """A noisy view of every modality, before the item graph."""
        if self.views is not None:
            return {
                name: encoder(x, data.adj, mask)
                for name, encoder in self.views[view].items()
                for x, mask in [_content(data, name)]
            }
        return {
            name: self.noisy_propagation(e.initial, data.adj, first_hop=e.first_hop)
            for name, e in encodings.items()
        }

    def _enhance(self, z: Tensor, item_adj: Adjacency) -> Tensor:
        """Adds to the item rows what their neighbours on the item graph say."""
        hidden = z[self.num_users :]
        for _ in range(self.num_item_layers):
            hidden = item_adj.matmul(hidden)
        return torch.cat([z[: self.num_users], z[self.num_users :] + hidden])

    def _enhance_all(
        self, representations: Mapping[str, Tensor], data: HeteroData
    ) -> dict[str, Tensor]:
        merged = self.item_graph == "merged"
        return {
            name: self._enhance(z, data[SIMILAR if merged else similar(name)].adj)
            for name, z in representations.items()
        }

    def _fuse(self, representations: Mapping[str, Tensor]) -> Tensor:
        return self.fusion(list(representations.values()), self.num_users)

    # Objective ##########################################################

    def _alignment(self, data: HeteroData, content: Mapping[str, Tensor], fused: Tensor) -> Tensor:
        """Sum of the chosen levels; rows without content have no say.

        Each representation counts as if repeated to the width of the fused one.
        """
        repeats = len(content)
        content_moments, present = {}, []
        for name, z in content.items():
            mask = data[ITEM].get(f"mask_{name}")
            if mask is not None:
                rows = torch.cat([mask.new_ones(self.num_users), mask])
                present.append(rows)
                z = z[rows]
            content_moments[name] = moments(z, repeats)
        if len(present) == len(content):
            fused = fused[torch.stack(present).any(dim=0)]

        fused_moments = moments(fused)
        id_moments = fused_moments
        if self.id_encoder is not None:
            z = self.id_encoder(self.id_item, data.adj)
            if self.item_graph == "merged":
                z = self._enhance(z, data[SIMILAR].adj)
            id_moments = moments(z, repeats)
        levels = alignment_levels(id_moments, fused_moments, content_moments)
        return torch.stack([levels[level] for level in self.align_levels]).sum()

    def _feature_masking(self, user: Tensor, item: Tensor) -> Tensor:
        loss = user.new_zeros(())
        for z in (user, item):
            online = self.predictor(z) if self.mask_gradient else self.predictor(z).detach()
            target = F.dropout(z.detach(), self.mask_dropout, self.training)
            loss = loss + feature_masking_loss(online, target)
        return loss

    def _contrast(
        self, data: HeteroData, encodings: Mapping[str, Encoding], batch: Batch
    ) -> Tensor:
        """InfoNCE over users plus InfoNCE over items, summed over modalities."""
        views = [self._perturb(data, encodings, view) for view in range(2)]
        if self.contrast_scope == "fused":
            views = [{"fused": self._fuse(self._enhance_all(v, data))} for v in views]
        if self.contrast_rows == "batch":
            rows = [batch.user.unique(), self.num_users + batch.pos_item.unique()]
        else:
            rows = [slice(self.num_users), slice(self.num_users, None)]
        terms = [
            info_nce(views[0][name][index], views[1][name][index], self.temperature)
            for name in views[0]
            for index in rows
        ]
        return torch.stack(terms).sum()

    def _regularization(self, batch: Batch) -> Tensor:
        if self.regularizer == "parameters":
            return sum_of_squares(list(self.parameters()))
        squares = [e.user[batch.user].pow(2).mean() for e in self.encoders.values()]
        squares += [weight.pow(2).mean() for weight in self.fusion.parameters()]
        return torch.stack(squares).sum()


def _content(data: HeteroData, name: str) -> tuple[Tensor, Tensor | None]:
    """Features of a modality, and which items have them (None if all)."""
    return data[ITEM][f"x_{name}"], data[ITEM].get(f"mask_{name}")
