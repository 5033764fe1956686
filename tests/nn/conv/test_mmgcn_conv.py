import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import MMGCNConv, user_item_adjacency

USERS, ITEMS = 6, 5


@pytest.fixture
def edge_index():
    links = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.5
    links[2] = False  # a user without items
    return links.nonzero().t().contiguous()


@pytest.fixture
def given():
    """Features and ID vectors of users, and of items."""
    torch.manual_seed(0)
    return tuple((torch.randn(n, 4), torch.randn(n, 3)) for n in (USERS, ITEMS))


def naive(conv, x, id, source, neighbors):
    """Node by node, of the lists of its neighbours."""
    rows = []
    for node, others in enumerate(neighbors):
        said = torch.zeros(3)
        for other in others:
            said = said + conv.lin_neighbor.weight @ source[other] / len(others)
        said = F.leaky_relu(said)
        own = F.leaky_relu(conv.lin_self.weight @ x[node] + conv.lin_self.bias) + id[node]
        if conv.combine == "concat":
            out = conv.lin_out.weight @ torch.cat([said, own]) + conv.lin_out.bias
        else:
            out = conv.lin_out.weight @ said + conv.lin_out.bias + own
        rows.append(F.leaky_relu(out))
    return torch.stack(rows)


def naive_users_and_items(conv, given, edge_index):
    (user, id_user), (item, id_item) = given
    of_users, of_items = [[] for _ in range(USERS)], [[] for _ in range(ITEMS)]
    for u, i in edge_index.t().tolist():
        of_users[u].append(i)
        of_items[i].append(u)
    return naive(conv, user, id_user, item, of_users), naive(conv, item, id_item, user, of_items)


def both_ways(conv, given, adj):
    (user, id_user), (item, id_item) = given
    return conv((item, user), id_user, adj), conv((user, item), id_item, adj.t())


def build(combine="concat"):
    conv = MMGCNConv(4, 3, combine)
    for linear in (conv.lin_self, conv.lin_out):
        torch.nn.init.normal_(linear.bias)
    return conv


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_equals_the_formulas_node_by_node(edge_index, given, combine):
    conv, adj = build(combine), user_item_adjacency(edge_index, USERS, ITEMS)
    expected = naive_users_and_items(conv, given, edge_index)
    torch.testing.assert_close(both_ways(conv, given, adj), expected)


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_gradients_equal_those_of_the_formulas(edge_index, given, combine):
    conv, adj = build(combine), user_item_adjacency(edge_index, USERS, ITEMS)
    wanted = [x.requires_grad_() for side in given for x in side] + list(conv.parameters())
    upstream, grads = (torch.randn(USERS, 3), torch.randn(ITEMS, 3)), []
    for out in (both_ways(conv, given, adj), naive_users_and_items(conv, given, edge_index)):
        grads.append(torch.autograd.grad(out, wanted, upstream))
    torch.testing.assert_close(*grads)


def test_a_graph_of_one_kind_of_nodes(edge_index):
    """Which are sources and targets at once."""
    conv, x, id = build(), torch.randn(USERS, 4), torch.randn(USERS, 3)
    links = torch.rand(USERS, USERS) < 0.5
    source, target = links.nonzero().t()
    adj = Adjacency.from_edge_index(
        torch.stack([source, target]), torch.ones(len(source)), (USERS, USERS)
    )
    neighbors = [links[:, node].nonzero().flatten().tolist() for node in range(USERS)]
    torch.testing.assert_close(conv(x, id, adj), naive(conv, x, id, x, neighbors))


def test_knows_two_ways_to_combine():
    with pytest.raises(ValueError, match="combine: is 'mean'; expected one of 'concat', 'sum'"):
        MMGCNConv(4, 3, "mean")


def test_weights_of_the_graph_make_no_difference(edge_index, given):
    conv = build()
    adj = user_item_adjacency(edge_index, USERS, ITEMS, torch.rand(edge_index.size(1)))
    expected = naive_users_and_items(conv, given, edge_index)
    torch.testing.assert_close(both_ways(conv, given, adj), expected)


def test_other_shapes_and_graphs_are_refused(edge_index, given):
    conv, ((user, id), (item, _)) = build(), given
    adj = user_item_adjacency(edge_index, USERS, ITEMS)
    with pytest.raises(InputError, match=r"'id_embedding' has shape \[1, 3\]; expected \[6, 3\]"):
        conv((item, user), id[:1], adj)
    with pytest.raises(InputError, match=r"'x' has shape \[5, 4\]; expected \[6, 4\]"):
        conv((item, user[1:]), id, adj)
    with pytest.raises(InputError, match=r"'x_src' has shape \[4, 4\]; expected \[5, 4\]"):
        conv((item[1:], user), id, adj)
    with pytest.raises(InputError, match=r"'x_src' has shape \[6, 4\]; expected \[5, 4\]"):
        conv(user, id, adj)
    with pytest.raises(InputError, match=r"^MMGCNConv: .*Tensor.*; expected an Adjacency"):
        conv((item, user), id, edge_index)
