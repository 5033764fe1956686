from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter, ParameterList
from torch_geometric.typing import OptTensor

from mentor_pyg.nn.encoder import Pair
from mentor_pyg.nn.functional import pad_rows, zero_missing
from mentor_pyg.nn.projection import ModalityProjections
from mentor_pyg.nn.random import STEPS, dropout, uniform
from mentor_pyg.options import Count, NonNegativeInt, Positive, Probability, Widths, checked
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.sparse.edges import neighbor_sum


@checked
class LowRankHypergraph(torch.nn.Module):
    r"""A hypergraph whose node-hyperedge weights are learned from node embeddings,
    Eq. 3-6 of the `"HCCF" <https://arxiv.org/abs/2204.12200>`_ paper.

    .. math::
        \mathbf{H} = \mathbf{E}^{(0)} \mathbf{W}, \qquad
        \boldsymbol{\Lambda}^{(0)} = \sigma(\mathbf{H}^{\top} \mathbf{E}), \qquad
        \boldsymbol{\Lambda}^{(c)} = \sigma(\mathbf{V}_c \boldsymbol{\Lambda}^{(c - 1)})
        + \boldsymbol{\Lambda}^{(c - 1)}, \qquad
        \boldsymbol{\Gamma} = \sigma(\mathbf{H} \boldsymbol{\Lambda}^{(C)})

    with :math:`\sigma` a LeakyReLU. In training, dropout is applied to H.

    Args:
        channels: Embedding size D.
        num_hyperedges: Number of hyperedges K.
        num_levels: Number of mappings C between hyperedges.
        dropout: Dropout ratio of H.
        negative_slope: Negative slope of the LeakyReLU.

    Shapes:
        ``x``, ``start`` [N, D]; ``member`` [N, K]; result [N, D]
    """

    def __init__(
        self,
        channels: Count,
        num_hyperedges: Count,
        num_levels: NonNegativeInt = 3,
        dropout: Probability = 0.5,
        negative_slope: float = 0.5,
    ) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(channels, num_hyperedges))
        self.levels = ParameterList(
            torch.empty(num_hyperedges, num_hyperedges) for _ in range(num_levels)
        )
        self.dropout, self.negative_slope = dropout, negative_slope
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            torch.nn.init.xavier_uniform_(parameter)

    def members(self, start: Tensor) -> Tensor:
        """Node-hyperedge weights H [N, K] for node embeddings ``start``."""
        return start @ self.weight

    def forward(self, x: Tensor, member: Tensor) -> Tensor:
        """Propagates x from nodes to hyperedges and back."""
        member = dropout(member, self.dropout, self.training)
        edge = F.leaky_relu(member.t() @ x, self.negative_slope)
        for level in self.levels:
            edge = F.leaky_relu(level @ edge, self.negative_slope) + edge
        return F.leaky_relu(member @ edge, self.negative_slope)


