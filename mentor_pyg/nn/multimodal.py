from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch_geometric.typing import OptTensor

from mentor_pyg.nn.conv import NoisyLightGCNConv
from mentor_pyg.nn.embedding import Nodes
from mentor_pyg.nn.encoder import ModalityEncoder, Pair, Propagation, modality_encoders
from mentor_pyg.nn.fusion import GlobalFusion, UserFusion
from mentor_pyg.options import Count, NonNegative, NonNegativeInt, Widths, checked
from mentor_pyg.sparse.adjacency import Adjacency


class Encoding(NamedTuple):
    """Users [U, D] and items [I, D] of a modality at each stage of its propagation."""

    initial: Pair  # E^(0)
    first_hop: Pair  # E^(1)
    out: Pair  # E, after the readout over all layers


@checked
class MultimodalEncoder(torch.nn.Module):
    r"""Encodes users and items from all modalities of the items' content and fuses them,
    Eq. 1-7 of the `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper.

    .. math::
        \hat{\mathbf{E}}_m^{U} = \mathbf{E}_m^{U}, \qquad
        \hat{\mathbf{E}}_m^{I} = \mathbf{E}_m^{I} + \mathbf{S}_m \mathbf{E}_m^{I}, \qquad
        \mathbf{Z} = \Vert_m \, \alpha_m \hat{\mathbf{E}}_m

    with :math:`\mathbf{E}_m` from :class:`~mentor_pyg.nn.ModalityEncoder` and a frozen item
    graph :math:`\mathbf{S}_m`. Each step is a method, since the self-supervised tasks need the
    intermediate results.

    Args:
        in_channels: Width D_m of the raw features by modality.
        num_users: Number of users U.
        num_items: Number of items I.
        hidden_channels: Embedding size D of a modality.
        num_layers: Number of hops L on the user-item graph.
        readout: :obj:`"sum"` or :obj:`"mean"` over its layers.
        num_item_layers: Number of hops on the item graph; 0 disables it.
        fusion: :obj:`"global"` for :class:`~mentor_pyg.nn.GlobalFusion`,
            :obj:`"user"` for :class:`~mentor_pyg.nn.UserFusion`.
        noise_eps: Length of the noise in perturbed views.
        free_items: Modalities in which items without content get a trainable embedding.
    """

    def __init__(
        self,
        in_channels: Widths,
        num_users: Count,
        num_items: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        readout: Literal["sum", "mean"] = "sum",
        num_item_layers: NonNegativeInt = 1,
        fusion: Literal["global", "user"] = "global",
        noise_eps: NonNegative = 0.1,
        free_items: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.num_item_layers = num_item_layers
        self.encoders = modality_encoders(
            in_channels,
            num_users,
            num_items,
            free_items,
            hidden_channels=hidden_channels,
            num_layers=num_layers,
            readout=readout,
        )
        self.noisy_propagation = Propagation(num_layers, readout, NoisyLightGCNConv(noise_eps))
        self.fusion = (
            GlobalFusion(len(in_channels))
            if fusion == "global"
            else UserFusion(len(in_channels), num_users)
        )

    @property
    def modalities(self) -> list[str]:
        return list(self.encoders)

    def propagate(
        self,
        x: Mapping[str, Tensor],
        adj: Adjacency,
        mask: Mapping[str, OptTensor],
        nodes: Nodes | None = None,
    ) -> dict[str, Encoding]:
        """Encodes each modality on the user-item graph, without noise.

        Args:
            x: Item features [I, D_m].
            adj: The normalised user-item graph [U, I].
            mask: Bool [I], False where an item has no content, or None.
            nodes: The graph's users and items; those of training if not given.
        """
        encodings = {}
        for name, encoder in self.encoders.items():
            assert isinstance(encoder, ModalityEncoder)
            user, item = encoder.initial(x[name], mask[name], nodes)
            first_hop = adj @ item, adj.t() @ user
            out = encoder.propagation(user, item, adj, first_hop=first_hop)
            encodings[name] = Encoding((user, item), first_hop, out)
        return encodings

    def perturb(
        self, encodings: Mapping[str, Encoding], adj: Adjacency, rows: Pair | None = None
    ) -> dict[str, Pair]:
        """A noisy view of each modality, which reuses the first hop without noise.

        Returns all users and items, or the ``rows`` users [n] and items [m].
        """
        return {
            name: self.noisy_propagation(*e.initial, adj, first_hop=e.first_hop, rows=rows)
            for name, e in encodings.items()
        }

    def enhance(self, item: Tensor, item_adj: Adjacency) -> Tensor:
        """Adds messages from neighbours on the item graph to items [I, D]."""
        hidden = item
        for _ in range(self.num_item_layers):
            hidden = item_adj @ hidden
        return item + hidden if self.num_item_layers else item

    def fuse(self, representations: Mapping[str, Pair], nodes: Nodes | None = None) -> Pair:
        """Fuses the modalities to users [U, |M| D] and items [I, |M| D]."""
        users, items = zip(*(representations[m] for m in self.encoders))
        return self.fusion(users, items, nodes)
