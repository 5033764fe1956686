r"""Names, shapes and contracts that the whole package shares.

Symbols used in docstrings:

====  =====================================================================
U, I  number of users, of items
E     number of training interactions
D     embedding size (``hidden_channels``)
M     set of content modalities, e.g. ``{"visual", "textual"}``
D_m   width of the raw features of modality m
B     number of (user, positive, negative) triples in a batch
K     length of a recommendation list
k     neighbours of an item in a kNN graph
====  =====================================================================
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch_geometric.data import HeteroData

USER = "user"
ITEM = "item"
INTERACTS = (USER, "interacts", ITEM)
REV_INTERACTS = (ITEM, "rev_interacts", USER)
SIMILAR = (ITEM, "similar", ITEM)
"""Edge type of the item graph that is merged from all modalities."""

COOCCURS = (USER, "cooccurs", USER)
"""Edge type of the graph of users who share items."""


def similar(modality: str) -> tuple[str, str, str]:
    """Edge type of the item graph of one modality."""
    return (ITEM, f"similar_{modality}", ITEM)


def modalities(data: HeteroData) -> list[str]:
    """Names of the content modalities in ``data``, sorted."""
    return sorted(key[2:] for key in data[ITEM] if key.startswith("x_"))


class Batch(NamedTuple):
    """BPR triples: each tensor has shape [B] and dtype int64."""

    user: Tensor
    pos_item: Tensor
    neg_item: Tensor


class Objective(NamedTuple):
    """One of several objectives that a step minimises in turn.

    Attributes:
        losses: Weighted scalar terms by name, of the data and a batch.
        parameters: What its optimiser changes.
        optimizer: Class of the optimiser; the run's if there is neither this nor options,
            Adam if there are only options.
        options: Its arguments; the learning rate is the run's if there is none.
    """

    losses: Callable[[HeteroData, Batch], dict[str, Tensor]]
    parameters: list[Parameter]
    optimizer: type[Optimizer] | None = None
    options: Mapping[str, Any] = {}


class RecommenderModel(Protocol):
    """What :func:`mentor_pyg.fit` and :func:`mentor_pyg.evaluation.metrics` ask of a model.

    A model is a :class:`torch.nn.Module` with three more methods. Scores are inner
    products of the embeddings that :meth:`encode` returns.

    Some models need more, which the loop uses if it is there:

    ``start_epoch(data)``
        Called in training mode before every epoch, to draw or rebuild what holds for an
        epoch. What it leaves are buffers. Those that :meth:`encode` needs in evaluation
        belong to the ``state_dict``. All others, and all whose size depends on the number
        of training pairs, don't (``register_buffer(..., persistent=False)``), so that
        weights fit data with other pairs. ``last.pt`` holds both kinds, so that a run can
        be resumed from the middle of an epoch.
    ``objectives()``
        A list of :class:`Objective` that take turns in every step, in place of
        ``losses`` for all parameters; for adversaries.
    ``uses_content``
        Whether :meth:`encode` embeds every item that ``data`` has by its features, even
        if there were fewer at training, so that new ones can be recommended.
    """

    def encode(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Embeddings of all users [U, C] and all items [I, C]; C is the model's own."""
        ...

    def losses(self, data: HeteroData, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms of the objective by name; the loop minimises their sum."""
        ...

    def reset_parameters(self) -> None:
        """Draws all parameters afresh."""
        ...

    # What torch.nn.Module brings along:
    training: bool

    def parameters(self) -> Iterator[Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def named_buffers(self) -> Iterator[tuple[str, Tensor]]: ...
    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
