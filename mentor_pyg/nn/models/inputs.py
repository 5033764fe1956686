"""Access to the data that models read, with checks.

Values are checked once, when a model is built; in training, only shapes are checked.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType, OptTensor
from torch_geometric.utils import coalesce

from mentor_pyg.errors import InputError
from mentor_pyg.nn.embedding import Nodes
from mentor_pyg.nn.functional import at_least_float, normalize, select, zero_missing
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.typing import (
    COOCCURS,
    INTERACTS,
    ITEM,
    REV_INTERACTS,
    SIMILAR,
    USER,
    modalities,
    similar,
)

_cleaned, _parts = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()


def nodes(data: HeteroData) -> Nodes:
    """The users and items of a graph; ``n_id`` holds their indices in a sampled graph."""
    user, item = data[USER], data[ITEM]
    return Nodes(user.num_nodes, item.num_nodes, user.get("n_id"), item.get("n_id"))


def content_widths(data: HeteroData) -> dict[str, int]:
    """Feature widths by modality; raises an InputError if features or masks are invalid."""
    names = modalities(data)
    if not names:
        raise InputError(
            "data: the items have no features; expected at least one modality, 'x_<name>'"
        )
    for name in names:
        x, mask = _features(data, name)
        finite = x.isfinite().all(dim=1)
        broken = ~finite if mask is None else mask & ~finite
        if broken.any():
            raise InputError(
                f"data: row {int(broken.nonzero()[0])} of 'x_{name}' isn't finite "
                f"({int(broken.sum())} rows in all); expected finite features, and "
                f"'mask_{name}' false where there are none"
            )
    return {m: data[ITEM][f"x_{m}"].size(1) for m in names}


def incomplete(data: HeteroData) -> list[str]:
    """Modalities that some items lack."""
    return [m for m in modalities(data) if f"mask_{m}" in data[ITEM]]


def content(
    data: HeteroData, names: Sequence[str], rows: OptTensor = None
) -> tuple[dict[str, Tensor], dict[str, OptTensor]]:
    """Features and masks by modality, for the given items [n] or all, after checking their shapes.
    A mask is None if no item lacks the modality."""
    x, masks = {}, {}
    for name in names:
        features, mask = _features(data, name)
        if mask is not None:
            features, mask = _without_missing(features, mask), select(mask, rows)
        x[name], masks[name] = select(features, rows), mask
    return x, masks


def _features(data: HeteroData, name: str) -> tuple[Tensor, OptTensor]:
    store, num_items = data[ITEM], data[ITEM].num_nodes
    x, mask = store.get(f"x_{name}"), store.get(f"mask_{name}")
    if x is None:
        raise InputError(
            f"data: the items have no 'x_{name}'; expected the modalities of the training, "
            f"found {', '.join(modalities(data)) or 'none'}"
        )
    if x.dim() != 2 or x.size(0) != num_items or not x.is_floating_point():
        raise InputError(
            f"data: 'x_{name}' has shape {list(x.shape)} and dtype {x.dtype}; expected "
            f"floating-point numbers [{num_items}, *], a row for each item"
        )
    if mask is not None and (mask.shape != (num_items,) or mask.dtype != torch.bool):
        raise InputError(
            f"data: 'mask_{name}' has shape {list(mask.shape)} and dtype {mask.dtype}; "
            f"expected bool [{num_items}], an entry for each item"
        )
    return x, mask


def _without_missing(x: Tensor, mask: Tensor) -> Tensor:
    """Zeros masked rows if any value is not finite, since its gradient would be NaN even with
    a factor of zero. The result is cached for the same tensors."""
    if torch.compiler.is_compiling():
        return zero_missing(x, mask)
    version = (x._version, mask, mask._version)
    known, cleaned = _cleaned.get(x, (None, None))
    if known is None or any(a is not b for a, b in zip(known, version)):
        is_clean = bool(x.isfinite().all())
        cleaned = None if is_clean else zero_missing(x, mask)
        _cleaned[x] = (version, cleaned)
    return x if cleaned is None else cleaned


def interactions(data: HeteroData) -> Adjacency:
    """The normalised graph from items to users [U, I], if it belongs to the data."""
    return _graph(data, INTERACTS, "norm", "the data", "LightGCNNorm")


def item_adjacency(data: HeteroData, edge_type: EdgeType) -> Adjacency:
    """The matrix of an item graph, if it belongs to the data."""
    if edge_type not in data.edge_types:
        raise InputError(
            f"the data has no item graph '{edge_type[1]}'; expected one made by ItemKNN: with "
            "'merge', one graph for all modalities; otherwise one for each"
        )
    return _graph(data, edge_type, "edge_weight", f"the item graph '{edge_type[1]}'", "ItemKNN")


def item_graphs(data: HeteroData, names: Sequence[str]) -> list[Adjacency]:
    """The item graphs of these modalities, or only the merged one if there is one."""
    if SIMILAR in data.edge_types:
        return [item_adjacency(data, SIMILAR)]
    return [item_adjacency(data, similar(m)) for m in names]


def hear_neighbors(x: Tensor, data: HeteroData, names: Sequence[str], num_layers: int) -> Tensor:
    r"""Propagates items [I, F] over their graphs :math:`\mathbf{S}_m`,
    :math:`(\frac{1}{M} \sum_m \mathbf{S}_m)^L \mathbf{X}`."""
    graphs = item_graphs(data, names)
    for _ in range(num_layers):
        x = torch.stack([graph @ x for graph in graphs]).mean(dim=0)
    return x


def user_adjacency(data: HeteroData) -> Adjacency:
    """The matrix of the user graph, if it belongs to the data."""
    if COOCCURS not in data.edge_types:
        raise InputError(
            f"the data has no user graph '{COOCCURS[1]}'; expected one made by UserCooccurrence"
        )
    return _graph(data, COOCCURS, "edge_weight", "the user graph", "UserCooccurrence")


def is_sampled(data: HeteroData) -> bool:
    """Whether the data is a subgraph sampled by one of PyG's loaders."""
    return "n_id" in data[USER] or "n_id" in data[ITEM]


