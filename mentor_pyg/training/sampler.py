import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg._util.shapes import check_edge_index
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import Count, checked
from mentor_pyg.typing import INTERACTS, ITEM, USER, Batch


@checked
class NegativeSampler:
    r"""Samples items a user has not interacted with in training, uniformly and exactly.

    Nothing is rejected: the r-th of a user's I - d_u unseen items is found by binary search.
    If the user's sorted items are :math:`c_0 < c_1 < \dots`, then :math:`c_j - j` unseen items
    precede :math:`c_j`, so the r-th unseen item is :math:`r + |\{j : c_j - j \le r\}|`.

    Args:
        edge_index: Training pairs [2, E].
        num_users: Number of users U.
        num_items: Number of items I.

    Raises:
        InputError: If a user has interacted with every item, or a pair is out of range.
    """

    def __init__(self, edge_index: Tensor, num_users: Count, num_items: Count) -> None:
        edge_index = check_edge_index("NegativeSampler", edge_index, (num_users, num_items))
        # Unique pairs, sorted by user and item.
        key = (edge_index[0] * num_items + edge_index[1]).unique()
        user, item = key // num_items, key % num_items
        self.num_items = num_items
        self.rowptr = index2ptr(user, num_users)
        self.degree = self.rowptr.diff()
        if bool((self.degree >= num_items).any()):
            full = int(self.degree.argmax())
            raise InputError(
                f"user {full} has interacted with all {num_items} items in training, "
                "so there is no negative item to contrast; expected at least one"
            )
        rank = torch.arange(user.numel(), device=user.device) - self.rowptr[user]
        self.unseen_before = user * (num_items + 1) + item - rank

    def __call__(self, user: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Samples one unseen item for each entry of ``user`` [B]; result [B]."""
        uniform = torch.rand(
            user.shape, dtype=torch.float64, device=user.device, generator=generator
        )
        rank = (uniform * (self.num_items - self.degree[user])).long()
        key = user * (self.num_items + 1) + rank
        passed = torch.searchsorted(self.unseen_before, key, right=True) - self.rowptr[user]
        return rank + passed


@checked
class BPRSampler:
    """Iterates over an epoch of BPR triples on the device of the data.

    Each training pair occurs once, in random order, with new negatives. Pairs of users who
    have interacted with every item are left out with a warning, since they have no negatives.

    With ``weights``, an epoch samples as many pairs with replacement, in proportion to the
    weights: a pair of weight 2 occurs twice as often as one of weight 1.

    With n negatives, a batch of B pairs has B n triples. Each pair is repeated n times in a
    row with different negatives, so losses over triples average over negatives. In-batch
    contrastive losses also see each pair n times.

    Args:
        data: The graph.
        batch_size: Number of pairs per batch; the last batch may be smaller.
        generator: Source of randomness, on the device of the data.
        num_negatives: Number of negative items n per pair.
        weights: Weights of the training pairs [E], e.g. ``data[INTERACTS].edge_weight``;
            finite and not negative.

    Raises:
        InputError: If there are no training pairs with negatives, or the weights do not fit.
    """

    def __init__(
        self,
        data: HeteroData,
        batch_size: Count,
        generator: torch.Generator | None = None,
        num_negatives: Count = 1,
        weights: Tensor | None = None,
    ) -> None:
        if data[INTERACTS].edge_index.numel() == 0:
            raise InputError("the dataset has no training pairs; expected at least one")
        self.edge_index, kept = _with_negatives(data)
        self.batch_size, self.num_negatives = batch_size, num_negatives
        count = data[INTERACTS].edge_index.size(1)
        self._bounds = None if weights is None else _bounds(weights, count, kept)
        if generator is None:
            seed = int(torch.randint(2**62, ()))
            generator = torch.Generator(self.edge_index.device).manual_seed(seed)
        self.generator = generator
        self.negatives = NegativeSampler(
            self.edge_index, data[USER].num_nodes, data[ITEM].num_nodes
        )
        self.step = 0
        """Number of batches of the epoch so far; 0 between epochs."""
        self._start = generator.get_state()
        self._is_resumed = False

    def __len__(self) -> int:
        return -(-self.edge_index.size(1) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._resume() if self._is_resumed else self._begin()
        for index in order.split(self.batch_size)[self.step :]:
            user, item = self.edge_index[:, index]
            if self.num_negatives > 1:
                user = user.repeat_interleave(self.num_negatives)
                item = item.repeat_interleave(self.num_negatives)
            batch = Batch(user, item, self.negatives(user, self.generator))
            self.step += 1
            yield batch
        self.step = 0

    def _begin(self) -> Tensor:
        self.step = 0
        self._start = self.generator.get_state()
        count, device = self.edge_index.size(1), self.edge_index.device
        if self._bounds is None:
            return torch.randperm(count, device=device, generator=self.generator)
        drawn = torch.rand(count, dtype=torch.float64, device=device, generator=self.generator)
        total = self._bounds[-1]
        largest = torch.nextafter(total, torch.zeros_like(total))  # products may round up
        # Pairs of weight zero have empty intervals, which are never found.
        return torch.searchsorted(self._bounds, (drawn * total).minimum(largest), right=True)

    def _resume(self) -> Tensor:
        """Order of the pairs in the interrupted epoch, sampled again."""
        step, now = self.step, self.generator.get_state()
        self.generator.set_state(self._start)
        order = self._begin()
        self.generator.set_state(now)
        self.step, self._is_resumed = step, False
        return order

    def state_dict(self) -> dict[str, Any]:
        """Position in the epoch, and states of the generator."""
        return {"step": self.step, "start": self._start, "now": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Makes the next iteration continue that of another sampler of the same data."""
        self.step, self._start = state["step"], state["start"]
        self.generator.set_state(state["now"])
        self._is_resumed = self.step > 0


def _bounds(weights: Tensor, num_pairs: int, kept: Tensor) -> Tensor:
    """Cumulative weights of the kept pairs [E'], in float64."""
    where = "BPRSampler.weights"
    if weights.shape != (num_pairs,):
        raise InputError(
            f"{where}: have shape {list(weights.shape)}; expected [{num_pairs}], one for each "
            "training pair"
        )
    weights = weights.to(kept.device, torch.float64)
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise InputError(f"{where}: are negative or not finite; expected finite numbers from 0")
    bounds = weights[kept].cumsum(0)
    if not 0 < float(bounds[-1]) < math.inf:
        raise InputError(f"{where}: sum to {float(bounds[-1])}; expected more than 0 and finite")
    return bounds


def _with_negatives(data: HeteroData) -> tuple[Tensor, Tensor]:
    """Training pairs [2, E'] of users with an unseen item, and the mask that selects them."""
    pairs, num_items = data[INTERACTS].edge_index, data[ITEM].num_nodes
    pairs = check_edge_index("training pairs", pairs, (data[USER].num_nodes, num_items))
    full = pairs[0].bincount(minlength=data[USER].num_nodes) >= num_items
    if full.any():  # or there are duplicate pairs
        users = (pairs[0] * num_items + pairs[1]).unique() // num_items
        full = users.bincount(minlength=data[USER].num_nodes) >= num_items
    rows = full.nonzero().flatten().tolist()
    kept = ~full[pairs[0]]
    if not rows:
        return pairs, kept
    left = pairs[:, kept]
    ids = data[USER].get("original_id", range(full.numel()))
    named = ", ".join(shown(str(_plain(ids[row]))) for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    found = f"user {named}{more}: has interacted with all {num_items} items in training"
    if not left.numel():
        raise InputError(f"{found}, and so have all others; expected at least one unseen item")
    warnings.warn(
        f"{found}, so there is no unseen item to contrast; "
        f"{pairs.size(1) - left.size(1)} pairs are left out of the loss",
        stacklevel=4,  # past the constructor and its check of arguments
    )
    return left, kept


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor) else label
