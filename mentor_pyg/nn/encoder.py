from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import ModuleDict, Parameter
from torch_geometric.nn import MLP
from torch_geometric.nn.inits import reset
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.conv import LightGCNConv, NoisyLightGCNConv
from mentor_pyg.nn.embedding import Nodes
from mentor_pyg.nn.functional import normalize, select
from mentor_pyg.options import Count, NonNegativeInt, checked
from mentor_pyg.sparse.adjacency import Adjacency

Pair: TypeAlias = tuple[Tensor, Tensor]
"""Rows of users and rows of items."""


@checked
class Propagation(torch.nn.Module):
    r"""LightGCN hops over a user-item graph, and a readout over all layers.

    .. math::
        \mathbf{E} = \sum_{l=0}^{L} \mathbf{E}^{(l)}, \qquad
        \mathbf{E}_U^{(l)} = \mathrm{conv}(\mathbf{E}_I^{(l-1)}), \quad
        \mathbf{E}_I^{(l)} = \mathrm{conv}(\mathbf{E}_U^{(l-1)})

    Args:
        num_layers: Number of hops L.
        readout: :obj:`"sum"`, or :obj:`"mean"` to divide by L + 1.
        conv: The convolution. It has no parameters, so all layers and directions share it.

    Shapes:
        ``user`` [U, F], ``item`` [I, F]; ``adj`` [U, I]; result ``user`` [U, F] and ``item``
        [I, F]
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
        user: Tensor,
        item: Tensor,
        adj: Adjacency,
        first_hop: Pair | None = None,
        noise: Sequence[Pair] | None = None,
        rows: Pair | None = None,
    ) -> Pair:
        """Propagates user and item embeddings.

        Args:
            user: Embeddings of the users.
            item: Embeddings of the items.
            adj: The graph from items to users; see
                :func:`~mentor_pyg.nn.user_item_adjacency`.
            first_hop: The first hop without noise, if it is already known.
            noise: Uniform draws for each layer, for noisy convolutions. The draws of the last
                layer are for ``rows`` only.
            rows: Users [n] and items [m] to return; all if not given.

        Raises:
            InputError: If the shapes do not fit.
        """
        if noise is not None and len(noise) != self.num_layers:
            raise InputError(
                f"Propagation: noise of {len(noise)} layers; expected {self.num_layers}"
            )
        if first_hop is not None:
            for name, known, x in zip(("user", "item"), first_hop, (user, item)):
                check_shapes("Propagation", **{f"first_hop {name}": (known, tuple(x.shape))})
        hidden = user, item
        out = select_pair(hidden, rows)
        for layer in range(self.num_layers):
            wanted = rows if layer == self.num_layers - 1 else None
            draws = None if noise is None else noise[layer]
            if layer > 0 or first_hop is None:
                hidden = self._hop(hidden, adj, wanted, draws)
            else:
                hidden = self._perturb(select_pair(first_hop, wanted), draws)
            last = hidden if wanted is not None else select_pair(hidden, rows)
            out = out[0] + last[0], out[1] + last[1]
        if self.readout == "mean":
            return out[0] / (self.num_layers + 1), out[1] / (self.num_layers + 1)
        return out

    def _hop(self, x: Pair, adj: Adjacency, rows: Pair | None, noise: Pair | None) -> Pair:
        users, items = (None, None) if rows is None else rows
        given = [{}, {}] if noise is None else [{"noise": draws} for draws in noise]
        return (
            self.conv((x[1], x[0]), adj, rows=users, **given[0]),
            self.conv((x[0], x[1]), adj.t(), rows=items, **given[1]),
        )

    def _perturb(self, x: Pair, noise: Pair | None) -> Pair:
        if not isinstance(self.conv, NoisyLightGCNConv):
            return x
        draws = (None, None) if noise is None else noise
        return self.conv.perturb(x[0], draws[0]), self.conv.perturb(x[1], draws[1])


def select_pair(x: Pair, rows: Pair | None) -> Pair:
    """Selects rows of users and of items; all if none are given."""
    return x if rows is None else (select(x[0], rows[0]), select(x[1], rows[1]))


@checked
class ModalityEncoder(torch.nn.Module):
    r"""Encodes users and items from one modality of the items' content.

    Item features :math:`\mathbf{X}_m` are projected by an MLP, and users have an embedding
    table :math:`\mathbf{P}_m`. Both are L2-normalised and propagated over the user-item
    graph (Eq. 1-2 of the `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper):

    .. math::
        \mathbf{E}_{U,m}^{(0)} = \frac{\mathbf{P}_m}{\lVert\cdot\rVert}, \quad
        \mathbf{E}_{I,m}^{(0)} = \frac{\mathrm{MLP}_m(\mathbf{X}_m)}{\lVert\cdot\rVert},
        \qquad \mathbf{E}_m = \sum_{l=0}^{L} \mathbf{E}_m^{(l)}

    Args:
        in_channels: Width D_m of the item features.
        num_users: Number of users U.
        hidden_channels: Embedding size D. (default: :obj:`64`)
        num_layers: Number of hops L. (default: :obj:`2`)
        readout: :obj:`"sum"` or :obj:`"mean"` over layers. (default: :obj:`"sum"`)
        mlp_channels: Width of the MLP's hidden layer; 4 D if not given.
        conv: The convolution, :class:`LightGCNConv` or :class:`NoisyLightGCNConv`.
        num_free_items: Set to the number of items I to give items without content a
            trainable embedding. Otherwise they start at zero and receive only messages
            from their users. (default: :obj:`0`)

    Shapes:
        ``x`` [I, D_m]; ``mask`` bool [I], False where an item has no content;
        result ``user`` [U, D] and ``item`` [I, D], or their ``rows``
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

    def initial(self, x: Tensor, mask: OptTensor = None, nodes: Nodes | None = None) -> Pair:
        """Embeddings before propagation, E^(0).

        Args:
            x: Item features.
            mask: False where an item has no content.
            nodes: The graph's users and items; those of training if not given.
        """
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.user.dtype)  # features may be stored in half precision
        if nodes is None:
            nodes = Nodes(self.user.size(0), x.size(0))
        item = self.mlp(x)
        check_mask("ModalityEncoder", x.size(0), mask=mask)
        if mask is not None:
            free = self.free_item
            other = item.new_zeros(()) if free is None else nodes.items(free)
            item = torch.where(mask.unsqueeze(-1), item, other)
        return normalize(nodes.users(self.user)), normalize(item.to(self.user.dtype))

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        mask: OptTensor = None,
        noise: Sequence[Pair] | None = None,
        rows: Pair | None = None,
        nodes: Nodes | None = None,
    ) -> Pair:
        return self.propagation(*self.initial(x, mask, nodes), adj, noise=noise, rows=rows)


def modality_encoders(
    in_channels: Mapping[str, int],
    num_users: int,
    num_items: int,
    free_items: Collection[str] = (),
    **kwargs: Any,
) -> ModuleDict:
    """Creates one :class:`ModalityEncoder` per modality, sorted by name.

    Args:
        in_channels: Width of the item features by modality.
        num_users: Number of users U.
        num_items: Number of items I.
        free_items: Modalities in which items without content get a trainable embedding.
        **kwargs: Further arguments of :class:`ModalityEncoder`.

    Raises:
        InputError: If a modality's name is not a valid name of a PyTorch module.
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
