import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn import MMGCNConv, user_item_adjacency

USERS, ITEMS = 6, 5


@pytest.fixture
def edge_index():
    links = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.5
    links[2] = False  # a user without items
    return links.nonzero().t().contiguous()


def naive(conv, x, id, edge_index):
    """Node by node."""
    neighbors = [[] for _ in range(USERS + ITEMS)]
    for user, item in edge_index.t().tolist():
        neighbors[user].append(USERS + item)
        neighbors[USERS + item].append(user)
    rows = []
    for node, others in enumerate(neighbors):
        said = torch.zeros(3)
        for other in others:
            said = said + conv.lin_neighbor.weight @ x[other] / len(others)
        said = F.leaky_relu(said)
        own = F.leaky_relu(conv.lin_self.weight @ x[node] + conv.lin_self.bias) + id[node]
        if conv.combine == "concat":
            out = conv.lin_out.weight @ torch.cat([said, own]) + conv.lin_out.bias
        else:
            out = conv.lin_out.weight @ said + conv.lin_out.bias + own
        rows.append(F.leaky_relu(out))
    return torch.stack(rows)


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_equals_the_formulas_node_by_node(edge_index, combine):
    torch.manual_seed(0)
    conv = MMGCNConv(4, 3, combine)
    for linear in (conv.lin_self, conv.lin_out):
        torch.nn.init.normal_(linear.bias)
    x, id = torch.randn(USERS + ITEMS, 4), torch.randn(USERS + ITEMS, 3)
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    torch.testing.assert_close(conv(x, id, adj), naive(conv, x, id, edge_index))


def test_knows_two_ways_to_combine():
    with pytest.raises(ValueError, match="combine: is 'mean'; expected one of 'concat', 'sum'"):
        MMGCNConv(4, 3, "mean")


def test_weights_of_the_graph_make_no_difference(edge_index):
    conv = MMGCNConv(4, 3)
    x, id = torch.randn(USERS + ITEMS, 4), torch.randn(USERS + ITEMS, 3)
    adj = user_item_adjacency(edge_index, USERS, ITEMS, torch.rand(edge_index.size(1)))
    torch.testing.assert_close(conv(x, id, adj), naive(conv, x, id, edge_index))


def test_other_shapes_and_graphs_are_refused(edge_index):
    conv = MMGCNConv(4, 3)
    x, id = torch.randn(USERS + ITEMS, 4), torch.randn(USERS + ITEMS, 3)
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    with pytest.raises(InputError, match=r"'id_embedding' has shape \[1, 3\]; expected \[11, 3\]"):
        conv(x, id[:1], adj)
    with pytest.raises(InputError, match=r"'x' has shape \[10, 4\]; expected \[11, 4\]"):
        conv(x[1:], id, adj)
    with pytest.raises(InputError, match=r"^MMGCNConv: .*Tensor.*; expected an Adjacency"):
        conv(x, id, edge_index)
