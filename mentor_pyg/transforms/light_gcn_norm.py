import torch
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.nn.conv import light_gcn_norm
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
        num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        user, item = data[INTERACTS].edge_index
        weight = light_gcn_norm(data[INTERACTS].edge_index, None, num_users, num_items)
        one_way = torch.stack([user, num_users + item])
        num_nodes = num_users + num_items
        data.adjacency = Adjacency.from_edge_index(
            torch.cat([one_way, one_way.flip(0)], dim=1),
            torch.cat([weight, weight]),
            (num_nodes, num_nodes),
            symmetric=True,
        )
        return data
