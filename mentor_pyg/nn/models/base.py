"""What all models have in common."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn.inits import reset

from mentor_pyg.datasets.check import check_data, check_graph
from mentor_pyg.errors import InputError
from mentor_pyg.nn.models import inputs
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
"""What :meth:`BaseRecommender.from_data` finds in the data, by the names of arguments."""


class BaseRecommender(torch.nn.Module):
    r"""A model that embeds users and items so that inner products are scores.

    A subclass has a constructor, whose annotations say what each option may be, and
    :meth:`forward` and :meth:`losses`; the rest has defaults. :func:`mentor_pyg.fit`,
    :func:`mentor_pyg.evaluate` and :class:`mentor_pyg.Recommender` know models by these
    methods alone.

    Attributes:
        uses_content: Whether :meth:`forward` embeds every item that the data has by its
            features, even if there were fewer at training, so that new ones can be
            recommended.
        whole_graph: Whether :meth:`forward` needs all users and items at once. If not, it
            also takes a part that one of PyG's loaders sampled, and returns its rows.
    """

    uses_content: ClassVar[bool] = False
    whole_graph: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checked(cls)

    @classmethod
    def from_data(cls: type[Model], data: HeteroData, **options: Any) -> Model:
        """A model for the users, items and modalities of ``data``.

        What the constructor asks for as ``num_users``, ``num_items``, ``in_channels`` or
        ``missing`` is taken from there.

        Args:
            data: The graph.
            **options: Further arguments of the constructor.

        Raises:
            InputError: If an option can't be used, or the data lacks what the model needs.
        """
        check_data(data)
        check_graph(data)
        wanted = parameters(cls).keys() - options.keys()
        found = {name: find(data) for name, find in FROM_DATA.items() if name in wanted}
        return cls(**found, **options)

    def reset_parameters(self) -> None:
        """Draws all parameters afresh: those of all layers. A model with parameters of its
        own extends it.

        Raises:
            NotImplementedError: If it has some and doesn't.
        """
        own = [name for name, _ in self.named_parameters(recurse=False)]
        if own and type(self).reset_parameters is BaseRecommender.reset_parameters:
            raise NotImplementedError(
                f"{type(self).__name__} has parameters of its own, {', '.join(own)}; expected "
                "a method 'reset_parameters' that draws them, and calls this one"
            )
        for child in self.children():
            reset(child)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of all users [U, C] and all items [I, C]; C is the model's own."""
        raise NotImplementedError

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms of the objective by name; the loop minimises their sum."""
        raise NotImplementedError

    def start_epoch(self, data: HeteroData) -> None:
        """Called in training mode before every epoch, to draw or rebuild what holds for it.

        What it leaves are buffers. Those that :meth:`forward` needs in evaluation belong to
        the ``state_dict``. All others, and all whose size depends on the number of training
        pairs, don't (``register_buffer(..., persistent=False)``), so that weights fit data
        with other pairs. ``last.pt`` holds both kinds, so that a run can be resumed from the
        middle of an epoch.
        """

    def objectives(self) -> list[Objective]:
        """Objectives that take turns in every step: :meth:`losses` of all parameters, unless
        there is an adversary, or an optimiser of the model's own."""
        return [Objective(self.losses, list(self.parameters()))]

    def score(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores [B] of rows of users and items [B, C], inner products."""
        return (user * item).sum(dim=-1)

    def interactions(self, data: HeteroData) -> Adjacency:
        """The normalised graph from items to users [U, I], whose transpose leads back.

        Raises:
            InputError: If the data has none, or is a part and the model needs the whole.
        """
        if self.whole_graph and inputs.is_sampled(data):
            raise InputError(
                f"{type(self).__name__} needs all users and items at once; "
                "expected the whole graph, not a sampled part"
            )
        return inputs.interactions(data)
