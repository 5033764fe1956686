from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from mentor_pyg.nn.graph import user_item_adjacency
from mentor_pyg.typing import INTERACTS, ITEM, USER


@functional_transform("light_gcn_norm")
class LightGCNNorm(BaseTransform):
    r"""Adds the normalised user-item graph as one symmetric matrix, ``data.adjacency``.

    It is an :class:`~mentor_pyg.Adjacency` of U + I nodes, users first, whose entries
    are :math:`1 / \sqrt{|\mathcal{N}_u| |\mathcal{N}_i|}` for training pairs, in both
    directions. Being symmetric it is its own transpose, so that a hop's backward pass
    multiplies with the very same matrix.
    """

    def forward(self, data: HeteroData) -> HeteroData:
        data.adjacency = user_item_adjacency(
            data[INTERACTS].edge_index, data[USER].num_nodes, data[ITEM].num_nodes
        )
        return data
