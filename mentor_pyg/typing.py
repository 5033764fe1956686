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

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torch.nn import Parameter
from torch_geometric.data import HeteroData

USER = "user"
ITEM = "item"
INTERACTS = (USER, "interacts", ITEM)
REV_INTERACTS = (ITEM, "rev_interacts", USER)
SIMILAR = (ITEM, "similar", ITEM)
"""Edge type of the item graph that is merged from all modalities."""

SPLITS = ("train", "val", "test")


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


class Recommender(Protocol):
    """What :func:`mentor_pyg.fit` and :func:`mentor_pyg.evaluation` ask of a model.

    A model is a :class:`torch.nn.Module` with three more methods. Scores are inner
    products of the embeddings that :meth:`encode` returns.
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
    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
