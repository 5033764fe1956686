"""The base class of all models."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn.inits import reset

from mentor_pyg.datasets.check import check_data, check_graph
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.loss import weighted
from mentor_pyg.nn.models import inputs
from mentor_pyg.nn.ranking import RankingLoss
from mentor_pyg.options import checked, parameters
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import ITEM, USER, Batch, Objective

Model = TypeVar("Model", bound="BaseRecommender")

FROM_DATA: dict[str, Callable[[HeteroData], Any]] = {
    "num_users": lambda data: data[USER].num_nodes,
    "num_items": lambda data: data[ITEM].num_nodes,
    "in_channels": inputs.content_widths,
    "missing": inputs.incomplete,
}
"""Constructor arguments that :meth:`BaseRecommender.from_data` takes from the data."""


class BaseRecommender(torch.nn.Module):
    r"""Base class of models that embed users and items, and score pairs by inner products.

    A subclass needs a constructor, whose annotations give the valid values of each option, and
    :meth:`forward` and :meth:`losses`. All other methods have defaults.
    :func:`mentor_pyg.fit`, :func:`mentor_pyg.evaluate` and :class:`mentor_pyg.Recommender`
    use only these methods.

    Attributes:
        ranking: The ranking loss, which can be replaced; None if the model has its own loss.
        uses_content: Whether :meth:`forward` embeds all items of the data from their features,
            including items added after training, so that new items can be recommended.
        whole_graph: Whether :meth:`forward` needs all users and items. If not, it also accepts
            a subgraph sampled by one of PyG's loaders, and returns embeddings of its nodes.
    """

    uses_content: ClassVar[bool] = False
    whole_graph: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checked(cls)

    def __init__(self) -> None:
        super().__init__()
        self.ranking: RankingLoss | None = None

    @classmethod
    def from_data(cls: type[Model], data: HeteroData, **options: Any) -> Model:
        """Creates a model for the users, items and modalities of ``data``.

        The constructor arguments ``num_users``, ``num_items``, ``in_channels`` and ``missing``
        are taken from the data.

        Args:
            data: The graph.
            **options: Further arguments of the constructor.

        Raises:
            InputError: If an option is invalid, or the data lacks what the model needs.
        """
        check_data(data)
        check_graph(data)
        wanted = parameters(cls).keys() - options.keys()
        found = {name: find(data) for name, find in FROM_DATA.items() if name in wanted}
        return cls(**found, **options)

    def reset_parameters(self) -> None:
        """Resets the parameters of all layers. A model with parameters of its own must
        extend this method.

        Raises:
            NotImplementedError: If it has such parameters and does not extend the method.
        """
        own = [name for name, _ in self.named_parameters(recurse=False)]
        if own and type(self).reset_parameters is BaseRecommender.reset_parameters:
            raise NotImplementedError(
                f"{type(self).__name__} has parameters of its own, {', '.join(own)}; expected "
                "a method 'reset_parameters' that resets them and calls this one"
            )
        for child in self.children():
            reset(child)

    def initialize(self, data: HeteroData) -> None:
        """Called once before training, after :meth:`reset_parameters`, to initialise
        parameters from the data. By default there is nothing to do."""

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of all users [U, C] and all items [I, C]; the width C is up to the model.
        They may be sparse (COO), those of items only if those of users are."""
        raise NotImplementedError

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar loss terms by name; training minimises their sum."""
        raise NotImplementedError

    def start_epoch(self, data: HeteroData) -> None:
        """Called in training mode before each epoch, e.g. to resample or rebuild a graph.

        State for the epoch is stored in buffers. Buffers that :meth:`forward` needs in
        evaluation belong to the ``state_dict``. All others, and those whose size depends on
        the number of training pairs, do not (``register_buffer(..., persistent=False)``), so
        that weights can be loaded for data with other pairs. ``last.pt`` holds both kinds, so
        that a run can be resumed within an epoch.
        """

    def objectives(self) -> list[Objective]:
        """Objectives to minimise in turn in each step. By default this is :meth:`losses` over
        all parameters; override it for adversarial training or a custom optimiser."""
        return [Objective(self.losses, list(self.parameters()))]

    def objective(
        self,
        user: Tensor,
        item: Tensor,
        batch: Batch,
        **terms: tuple[float, Callable[[], Tensor]],
    ) -> dict[str, Tensor]:
        """The ranking loss of a batch by its name, and further terms.

        Args:
            user: Embeddings of all users [U, C].
            item: Embeddings of all items [I, C].
            batch: The triples.
            **terms: As for :func:`~mentor_pyg.nn.weighted`.
        """
        ranking = self.ranking
        assert ranking is not None
        return weighted(**{ranking.name: (1, lambda: ranking(user, item, batch))}, **terms)

    def embed(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of users and items whose inner products are the scores: those of
        :meth:`forward`, L2-normalised if the ranking loss uses cosines."""
        user, item = self(data)
        return (user, item) if self.ranking is None else self.ranking.embed(user, item)

    def fold_in(self, item: Tensor, pairs: Tensor, num_users: int) -> Tensor:
        r"""Embeds new users by the items they like, without further training.

        .. math::
            \mathbf{z}_u = \frac{1}{|\mathcal{N}_u|} \sum_{i \in \mathcal{N}_u} \mathbf{z}_i

        A trained user's embedding is its own vector plus messages from its items. This is the
        latter, with the items' final embeddings instead of those of each layer. Dividing by
        :math:`\sqrt{|\mathcal{N}_i|}` as well, as in LightGCN, would remove the popularity
        information of embeddings, and does not improve the ranking for held-out users
        (``benchmarks/cold_start.py``). Models that embed users otherwise override this method.

        Args:
            item: Item embeddings [I, C].
            pairs: Users and their items [2, E].
            num_users: Number of users n, each with at least one item.

        Returns:
            Embeddings [n, C], whose inner products with those of items are the scores.
        """
        rows, column = pairs
        total = item.new_zeros(num_users, item.size(1)).index_add_(0, rows, item[column])
        return total / rows.bincount(minlength=num_users).unsqueeze(1)

    def similar(self, item: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of query items [n, C] and of all items [I, C], whose inner products are
        similarities; by default cosines.

        Args:
            item: Item embeddings [I, C].
            rows: The query items [n].
        """
        unit = normalize(item)
        return unit[rows], unit

    def score(self, user: Tensor, item: Tensor) -> Tensor:
        """Inner products [B] of pairs of user and item rows [B, C] of :meth:`embed`."""
        return (user * item).sum(dim=-1)

    def interactions(self, data: HeteroData) -> Adjacency:
        """The normalised graph [U, I] from items to users; its transpose leads back.

        Raises:
            InputError: If the data has none, or is sampled and the model needs the whole graph.
        """
        ranking = self.ranking if self.training else None
        for part in (self, ranking):
            if part is not None and part.whole_graph and inputs.is_sampled(data):
                raise InputError(
                    f"{type(part).__name__} needs all users and items at once; "
                    "expected the whole graph, not a sampled part"
                )
        return inputs.interactions(data)
