r"""Names and contracts shared by the whole package.

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

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError

USER = "user"
ITEM = "item"
INTERACTS = (USER, "interacts", ITEM)
REV_INTERACTS = (ITEM, "rev_interacts", USER)
SIMILAR = (ITEM, "similar", ITEM)
"""Edge type of the item graph merged from all modalities."""

COOCCURS = (USER, "cooccurs", USER)
"""Edge type of the graph between users who share items."""


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

    @classmethod
    def of_loader(cls, data: HeteroData) -> "Batch":
        """The triples of a subgraph sampled by
        :class:`~torch_geometric.loader.LinkNeighborLoader` with ``neg_sampling="triplet"``, as
        indices into the subgraph.

        Raises:
            InputError: If it has none.
        """
        user = data[USER].get("src_index")
        pos_item, neg_item = data[ITEM].get("dst_pos_index"), data[ITEM].get("dst_neg_index")
        if user is None or pos_item is None or neg_item is None:
            raise InputError(
                "batch: the subgraph has no 'src_index', 'dst_pos_index' and 'dst_neg_index'; "
                "expected one from a LinkNeighborLoader with neg_sampling='triplet'"
            )
        return cls(user, pos_item, neg_item)


class Objective(NamedTuple):
    """One of several objectives that are minimised in turn in each step.

    Attributes:
        losses: Function of data and batch that returns weighted scalar terms by name.
        parameters: Parameters to optimise.
        optimizer: Class of the optimiser. If not given, it is the run's, or Adam if there are
            options.
        options: Arguments of the optimiser; the learning rate defaults to the run's.
    """

    losses: Callable[[HeteroData, Batch], dict[str, Tensor]]
    parameters: list[Parameter]
    optimizer: type[Optimizer] | None = None
    options: Mapping[str, Any] = {}
