from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg.errors import InputError
from mentor_pyg.typing import INTERACTS, ITEM, USER, Batch


class NegativeSampler:
    r"""Draws items a user has not interacted with in training, uniformly and exactly.

    No draw is ever rejected: of a user's I - d_u unseen items the r-th one is found
    by a binary search. If the user's sorted items are :math:`c_0 < c_1 < \dots`, then
    :math:`c_j - j` unseen items come before :math:`c_j`, hence the r-th unseen item is
    :math:`r + |\{j : c_j - j \le r\}|`.

    Args:
        edge_index: Training pairs [2, E], without duplicates.
        num_users: U.
        num_items: I.

    Raises:
        InputError: If a user has interacted with every item.
    """

    def __init__(self, edge_index: Tensor, num_users: int, num_items: int) -> None:
        # Sort pairs by user, then item:
        key = (edge_index[0] * num_items + edge_index[1]).sort().values
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
        """One unseen item for each entry of ``user`` [B]; result [B]."""
        uniform = torch.rand(
            user.shape, dtype=torch.float64, device=user.device, generator=generator
        )
        rank = (uniform * (self.num_items - self.degree[user])).long()
        key = user * (self.num_items + 1) + rank
        passed = torch.searchsorted(self.unseen_before, key, right=True) - self.rowptr[user]
        return rank + passed


class BPRSampler:
    """Iterates over an epoch of BPR triples on the device of the data.

    Every training pair comes once, in random order, with one fresh negative.

    Args:
        data: The graph.
        batch_size: Number of triples in a batch; the last one may be smaller.
        generator: Source of randomness, on the device of the data.
    """

    def __init__(
        self, data: HeteroData, batch_size: int, generator: torch.Generator | None = None
    ) -> None:
        self.edge_index = data[INTERACTS].edge_index
        if self.edge_index.numel() == 0:
            raise InputError("the dataset has no training pairs; expected at least one")
        self.batch_size = batch_size
        if generator is None:
            seed = int(torch.randint(2**62, ()))
            generator = torch.Generator(self.edge_index.device).manual_seed(seed)
        self.generator = generator
        self.negatives = NegativeSampler(
            self.edge_index, data[USER].num_nodes, data[ITEM].num_nodes
        )
        self.step = 0
        """Batches of the epoch that have been given out; 0 between epochs."""
        self._start = generator.get_state()
        self._is_resumed = False

    def __len__(self) -> int:
        return -(-self.edge_index.size(1) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._resume() if self._is_resumed else self._begin()
        for index in order.split(self.batch_size)[self.step :]:
            user, item = self.edge_index[:, index]
            batch = Batch(user, item, self.negatives(user, self.generator))
            self.step += 1
            yield batch
        self.step = 0

    def _begin(self) -> Tensor:
        """The order of the pairs in a new epoch."""
        self.step = 0
        self._start = self.generator.get_state()
        return torch.randperm(
            self.edge_index.size(1), device=self.edge_index.device, generator=self.generator
        )

    def _resume(self) -> Tensor:
        """The order of the pairs in the epoch that was left, drawn again."""
        step, now = self.step, self.generator.get_state()
        self.generator.set_state(self._start)
        order = self._begin()
        self.generator.set_state(now)
        self.step, self._is_resumed = step, False
        return order

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, and the randomness to come."""
        return {"step": self.step, "start": self._start, "now": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Lets the next iteration go on where another sampler of the same data was."""
        self.step, self._start = state["step"], state["start"]
        self.generator.set_state(state["now"])
        self._is_resumed = self.step > 0
