"""The subject of contracts, and helpers to check it."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, wraps
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn.models.solved import SolvedRecommender
from mentor_pyg.training.config import TrainConfig
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.transforms import ItemKNN, LightGCNNorm, UserCooccurrence
from mentor_pyg.typing import ITEM, USER, Batch

QUICK = TrainConfig(epochs=2, batch_size=64, lr=1e-2)
"""Short training for contracts that do not depend on what is learned."""

Transform = Callable[[HeteroData], HeteroData]


def add_graphs(data: HeteroData) -> HeteroData:
    """Adds all graphs that the library's models use."""
    knn, users = ItemKNN(k=5, cache=False), UserCooccurrence(k=data[USER].num_nodes)
    return LightGCNNorm()(users(knn(data)))


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        cls: Class of the model.
        raw: Data without graphs.
        transform: Adds the graphs that the model needs.
        options: Options of the model.
    """

    cls: Any
    raw: HeteroData
    transform: Transform
    options: Mapping[str, Any]

    @cached_property
    def data(self) -> HeteroData:
        """The data with graphs, which contracts do not change."""
        if self.raw is tiny_data():
            return _tiny_with_graphs(self.transform)
        return self.transform(copy(self.raw))

    def on(self, raw: HeteroData) -> "Subject":
        """The same model with other data."""
        return replace(self, raw=raw)

    def build(self, seed: int = 0) -> Any:
        """A model initialised with a seed."""
        torch.manual_seed(seed)
        model = self.cls.from_data(self.data, **self.options)
        model.reset_parameters()
        if self.is_solved:
            all_losses(model, self.data, self.batch())
        return model

    @property
    def is_solved(self) -> bool:
        """Whether the model has no gradient steps."""
        return issubclass(self.cls, SolvedRecommender)

    def batch(self, size: int = 128) -> Batch:
        """A fixed batch of training triples."""
        return next(iter(BPRSampler(self.data, size, torch.Generator().manual_seed(0))))


Contract = Callable[..., None]


def contract(check: Callable[[Subject], None]) -> Contract:
    """Gives a check the arguments of :func:`~mentor_pyg.testing.check_model`, and keeps the
    state of PyTorch's generator."""

    @wraps(check)
    def checked(
        cls: Any,
        data: HeteroData | None = None,
        transform: Transform = add_graphs,
        **options: Any,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            check(Subject(cls, tiny_data() if data is None else data, transform, options))

    return checked


@lru_cache(maxsize=4)
def _tiny_with_graphs(transform: Transform) -> HeteroData:
    return transform(copy(tiny_data()))


@lru_cache(maxsize=4)
def tiny_data(channels: tuple[tuple[str, int], ...] | None = None) -> HeteroData:
    """60 users and 40 items with features of two, or of the given, modalities."""
    if channels is None:
        return SyntheticDataset.tiny()[0]
    return SyntheticDataset.tiny(channels=dict(channels))[0]


def expect(condition: Any, message: str) -> None:
    """Like ``assert``, but not disabled by ``python -O``."""
    if not condition:
        raise AssertionError(message)


def expect_equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], message: str) -> None:
    """Checks that tensors are equal bit for bit, by name; NaN equals NaN."""
    expect(ours.keys() == theirs.keys(), f"{message}; found {sorted(ours)} and {sorted(theirs)}")
    for name, value in ours.items():
        same = torch.allclose(value, theirs[name], rtol=0, atol=0, equal_nan=True)
        expect(same, f"{message}; '{name}' differs")


def all_losses(
    model: Any, data: HeteroData, batch: Batch, compile: Callable[[Any], Any] = lambda f: f
) -> dict[str, Tensor]:
    """Loss terms of all objectives in the first step of an epoch, optionally compiled. A model
    without gradient steps is solved and has none."""
    model.start_epoch(data)
    if isinstance(model, SolvedRecommender):
        with torch.no_grad():
            model.solve(data)
    return {
        name: x for o in model.objectives() for name, x in compile(o.losses)(data, batch).items()
    }


def backward(losses: Mapping[str, Tensor]) -> None:
    if losses:
        torch.stack(list(losses.values())).sum().backward()


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def embeddings(model: Any, data: HeteroData) -> dict[str, Tensor]:
    """Dense embeddings of users and items in evaluation mode; restores the model's mode."""
    training = model.training
    model.eval()
    with torch.no_grad():
        user, item = model(data)
    model.train(training)
    return {k: x.to_dense() if x.is_sparse else x for k, x in ((USER, user), (ITEM, item))}


def snapshot(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.detach().clone() for name, x in tensors.items()}