def whole_pairs(data: HeteroData) -> Tensor:
    """The training pairs [2, E] of the whole graph, of which some are pruned for an epoch.

    Raises:
        InputError: If the data is a sampled subgraph, whose pairs are in another order.
    """
    if is_sampled(data):
        raise InputError(
            "the model prunes pairs for a whole epoch; expected the whole graph in training, "
            "not a sampled part"
        )
    pairs: Tensor = data[INTERACTS].edge_index
    return pairs


def _graph(
    data: HeteroData, edge_type: EdgeType, weight: str, what: str, transform: str
) -> Adjacency:
    """The ``adjacency`` of an edge type. For a sampled subgraph, it is built from its edges
    with the weights of the whole graph, and cached for the same tensors."""
    store = data[edge_type]
    adj = store.get("adjacency")
    if adj is None:
        raise InputError(f"{what} has no 'adjacency'; expected one made by {transform}")
    sources, targets = data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes
    shape = (sources, targets) if edge_type == INTERACTS else (targets, sources)
    num_edges = store.edge_index.size(1)
    fits = adj.shape == shape and adj.col.numel() == num_edges
    if fits and not is_sampled(data):
        return adj
    values = store.get(weight)
    if values is None or values.shape != (num_edges,):
        raise InputError(
            f"{what} has an 'adjacency' {list(adj.shape)} of {adj.col.numel()} edges; expected "
            f"{list(shape)} of {num_edges}, as made by {transform} from this data"
        )
    edge_index = store.edge_index
    known = _parts.get(edge_index)
    if known is None or known[0] is not values:
        if edge_type == INTERACTS:
            edges, weights = _both_directions(data, edge_index, values)
            part = Adjacency.from_edge_index(edges.flip(0), weights, shape[::-1])
        else:
            part = Adjacency.from_edge_index(edge_index, values, shape[::-1])
        known = _parts[edge_index] = values, part
    return known[1]


def _both_directions(data: HeteroData, edge_index: Tensor, norm: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of a sampled graph in both directions."""
    if REV_INTERACTS not in data.edge_types or "norm" not in data[REV_INTERACTS]:
        return edge_index, norm
    reverse = data[REV_INTERACTS]
    edges = torch.cat([edge_index, reverse.edge_index.flip(0)], dim=1)
    return coalesce(edges, torch.cat([norm, reverse.norm]), reduce="max")


def unit_content(
    data: HeteroData, names: Sequence[str], rows: OptTensor = None
) -> tuple[dict[str, Tensor], dict[str, OptTensor]]:
    """:func:`content` with L2-normalised features."""
    x, mask = content(data, names, rows)
    return {m: normalize(at_least_float(value)) for m, value in x.items()}, mask
