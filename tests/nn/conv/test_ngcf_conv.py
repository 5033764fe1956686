import pytest
import torch
import torch.nn.functional as F
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import NGCFConv, user_item_adjacency

NODES = 7


@pytest.fixture
def links():
    torch.manual_seed(0)
    upper = (torch.rand(NODES, NODES) < 0.5).float().triu(1)
    upper[:, 4] = upper[4] = 0  # a node without neighbours
    return upper + upper.t()


def naive(conv, x, links):
    """The paper's messages, edge by edge."""
    first, second, degree = conv.lin_sum.weight, conv.lin_product.weight, links.sum(0)
    rows = []
    for node in range(NODES):
        row = first @ x[node]
        for other in links[node].nonzero().flatten().tolist():
            message = first @ x[other] + second @ (x[node] * x[other])
            row = row + message / (degree[node] * degree[other]).sqrt()
        rows.append(F.leaky_relu(row, conv.negative_slope))
    return torch.stack(rows)


@pytest.mark.parametrize("slope", [0.2, 0.01])
def test_equals_the_messages_edge_by_edge(links, slope):
    conv, x = NGCFConv(5, 3, negative_slope=slope), torch.randn(NODES, 5)
    edge_index = dense_to_sparse(links)[0]
    torch.testing.assert_close(conv(x, edge_index), naive(conv, x, links))


def test_takes_a_frozen_adjacency(links):
    conv, x = NGCFConv(5, 3), torch.randn(NODES, 5)
    edge_index = dense_to_sparse(links)[0]
    degree = links.sum(0)
    weight = (degree[edge_index[0]] * degree[edge_index[1]]).rsqrt()
    adj = Adjacency.from_edge_index(edge_index, weight, (NODES, NODES))
    torch.testing.assert_close(conv(x, adj), naive(conv, x, links))


@pytest.mark.parametrize("frozen", [True, False])
def test_of_users_and_items_it_equals_that_of_all_nodes(frozen):
    """Sources and targets apart, in both directions, and their gradients."""
    torch.manual_seed(0)
    pairs = torch.rand(4, 3) < 0.6
    pairs[1] = False  # a user without items
    links = torch.zeros(NODES, NODES)
    links[:4, 4:], links[4:, :4] = pairs, pairs.t()
    conv, x = NGCFConv(5, 3), torch.randn(NODES, 5, requires_grad=True)
    user, item = x.split([4, 3])
    edge_index = pairs.nonzero().t()
    adj = user_item_adjacency(edge_index, 4, 3)
    graphs = (adj, adj.t()) if frozen else (edge_index.flip(0), edge_index)
    found = torch.cat([conv((item, user), graphs[0]), conv((user, item), graphs[1])])
    expected, upstream = naive(conv, x, links), torch.randn(NODES, 3)
    torch.testing.assert_close(found, expected)
    wanted = [x, *conv.parameters()]
    grads = [torch.autograd.grad(out, wanted, upstream) for out in (found, expected)]
    torch.testing.assert_close(*grads)


def test_forms_of_a_graph(links):
    """Entries of a matrix may be unsorted and come in parts."""
    conv, x = NGCFConv(5, 3), torch.randn(NODES, 5)
    edge_index = dense_to_sparse(links)[0]
    parts = torch.cat([edge_index, edge_index.flip(1)], dim=1)
    halves = torch.full((parts.size(1),), 0.5)
    for adj in (
        torch.sparse_coo_tensor(parts, halves, links.shape),
        links.to_sparse_coo().t(),
        links.to_sparse_csr(),
    ):
        torch.testing.assert_close(conv(x, adj), naive(conv, x, links))


def test_graphs_of_other_nodes_are_refused():
    conv, x = NGCFConv(5, 3), torch.randn(NODES, 5)
    adj = Adjacency.from_edge_index(torch.tensor([[0], [0]]), torch.ones(1), (NODES, 1))
    with pytest.raises(InputError, match=r"NGCFConv: 'x' has shape \[7, 5\]; expected \[1, 5\]"):
        conv(x, adj)
    with pytest.raises(InputError, match=r"NGCFConv: 'x' has shape \[7, 4\]; expected \[7, 5\]"):
        conv((x, x[:, 1:]), dense_to_sparse(torch.ones(7, 7))[0])
    with pytest.raises(InputError, match="beside a matrix"):
        conv(x, adj, torch.ones(1))
