import pytest
import torch

from mentor_pyg.sparse.products import ENTRIES
from mentor_pyg.transforms import UserCooccurrence
from mentor_pyg.transforms.user_cooccurrence import shared_items
from mentor_pyg.typing import COOCCURS, INTERACTS


def naive(edge_index, num_users, k):
    """Users and counts by user, most shared items first, lower indices among equals."""
    items = [set(edge_index[1][edge_index[0] == u].tolist()) for u in range(num_users)]
    lists = []
    for u in range(num_users):
        others = [(-len(items[u] & items[v]), v) for v in range(num_users) if v != u]
        lists.append([(v, -c) for c, v in sorted(others)[:k] if c < 0])
    return lists


@pytest.mark.parametrize("k", [1, 5, 100])
def test_equals_a_loop(tiny, k, monkeypatch):
    monkeypatch.setitem(ENTRIES, "cpu", 60 * 7)  # several blocks
    pairs = tiny[INTERACTS].edge_index
    edge_index, count = shared_items(pairs, 60, 40, k)
    found = [[] for _ in range(60)]
    for v, u, c in zip(*edge_index.tolist(), count.tolist()):
        found[u].append((v, int(c)))
    assert found == naive(pairs, 60, k)


def test_weights_are_a_softmax_of_the_counts(tiny):
    data = UserCooccurrence(k=4)(tiny)
    expected = torch.zeros(60, 60)
    for u, neighbors in enumerate(naive(tiny[INTERACTS].edge_index, 60, 4)):
        if neighbors:
            users, counts = zip(*neighbors)
            expected[u, list(users)] = torch.tensor(counts).float().softmax(0)
    torch.testing.assert_close(data[COOCCURS].adjacency.matmul(torch.eye(60)), expected)
    assert data[COOCCURS].edge_weight.numel() == data[COOCCURS].edge_index.size(1)


def test_users_without_shared_items_have_no_edges(tiny):
    tiny[INTERACTS].edge_index = torch.tensor([[0, 1, 2, 3], [5, 5, 6, 7]])
    data = UserCooccurrence(k=2)(tiny)
    assert sorted(data[COOCCURS].edge_index.t().tolist()) == [[0, 1], [1, 0]]
    assert data[COOCCURS].edge_weight.tolist() == [1.0, 1.0]


def test_repr_and_bad_arguments():
    assert repr(UserCooccurrence(k=3)) == "UserCooccurrence(k=3)"
    with pytest.raises(ValueError, match="k: is 0; expected at least 1"):
        UserCooccurrence(k=0)


def test_pairs_that_come_twice_count_once(tiny):
    expected = UserCooccurrence(k=5)(tiny.clone())[COOCCURS]
    edge_index = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = torch.cat([edge_index, edge_index[:, ::3]], dim=1)
    found = UserCooccurrence(k=5)(tiny)[COOCCURS]
    assert torch.equal(found.edge_index, expected.edge_index)
    assert torch.equal(found.edge_weight, expected.edge_weight)
