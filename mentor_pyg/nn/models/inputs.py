"""What models take from the data."""

from collections.abc import Sequence

from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.errors import InputError
from mentor_pyg.typing import ITEM


def content(
    data: HeteroData, names: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, OptTensor]]:
    """Features by modality, and which items have them (None if all)."""
    store = data[ITEM]
    return {m: store[f"x_{m}"] for m in names}, {m: store.get(f"mask_{m}") for m in names}


def item_adjacency(data: HeteroData, edge_type: tuple[str, str, str]) -> Adjacency:
    """The matrix of an item graph.

    Raises:
        InputError: If the data has no such graph.
    """
    if edge_type not in data.edge_types:
        raise InputError(
            f"the data has no item graph '{edge_type[1]}'; expected one made by ItemKNN, "
            "with 'merge' if and only if 'item_graph' is 'merged'"
        )
    return data[edge_type].adjacency
