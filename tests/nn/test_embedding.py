import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import Nodes, UserItemEmbedding

USERS, ITEMS = 5, 4


@pytest.fixture
def embedding():
    torch.manual_seed(0)
    return UserItemEmbedding(USERS, ITEMS, 3)


def test_is_a_pair_of_the_tables_themselves(embedding):
    user, item = embedding()
    assert user is embedding.user
    assert item is embedding.item
    assert (user.shape, item.shape) == ((USERS, 3), (ITEMS, 3))
    user, item = embedding(Nodes(USERS, ITEMS))
    assert user is embedding.user
    assert item is embedding.item


def test_a_sampled_graph_gets_the_rows_of_its_nodes_and_they_the_gradients(embedding):
    users, items = torch.tensor([3, 0, 3]), torch.tensor([2])
    found = embedding(Nodes(3, 1, users, items))
    assert torch.equal(found[0], embedding.user[[3, 0, 3]])
    assert torch.equal(found[1], embedding.item[[2]])
    sum(x.sum() for x in found).backward()
    assert embedding.user.grad[:, 0].tolist() == [1, 0, 0, 2, 0]
    assert embedding.item.grad[:, 0].tolist() == [0, 0, 1, 0]


def test_row_numbers_of_one_kind_alone(embedding):
    found = embedding(Nodes(2, ITEMS, user=torch.tensor([4, 1])))
    assert torch.equal(found[0], embedding.user[[4, 1]])
    assert found[1] is embedding.item
    found = embedding(Nodes(USERS, 2, item=torch.tensor([3, 1])))
    assert found[0] is embedding.user
    assert torch.equal(found[1], embedding.item[[3, 1]])


@pytest.mark.parametrize("order", [None, [0, 4, 2, 5]])
def test_items_that_came_after_training_have_zeros(embedding, order):
    nodes = Nodes(USERS, 6) if order is None else Nodes(USERS, 4, item=torch.tensor(order))
    _, item = embedding(nodes)
    rows = range(6) if order is None else order
    expected = [embedding.item[i] if i < ITEMS else torch.zeros(3) for i in rows]
    assert torch.equal(item, torch.stack(expected))
    item.sum().backward()
    assert embedding.item.grad[:, 0].tolist() == [float(i in rows) for i in range(ITEMS)]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (Nodes(USERS - 1, ITEMS), "has 4 users, and the model 5; expected equal numbers, .*'n_id'"),
        (Nodes(USERS + 1, ITEMS), "has 6 users, and the model 5; expected equal numbers"),
        (Nodes(USERS, ITEMS - 1), "has 3 items, and the model 4; expected at least as many"),
        (Nodes(USERS, 3, user=torch.arange(5)), "has 3 items, and the model 4; expected"),
    ],
)
def test_graphs_of_other_users_and_items_are_refused(embedding, nodes, message):
    with pytest.raises(InputError, match=f"^the graph {message}"):
        embedding(nodes)


def test_other_tables_have_the_rows_of_the_nodes_too():
    """Of any width, and of more dimensions than two."""
    nodes = Nodes(2, 3, torch.tensor([1, 4]), torch.tensor([0, 7, 2]))
    table, cube = torch.rand(ITEMS, 1), torch.rand(USERS, 2, 1)
    assert torch.equal(nodes.users(cube), cube[[1, 4]])
    assert torch.equal(nodes.items(table), torch.cat([table[:1], torch.zeros(1, 1), table[2:3]]))


def test_reset_draws_afresh(embedding):
    before = [x.clone() for x in embedding()]
    torch.manual_seed(1)
    embedding.reset_parameters()
    first = [x.clone() for x in embedding()]
    assert not any(torch.equal(a, b) for a, b in zip(before, first))
    torch.manual_seed(1)
    embedding.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, embedding()))
    assert all(x.abs().max() <= (6 / (len(x) + 3)) ** 0.5 for x in first)  # Xavier's bounds


@pytest.mark.parametrize("sizes", [(0, 4, 3), (5, 0, 3), (5, 4, 0)])
def test_sizes_are_positive(sizes):
    with pytest.raises(InputError, match="is 0; expected at least 1"):
        UserItemEmbedding(*sizes)
