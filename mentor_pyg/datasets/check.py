"""Validation of graphs before use."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg._util.shapes import check_edge_index
from mentor_pyg.errors import InputError
from mentor_pyg.sparse import Adjacency
from mentor_pyg.typing import INTERACTS, ITEM, USER

HINT = "from_interactions makes such data of any graph of users and items"


def check_data(data: HeteroData, *splits: str) -> None:
    """Checks that data is a valid user-item graph. This takes one pass over the pairs.

    Args:
        data: The graph.
        *splits: Required splits, out of :obj:`"val"` and :obj:`"test"`.

    Raises:
        InputError: If users, items or pairs are missing, a pair is out of range, or a split
            is missing or empty.
    """
    for node_type in (USER, ITEM):
        if node_type not in data.node_types or not data[node_type].num_nodes:
            raise InputError(
                f"data: has no nodes '{node_type}'; expected their features or 'num_nodes' ({HINT})"
            )
    if INTERACTS not in data.edge_types or "edge_index" not in data[INTERACTS]:
        found = ", ".join(map(str, data.edge_types)) or "no edges"
        raise InputError(f"data: has {found}; expected the edges {INTERACTS} ({HINT})")
    store, size = data[INTERACTS], (data[USER].num_nodes, data[ITEM].num_nodes)
    pairs = check_edge_index("data: training pairs", store.edge_index, size)
    if pairs.numel() == 0:
        raise InputError("data: there are no training pairs; expected at least one")
    for split in splits:
        held_out = store.get(f"{split}_edge_label_index")
        if held_out is None or held_out.numel() == 0:
            raise InputError(
                f"data: has no {split} pairs; expected '{split}_edge_label_index' "
                f"[2, n] of the edges {INTERACTS}"
            )
        check_edge_index(f"data: {split} pairs", held_out, size)


def check_graph(data: HeteroData) -> None:
    """Raises an InputError if the normalised graph was built from other pairs."""
    store, size = data[INTERACTS], (data[USER].num_nodes, data[ITEM].num_nodes)
    adjacency = store.get("adjacency")
    if adjacency is not None and not _is_of(adjacency, store.edge_index, size):
        raise InputError(
            f"data: the 'adjacency' of {INTERACTS} belongs to other pairs; "
            "expected LightGCNNorm to be applied after all changes of the pairs"
        )


def _is_of(adjacency: Adjacency, pairs: Tensor, size: tuple[int, int]) -> bool:
    if adjacency.shape != size or adjacency.col.numel() != pairs.size(1):
        return False
    users = torch.arange(size[0], device=pairs.device)
    user = users.repeat_interleave(adjacency.rowptr.diff())
    found = user * size[1] + adjacency.col
    return torch.equal(found, (pairs[0] * size[1] + pairs[1]).sort().values)
