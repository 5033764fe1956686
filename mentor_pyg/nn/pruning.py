"""User-item graphs without a share of their edges, for training."""

from typing import Any

import torch
from torch import Tensor

from mentor_pyg._util.shapes import check_edge_index, check_mask
from mentor_pyg.nn.graph import sample_edges, user_item_adjacency
from mentor_pyg.options import Count, Probability, checked
from mentor_pyg.sparse.adjacency import Adjacency, check_adjacency


@checked
class MaskedGraph(torch.nn.Module):
    r"""A user-item graph of a subset of the pairs, normalised after the selection.

    The subset is sampled each epoch; at first it holds all pairs. It is a buffer outside the
    ``state_dict``, so that weights can be loaded for data with other pairs. Checkpoints of a
    run hold it nevertheless (see ``start_epoch`` of :class:`~mentor_pyg.BaseRecommender`).

    Args:
        num_users: Number of users U.
        num_items: Number of items I.

    Shapes:
        ``edge_index`` [2, E], pairs of user and item; ``kept`` bool [E], or None for all pairs;
        result [U, I]
    """

    kept: Tensor | None

    def __init__(self, num_users: Count, num_items: Count) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.register_buffer("kept", None, persistent=False)
        self._built: Any = None

    def reset_parameters(self) -> None:
        self.kept = None

    def keep(self, edge_index: Tensor, kept: Tensor) -> None:
        """Keeps the pairs where ``kept`` bool [E] is True, until the next call.

        Raises:
            InputError: If ``kept`` is not bool, or has another number of pairs.
        """
        check_edge_index("MaskedGraph", edge_index)
        check_mask("MaskedGraph", edge_index.size(1), kept=kept)
        self.kept = kept
        self.forward(edge_index)

    def forward(self, edge_index: Tensor) -> Adjacency:
        """The normalised matrix of the kept pairs, cached for the same tensors.

        Raises:
            ValueError: If the number of pairs differs from that at sampling.
        """
        built, kept = self._built, self.kept
        if built is None or built[0] is not edge_index or built[1] is not kept:
            if kept is not None and kept.numel() != edge_index.size(1):
                raise ValueError(
                    f"'edge_index' must have the {kept.numel()} pairs that were drawn from "
                    f"(got {edge_index.size(1)}); draw again for other pairs"
                )
            left = edge_index if kept is None else edge_index[:, kept]
            adjacency = user_item_adjacency(left, self.num_users, self.num_items)
            built = self._built = (edge_index, kept, adjacency)
        return built[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the matrix, which is rebuilt on demand."""
        return self.__dict__ | {"_built": None}


@checked
class PrunedGraph(MaskedGraph):
    r"""A user-item graph from which :func:`~mentor_pyg.nn.sample_edges` prunes a share p of
    the pairs.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        p: Share of pairs to prune.

    Shapes:
        ``edge_index`` [2, E], pairs of user and item; ``kept`` bool [E], or None for all pairs
    """

    def __init__(self, num_users: Count, num_items: Count, p: Probability) -> None:
        super().__init__(num_users, num_items)
        self.p = p

    def draw(self, edge_index: Tensor) -> None:
        """Resamples the pruned graph."""
        self.keep(edge_index, sample_edges(edge_index, self.num_users, self.num_items, self.p))


@checked
class EdgeDropout(torch.nn.Module):
    r"""Dropout on the entries of a matrix, sampled anew at each call.

    Args:
        p: Dropout ratio.
    """

    def __init__(self, p: Probability) -> None:
        super().__init__()
        self.p = p

    def forward(self, adj: Adjacency) -> Adjacency:
        check_adjacency("EdgeDropout", adj)
        if not self.training or self.p == 0:
            return adj
        weight = adj.weight * (torch.rand_like(adj.weight) >= self.p) / (1 - self.p)
        return adj.with_weight(weight)
