from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import ModuleDict, Parameter
from torch_geometric.nn import MLP
from torch_geometric.nn.inits import reset
from torch_geometric.typing import Adj, OptTensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.conv import LightGCNConv, NoisyLightGCNConv
from mentor_pyg.nn.functional import normalize, pad_rows, select
from mentor_pyg.options import Count, NonNegativeInt, checked
from mentor_pyg.sparse.adjacency import Adjacency

Graph: TypeAlias = Adj | Adjacency


@checked
class Propagation(torch.nn.Module):
    r"""A stack of LightGCN hops with a read-out over all layers.

    .. math::
        \mathbf{E} = \sum_{l=0}^{L} \mathbf{E}^{(l)}, \qquad
        \mathbf{E}^{(l)} = \mathrm{conv}(\mathbf{E}^{(l-1)})

    Args:
        num_layers: Number of hops L.
        readout: :obj:`"sum"`, or :obj:`"mean"` to divide by L + 1.
        conv: One hop; it has no parameters, so all layers share it.
    """

    def __init__(
        self,
        num_layers: NonNegativeInt,
        readout: Literal["sum", "mean"] = "sum",
        conv: LightGCNConv | None = None,
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.readout = readout
        self.conv = conv if conv is not None else LightGCNConv()

    def forward(
        self,
        x: Tensor,
        adj: Graph,
        edge_weight: OptTensor = None,
        first_hop: OptTensor = None,
        noise: Sequence[Tensor] | None = None,
        rows: OptTensor = None,
    ) -> Tensor:
        """Propagates node features [N, F] and reads them out, [N, F].

        Args:
            x: Node features.
            adj: Any adjacency :class:`~mentor_pyg.nn.LightGCNConv` takes.
            edge_weight: Weights of ``adj`` if it is a plain ``edge_index``.
            first_hop: The clean first hop, if it is already known.
            noise: One tensor of uniform draws per layer, for noisy convolutions.
            rows: Nodes to read out, [n]; all if not given. Of the last hop no others
                are perturbed, so the noise of that layer is [n, F].
        """
        if noise is not None and len(noise) != self.num_layers:
            raise InputError(
                f"Propagation: noise of {len(noise)} layers; expected {self.num_layers}"
            )
        if first_hop is not None:
            check_shapes("Propagation", first_hop=(first_hop, tuple(x.shape)))
        hidden = x
        out = select(x, rows)
        for layer in range(self.num_layers):
            wanted = rows if layer == self.num_layers - 1 else None
            given = {} if noise is None else {"noise": noise[layer]}
            if layer > 0 or first_hop is None:
                hidden = self.conv(hidden, adj, edge_weight, wanted, **given)
            else:
                hidden = select(first_hop, wanted)
                if isinstance(self.conv, NoisyLightGCNConv):
                    hidden = self.conv.perturb(hidden, None if noise is None else noise[0])
            out = out + (hidden if wanted is not None else select(hidden, rows))
        return out / (self.num_layers + 1) if self.readout == "mean" else out


@checked
class ModalityEncoder(torch.nn.Module):
    r"""Encodes users and items by one modality of the items' content.

    Item features :math:`\mathbf{X}_m` are projected by an MLP, users have a free
    matrix :math:`\mathbf{P}_m`; rows are L2-normalised and propagated over the
    user-item graph (Eq. 1-2 of the `"MENTOR" <https://arxiv.org/abs/2402.19407>`_
    paper):

    .. math::
        \mathbf{E}_m^{(0)} = \left[ \frac{\mathbf{P}_m}{\lVert\cdot\rVert} \,\Big|\,
        \frac{\mathrm{MLP}_m(\mathbf{X}_m)}{\lVert\cdot\rVert} \right], \qquad
        \mathbf{E}_m = \sum_{l=0}^{L} \mathbf{E}_m^{(l)}

    Args:
        in_channels: Width D_m of the item features.
        num_users: Number of users U.
        hidden_channels: Embedding size D. (default: :obj:`64`)
        num_layers: Number of hops L. (default: :obj:`2`)
        readout: :obj:`"sum"` or :obj:`"mean"` over layers. (default: :obj:`"sum"`)
        mlp_channels: Width of the MLP's hidden layer, 4 D if not given.
        conv: The hop, :class:`LightGCNConv` or :class:`NoisyLightGCNConv`.
        num_free_items: Set to the number of items I to give items without content a
            free vector, as users have. Else they start at zero and receive only what
            their users send. (default: :obj:`0`)

    Shapes:
        ``x`` [I, D_m]; ``mask`` bool [I], False where an item has no content;
        result [U + I, D], users first, or its ``rows`` [n, D]
    """

    def __init__(
        self,
        in_channels: Count,
        num_users: Count,
        hidden_channels: Count = 64,
        num_layers: NonNegativeInt = 2,
        readout: Literal["sum", "mean"] = "sum",
        mlp_channels: Count | None = None,
        conv: LightGCNConv | None = None,
        num_free_items: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        mlp_channels = 4 * hidden_channels if mlp_channels is None else mlp_channels
        self.mlp = MLP(
            [in_channels, mlp_channels, hidden_channels],
            act="leaky_relu",
            norm=None,
        )
        self.user = Parameter(torch.empty(num_users, hidden_channels))
        self.free_item = (
            Parameter(torch.empty(num_free_items, hidden_channels)) if num_free_items else None
        )
        self.propagation = Propagation(num_layers, readout, conv)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.user)
        if self.free_item is not None:
            torch.nn.init.xavier_uniform_(self.free_item)
        reset(self.mlp)

    def initial(self, x: Tensor, mask: OptTensor = None) -> Tensor:
        """The embeddings before propagation, E^(0) [U + I, D]."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.user.dtype)  # features may be stored in half precision
        item = self.mlp(x)
        check_mask("ModalityEncoder", x.size(0), mask=mask)
        if mask is not None:
            other = item.new_zeros(())
            if self.free_item is not None:
                other = pad_rows(self.free_item, item.size(0))
            item = torch.where(mask.unsqueeze(-1), item, other)
        return normalize(torch.cat([self.user, item.to(self.user.dtype)]))

    def forward(
        self,
        x: Tensor,
        adj: Graph,
        mask: OptTensor = None,
        noise: Sequence[Tensor] | None = None,
        rows: OptTensor = None,
    ) -> Tensor:
        return self.propagation(self.initial(x, mask), adj, noise=noise, rows=rows)


def modality_encoders(
    in_channels: Mapping[str, int],
    num_users: int,
    num_items: int,
    free_items: Collection[str] = (),
    **kwargs: Any,
) -> ModuleDict:
    """One :class:`ModalityEncoder` for each modality, in the order of their names.

    Args:
        in_channels: Width of the item features by modality.
        num_users: Number of users U.
        num_items: Number of items I.
        free_items: Modalities whose missing items get a free vector.
        **kwargs: Further arguments of :class:`ModalityEncoder`.

    Raises:
        InputError: If PyTorch can't name a module after a modality.
    """
    encoders = {
        name: ModalityEncoder(
            in_channels[name],
            num_users,
            num_free_items=num_items if name in free_items else 0,
            **kwargs,
        )
        for name in sorted(in_channels)
    }
    try:
        return ModuleDict(encoders)
    except KeyError as error:
        raise InputError(
            f"a modality has a name that PyTorch refuses ({error.args[0]}); "
            "expected a name like 'visual'"
        ) from None