@checked
class ContentHypergraph(torch.nn.Module):
    r"""Hypergraphs whose hyperedges are learned attributes of the items' raw content, one per
    modality, of the `"LGMRec" <https://arxiv.org/abs/2312.16400>`_ paper.

    An item belongs to the hyperedges as its content does, and a user as their items do:

    .. math::
        \mathbf{H}^m_I = \mathrm{softmax} \left( \frac{\mathbf{X}^m \mathbf{V}_m^{\top}
        + \mathbf{N}}{\tau} \right), \qquad
        \mathbf{H}^m_U = \mathrm{softmax} \left( \frac{\mathbf{A} \mathbf{X}^m
        \mathbf{V}_m^{\top} + \mathbf{N}}{\tau} \right), \qquad
        \mathbf{N} = \log \frac{\boldsymbol{\Delta}}{1 - \boldsymbol{\Delta}}, \quad
        \boldsymbol{\Delta} \sim \mathcal{U}(0, 1)

    with the pairs :math:`\mathbf{A}` without weights. Items send their embeddings to the
    hyperedges, and receive those of the hyperedges, as the users do:

    .. math::
        \mathbf{E}^{m, h + 1}_I = \mathbf{H}^m_I (\mathbf{H}^m_I)^{\top} \mathbf{E}^{m, h}_I,
        \qquad
        \mathbf{E}^{m, h + 1}_U = \mathbf{H}^m_U (\mathbf{H}^m_I)^{\top} \mathbf{E}^{m, h}_I

    The noise :math:`\mathbf{N}` and dropout of :math:`\mathbf{H}` are for training only. Items
    that lack a modality belong to none of its hyperedges.

    Args:
        in_channels: Width D_m of the raw features by modality.
        num_hyperedges: Number of hyperedges A of a modality.
        num_layers: Number of hops.
        temperature: :math:`\tau`.
        dropout: Dropout ratio of :math:`\mathbf{H}`.

    Shapes:
        ``x`` [I, D_m] by modality; ``mask`` bool [I], False where an item has no content, or
        None; ``adj`` the user-item graph [U, I], whose weights are ignored; ``item`` [n, D] of
        the first n items, since those added later send nothing; results [U, D] and [I, D] by
        modality
    """

    def __init__(
        self,
        in_channels: Widths,
        num_hyperedges: Count,
        num_layers: Count = 1,
        temperature: Positive = 0.2,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        self.attributes = ModalityProjections(in_channels, num_hyperedges, bias=False)
        self.num_layers, self.temperature, self.dropout = num_layers, temperature, dropout

    def reset_parameters(self) -> None:
        self.attributes.reset_parameters()

    def forward(
        self,
        x: Mapping[str, Tensor],
        mask: Mapping[str, OptTensor],
        adj: Adjacency,
        item: Tensor,
    ) -> dict[str, Pair]:
        results = {}
        for m, logit in self.attributes(x, mask).items():
            user_member = self._members(neighbor_sum(logit, adj))
            item_member = zero_missing(self._members(logit), mask[m])
            senders, sent = item_member[: item.size(0)], item
            for _ in range(self.num_layers):
                edge = senders.t() @ sent
                sent = senders @ edge
            results[m] = user_member @ edge, item_member @ edge
        return results

    def _members(self, logit: Tensor) -> Tensor:
        if self.training:
            logit = logit + uniform(logit.shape, logit).logit(eps=0.5 / STEPS)
        member = (logit / self.temperature).softmax(dim=1)
        return dropout(member, self.dropout, self.training)


def user_hypergraph_hops(user: Tensor, adj: Adjacency, num_layers: int) -> Tensor:
    r"""Propagates users [U, D] to all others with whom they share items, each item being a
    hyperedge of its users, as in the `"MMHCL" <https://arxiv.org/abs/2504.16576>`_ paper.

    .. math::
        (\mathbf{D}^{-1} \mathbf{C})^L \mathbf{X}, \qquad
        \mathbf{C} = \mathbf{A} \mathbf{A}^{\top} - \mathrm{diag}(\mathbf{A}
        \mathbf{A}^{\top}), \qquad \mathbf{D} = \mathrm{diag}(\mathbf{C} \mathbf{1})

    The matrix :math:`\mathbf{C}` is never built. Users who share no item get zeros.

    Args:
        user: Rows of the users.
        adj: The user-item graph :math:`\mathbf{A}` [U, I], whose weights are ignored.
        num_layers: Number of hops L.
    """
    count = adj.rowptr.diff().unsqueeze(1).to(user.dtype)
    total = _there_and_back(torch.ones_like(count), adj) - count
    # A difference of equal numbers is not exactly zero, and would be normalised later.
    scale = torch.where(total > 0, 1 / total.clamp(min=1), 0)
    for _ in range(num_layers):
        user = scale * (_there_and_back(user, adj) - count * user)
    return user


def item_hypergraph_hops(item: Tensor, graphs: Sequence[Adjacency], num_layers: int) -> Tensor:
    r"""Propagates items over the hypergraph in which each item and its neighbours in a modality
    are a hyperedge, as in the `"MMHCL" <https://arxiv.org/abs/2504.16576>`_ paper.

    .. math::
        (\mathbf{D}^{-1/2} \mathbf{C} \mathbf{D}^{-1/2})^L \mathbf{X}, \qquad
        \mathbf{C} = \sum_m \mathbf{S}_m \mathbf{S}_m^{\top}, \qquad
        \mathbf{D} = \mathrm{diag}(\mathbf{C} \mathbf{1})

    The matrix :math:`\mathbf{C}` is never built. Items without neighbours get zeros.

    Args:
        item: Rows of the first n items [n, D]. Those added later only receive.
        graphs: The item graphs :math:`\mathbf{S}_m` [I, I], whose weights are ignored.
        num_layers: Number of hops L.

    Returns:
        Rows of all items [I, D].
    """
    num_known, num_items = item.size(0), graphs[0].num_targets

    def hop(x: Tensor) -> Tensor:
        x = pad_rows(x[:num_known], num_items)
        return torch.stack([_there_and_back(x, graph) for graph in graphs]).sum(dim=0)

    total = hop(item.new_ones(num_known, 1))
    root = torch.where(total > 0, total.clamp(min=1).rsqrt(), 0)
    item = pad_rows(item, num_items)
    for _ in range(num_layers):
        item = root * hop(root * item)
    return item


def _there_and_back(x: Tensor, adj: Adjacency) -> Tensor:
    """Sums over the members of hyperedges, and over the hyperedges of each member."""
    return neighbor_sum(neighbor_sum(x, adj.t()), adj)
