from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from mentor_pyg._util.shapes import check_edge_index
from mentor_pyg.nn.conv import light_gcn_norm
from mentor_pyg.sparse import Adjacency
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER


@functional_transform("light_gcn_norm")
class LightGCNNorm(BaseTransform):
    r"""Normalises the user-item graph for LightGCN.

    Pairs get weights ``norm`` [E], :math:`1 / \sqrt{|\mathcal{N}_u| |\mathcal{N}_i|}`. The graph
    is also stored as ``adjacency``, an :class:`~mentor_pyg.Adjacency` [U, I]:
    ``adjacency @ item`` is a hop to the users, and ``adjacency.t() @ user`` one to the items.
    Subgraphs sampled by PyG's loaders keep the weights of the whole graph.
    """

    def forward(self, data: HeteroData) -> HeteroData:
        store = data[INTERACTS]
        num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        check_edge_index("LightGCNNorm", store.edge_index, (num_users, num_items))
        store.norm = light_gcn_norm(store.edge_index, None, num_users, num_items)
        store.adjacency = Adjacency.from_edge_index(
            store.edge_index.flip(0), store.norm, (num_items, num_users)
        )
        if REV_INTERACTS in data.edge_types:
            reverse = data[REV_INTERACTS]
            reverse.norm = light_gcn_norm(reverse.edge_index, None, num_items, num_users)
        return data
