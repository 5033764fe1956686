"""What models take from the data."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import OptTensor

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, normalize, select
from mentor_pyg.typing import COOCCURS, ITEM, SIMILAR, USER, modalities, similar


def sizes(data: HeteroData) -> dict[str, Any]:
    """Numbers of users and items, by the names that models' arguments have."""
    return {"num_users": data[USER].num_nodes, "num_items": data[ITEM].num_nodes}


def content_sizes(data: HeteroData) -> dict[str, Any]:
    """Widths of the features, likewise."""
    return {"in_channels": {m: data[ITEM][f"x_{m}"].size(1) for m in modalities(data)}}


def incomplete(data: HeteroData) -> list[str]:
    """Modalities that some items lack."""
    return [m for m in modalities(data) if f"mask_{m}" in data[ITEM]]


def content(
    data: HeteroData, names: Sequence[str], rows: OptTensor = None
) -> tuple[dict[str, Tensor], dict[str, OptTensor]]:
    """Features by modality, and which items have them (None if all); of some items [n], or
    of all."""
    store = data[ITEM]
    x = {m: select(store[f"x_{m}"], rows) for m in names}
    masks = {m: store.get(f"mask_{m}") for m in names}
    return x, {m: None if mask is None else select(mask, rows) for m, mask in masks.items()}


def item_adjacency(data: HeteroData, edge_type: tuple[str, str, str]) -> Adjacency:
    """The matrix of an item graph.

    Raises:
        InputError: If the data has no such graph.
    """
    if edge_type not in data.edge_types:
        raise InputError(
            f"the data has no item graph '{edge_type[1]}'; expected one made by ItemKNN, with "
            "'merge' for one graph of all modalities, without for one of each"
        )
    return data[edge_type].adjacency


def item_graphs(data: HeteroData, names: Sequence[str]) -> list[Adjacency]:
    """The item graphs of these modalities, or the merged one alone if there is one."""
    if SIMILAR in data.edge_types:
        return [data[SIMILAR].adjacency]
    return [item_adjacency(data, similar(m)) for m in names]


def hear_neighbors(x: Tensor, data: HeteroData, names: Sequence[str], num_layers: int) -> Tensor:
    r"""What items hear over their graphs :math:`\mathbf{S}_m` in some hops [I, F],
    :math:`(\frac{1}{M} \sum_m \mathbf{S}_m)^L \mathbf{X}`."""
    graphs = item_graphs(data, names)
    for _ in range(num_layers):
        x = torch.stack([graph.matmul(x) for graph in graphs]).mean(dim=0)
    return x


def user_adjacency(data: HeteroData) -> Adjacency:
    """The matrix of the user graph.

    Raises:
        InputError: If the data has none.
    """
    if COOCCURS not in data.edge_types:
        raise InputError(
            f"the data has no user graph '{COOCCURS[1]}'; expected one made by UserCooccurrence"
        )
    return data[COOCCURS].adjacency


def unit_content(
    data: HeteroData, names: Sequence[str], rows: OptTensor = None
) -> tuple[dict[str, Tensor], dict[str, OptTensor]]:
    """Likewise with features of length one."""
    x, mask = content(data, names, rows)
    return {m: normalize(at_least_float(value)) for m, value in x.items()}, mask
