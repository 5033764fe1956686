"""Item embeddings that are gated by content and propagated over an item graph."""

from torch import Tensor
from torch.nn import Linear, Sequential, Sigmoid

from mentor_pyg.nn.encoder import Pair
from mentor_pyg.sparse.adjacency import Adjacency


def sigmoid_gate(channels: int) -> Sequential:
    r"""A gate of all channels, :math:`\sigma(\mathbf{W} \mathbf{x} + \mathbf{b})`."""
    return Sequential(Linear(channels, channels), Sigmoid())


def item_view(item: Tensor, item_adj: Adjacency, adj: Adjacency, num_layers: int) -> Pair:
    r"""Items propagated over the item graph, :math:`\mathbf{S}^L \mathbf{X}`, and from there to
    the users, :math:`\hat{\mathbf{R}} \mathbf{S}^L \mathbf{X}`.

    Args:
        item: Rows of the items [I, D].
        item_adj: The item graph [I, I].
        adj: The normalised user-item graph [U, I].
        num_layers: Number of hops L on the item graph.
    """
    for _ in range(num_layers):
        item = item_adj @ item
    return adj @ item, item
