"""A hop and an encoder, forward and backward, against PyG's layers."""

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.nn import LGConv, LightGCN
from torch_geometric.utils import to_torch_csr_tensor

from mentor_pyg.nn import LightGCNConv, ModalityEncoder, Propagation
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER

CHANNELS = 64


@pytest.fixture
def graph(dataset, device):
    """The user-item graph as our adjacency [U, I] and as a plain edge_index of all nodes."""
    data = LightGCNNorm()(dataset[0].to(device))
    num_users = data[USER].num_nodes
    user, item = data[INTERACTS].edge_index
    one_way = torch.stack([user, num_users + item])
    edge_index = torch.cat([one_way, one_way.flip(0)], dim=1)
    x = torch.randn(num_users + data[ITEM].num_nodes, CHANNELS, device=device)
    return data[INTERACTS].adjacency, edge_index, x.requires_grad_()


def forward_and_backward(layer, x, *args):
    """Of the vectors of all nodes, in one tensor."""
    x.grad = None
    out = layer(x, *args)
    out.backward(torch.ones_like(out))
    return out.detach(), x.grad


def both_ways(layer, x, adjacency):
    """Likewise of users and items, each in a tensor of their own."""
    user, item = (part.detach().requires_grad_() for part in x.split(adjacency.shape))
    out = layer(user, item, adjacency)
    torch.autograd.backward(out, [torch.ones_like(part) for part in out])
    return [out[0].detach(), out[1].detach()], [user.grad, item.grad]


def formats(edge_index, num_nodes):
    """The adjacency types of PyG; the normalisation of LGConv is part of its hop."""
    yield "LGConv, edge_index", edge_index
    size = (num_nodes, num_nodes)
    yield (
        "LGConv, EdgeIndex",
        EdgeIndex(edge_index, sparse_size=size, is_undirected=True).sort_by("col").values,
    )
    yield "LGConv, CSR", to_torch_csr_tensor(edge_index, size=size)


@pytest.mark.parametrize("way", ["ours", "LGConv, edge_index", "LGConv, EdgeIndex", "LGConv, CSR"])
def test_hop(measure, graph, size, device, way):
    adjacency, edge_index, x = graph
    group = f"hop, forward and backward ({size}, {device})"
    expected = forward_and_backward(LGConv(), x, edge_index)
    if way == "ours":
        conv = LightGCNConv()

        def hop(user, item, adj):
            return conv((item, user), adj), conv((user, item), adj.t())

        results = measure(lambda: both_ways(hop, x, adjacency), group, rounds=20)
        results = [torch.cat(pair) for pair in results]
    else:
        adj = dict(formats(edge_index, x.size(0)))[way]
        results = measure(lambda: forward_and_backward(LGConv(), x, adj), group, rounds=20)
    for ours, other in zip(results, expected):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["ours", "PyG's LightGCN"])
def test_light_gcn(measure, graph, size, device, way):
    """Three layers and their mean, forward and backward."""
    adjacency, edge_index, x = graph
    reference = LightGCN(x.size(0), CHANNELS, num_layers=3).to(device)
    reference.embedding.weight.data = x.detach().clone()
    ours = Propagation(num_layers=3, readout="mean")

    def theirs():
        reference.zero_grad()
        out = reference.get_embedding(edge_index)
        out.backward(torch.ones_like(out))
        return out.detach(), reference.embedding.weight.grad

    function = theirs if way != "ours" else lambda: both_ways(ours, x, adjacency)
    results = measure(function, f"LightGCN, forward and backward ({size}, {device})", rounds=10)
    if way == "ours":
        results = [torch.cat(pair) for pair in results]
    for result, other in zip(results, theirs()):
        torch.testing.assert_close(result, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["ours", "LGConv, edge_index"])
def test_encoder(measure, dataset, graph, size, device, way):
    """Projection of 4096-d features and two hops, forward and backward."""
    adjacency, edge_index, _ = graph
    features = dataset[0][ITEM].x_visual.to(device)
    torch.manual_seed(0)
    encoder = ModalityEncoder(features.size(1), dataset[0][USER].num_nodes).to(device)
    conv = LGConv()

    def ours():
        return encoder(features, adjacency)

    def theirs():
        hidden = out = torch.cat(encoder.initial(features))
        for _ in range(2):
            hidden = conv(hidden, edge_index)
            out = out + hidden
        return (out,)

    def run(forward):
        encoder.zero_grad()
        out = forward()
        torch.autograd.backward(out, [torch.ones_like(part) for part in out])
        return [part.detach() for part in out]

    group = f"encoder, forward and backward ({size}, {device})"
    out = measure(lambda: run(ours if way == "ours" else theirs), group)
    torch.testing.assert_close(torch.cat(out), *run(theirs), rtol=1e-4, atol=1e-4)
