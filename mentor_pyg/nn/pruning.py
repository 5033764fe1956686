"""Graphs that lose a share of their edges while a model is trained."""

from typing import Any

import torch
from torch import Tensor

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.nn.edges import in_transposed_order
from mentor_pyg.nn.graph import sample_edges, user_item_adjacency


class MaskedGraph(torch.nn.Module):
    r"""A user-item graph of some of its pairs, normalised as if there were no others.

    Which pairs are left is a buffer, so that a run goes on from the middle of an epoch.
    At first all are.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        num_edges: Number of pairs E.

    Shapes:
        ``edge_index`` [2, E], pairs of user and item; ``kept`` bool [E]
    """

    kept: Tensor

    def __init__(self, num_users: int, num_items: int, num_edges: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.register_buffer("kept", torch.ones(num_edges, dtype=torch.bool))
        self._forget()
        self.register_load_state_dict_post_hook(lambda graph, _: graph._forget())

    def reset_parameters(self) -> None:
        self.kept.fill_(True)
        self._forget()

    def keep(self, edge_index: Tensor, kept: Tensor) -> None:
        """Leaves the pairs for which ``kept`` bool [E] is true."""
        self.kept.copy_(kept)
        self._build(edge_index)

    def forward(self, edge_index: Tensor) -> Adjacency:
        """The matrix of the pairs that are left."""
        if self._pairs is not edge_index or self._adjacency is None:
            return self._build(edge_index)
        return self._adjacency

    def _build(self, edge_index: Tensor) -> Adjacency:
        left = edge_index[:, self.kept]
        self._pairs: Tensor | None = edge_index
        self._adjacency: Any = user_item_adjacency(left, self.num_users, self.num_items)
        return self._adjacency

    def _forget(self) -> None:
        """Drops the matrix that was built of other pairs."""
        self._pairs = self._adjacency = None


class PrunedGraph(MaskedGraph):
    r"""A user-item graph without a share p of its pairs, drawn by
    :func:`~mentor_pyg.nn.sample_edges` and normalised anew.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        num_edges: Number of pairs E.
        p: Share that is pruned.

    Shapes:
        ``edge_index`` [2, E], pairs of user and item; ``kept`` bool [E]
    """

    def __init__(self, num_users: int, num_items: int, num_edges: int, p: float) -> None:
        super().__init__(num_users, num_items, num_edges)
        if not 0 <= p < 1:
            raise ValueError(f"'p' must be at least 0 and less than 1 (got {p})")
        self.p = p

    def draw(self, edge_index: Tensor) -> None:
        """Prunes afresh."""
        self.keep(edge_index, sample_edges(edge_index, self.num_users, self.num_items, self.p))


class EdgeDropout(torch.nn.Module):
    r"""Dropout of a matrix: in training every entry becomes zero with probability p, anew at
    every call, and the others grow by 1 / (1 - p). Both directions of a pair are drawn apart.

    Args:
        p: The probability.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"'p' must be at least 0 and less than 1 (got {p})")
        self.p = p

    def forward(self, adj: Adjacency) -> Adjacency:
        if not self.training or self.p == 0:
            return adj
        weight = adj.weight * (torch.rand_like(adj.weight) >= self.p) / (1 - self.p)
        return adj._replace(weight=weight, weight_t=in_transposed_order(adj.col, weight))
