import pytest
import torch
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import dense_to_sparse, to_dense_adj

from mentor_pyg.nn import light_gcn_norm
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER


@pytest.fixture
def data(tiny):
    """Without the pairs of one user and one item, so that they are without edges."""
    user, item = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = tiny[INTERACTS].edge_index[:, (user != 3) & (item != 5)]
    return tiny


def test_equals_gcn_norm(data):
    """Which knows no users and items, but all nodes and edges in both directions."""
    num_users, num_nodes = data[USER].num_nodes, data[USER].num_nodes + data[ITEM].num_nodes
    user, item = data[INTERACTS].edge_index
    one_way = torch.stack([user, item + num_users])
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    edges, weight = gcn_norm(edges, num_nodes=num_nodes, add_self_loops=False)
    expected = to_dense_adj(edges, edge_attr=weight, max_num_nodes=num_nodes)[0]

    store = LightGCNNorm()(data)[INTERACTS]
    assert store.adjacency.shape == (num_users, num_nodes - num_users)
    dense = store.adjacency @ torch.eye(num_nodes - num_users)
    assert torch.allclose(dense, expected[:num_users, num_users:], atol=1e-6)
    assert torch.equal(store.adjacency.t() @ torch.eye(num_users), dense.t())
    assert torch.equal(store.norm, dense[user, item])
    assert not dense[3].any()
    assert not dense[:, 5].any()
    assert "adjacency" not in data


def test_reverse_edges_have_the_norms_of_their_pairs(data):
    pairs = data[INTERACTS].edge_index
    perm = torch.randperm(pairs.size(1))
    data[REV_INTERACTS].edge_index = pairs.flip(0)[:, perm]
    data = LightGCNNorm()(data)
    assert torch.equal(data[REV_INTERACTS].norm, data[INTERACTS].norm[perm])
    assert "adjacency" not in data[REV_INTERACTS]


def test_uses_training_pairs_alone(data):
    adj = LightGCNNorm()(data.clone())[INTERACTS].adjacency
    data[INTERACTS].val_edge_label_index = data[INTERACTS].val_edge_label_index[:, :1]
    del data[INTERACTS].test_edge_label_index
    fewer = LightGCNNorm()(data)[INTERACTS].adjacency
    assert all(torch.equal(a, b) for a, b in zip(adj, fewer, strict=True))
    assert adj.col.numel() == data[INTERACTS].num_edges


@pytest.mark.parametrize("weighted", [False, True])
def test_norm_of_bipartite_edges(weighted):
    torch.manual_seed(0)
    dense = (torch.rand(6, 4) + 0.1) * (torch.rand(6, 4) < 0.5)
    dense[2] = 0
    edge_index, weight = dense_to_sparse(dense)
    if not weighted:
        dense = (dense > 0).float()
    out_degree, in_degree = dense.sum(1), dense.sum(0)
    result = light_gcn_norm(edge_index, weight if weighted else None, 6, 4)
    for (src, dst), value in zip(edge_index.t(), result):
        expected = dense[src, dst] / (out_degree[src] * in_degree[dst]).sqrt()
        assert torch.isclose(value, expected)


def test_edges_of_weight_zero_give_no_nan():
    weight = torch.tensor([0.0, 2.0])
    result = light_gcn_norm(torch.tensor([[0, 1], [0, 1]]), weight, 2, 2)
    assert torch.allclose(result, torch.tensor([0.0, 1.0]))
