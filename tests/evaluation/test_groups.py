import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import Evaluator, InputError
from mentor_pyg.choices import MMSSL_BOUNDS
from mentor_pyg.evaluation import held_out_groups
from mentor_pyg.evaluation.per_user import user_metrics
from mentor_pyg.typing import INTERACTS, ITEM, USER

TRAIN = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (4, 3)]
"""Users 0, 1, 2, 3, 4 have 1, 2, 3, 0, 1 pairs; items 0 to 4 have 3, 2, 1, 1, 0."""

TEST = [(0, 1), (0, 4), (1, 2), (2, 3), (2, 4), (3, 0), (4, 0), (4, 4)]


@pytest.fixture
def data():
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = 5, 5
    data[INTERACTS].edge_index = torch.tensor(TRAIN).t()
    data[INTERACTS].test_edge_label_index = torch.tensor(TEST).t()
    return data


@pytest.fixture
def groups(data):
    """A function of a grouping: the pairs of each group, by label."""
    evaluator = Evaluator(data, "test", [2])

    def groups(grouping, **options):
        found = held_out_groups(grouping, data, evaluator, **options)
        row, item = evaluator.label_index
        users = evaluator.users[row]
        return {
            label: list(zip(users[pairs].tolist(), item[pairs].tolist())) for label, pairs in found
        }

    return groups


def test_user_groups(groups):
    assert groups("user", user_bounds=[1, 2]) == {
        "1": [(0, 1), (0, 4), (4, 0), (4, 4)],
        "2": [(1, 2)],
        "3 or more": [(2, 3), (2, 4)],
    }
    assert list(groups("user", user_bounds=[2, 7, 9])) == ["1 to 2", "3 to 7"]
    assert list(groups("user", user_bounds=[])) == ["1 or more"]
    assert list(groups("user")) == [f"1 to {MMSSL_BOUNDS[0]}"]


def test_popularity_groups_leave_out_cold_items(groups):
    # The counts of items with pairs are 1, 1, 2, 3.
    assert groups("popularity", num_quantiles=2) == {
        "1": [(1, 2), (2, 3)],
        "2 or more": [(0, 1), (4, 0)],
    }
    assert groups("popularity", num_quantiles=4) == {
        "1": [(1, 2), (2, 3)],
        "2": [(0, 1)],
        "3 or more": [(4, 0)],
    }


def test_cold_items_do_not_move_the_quantiles(groups, data):
    expected = groups("popularity", num_quantiles=2)
    data[ITEM].num_nodes = 20
    assert groups("popularity", num_quantiles=2) == expected


def test_cold_items(groups, data):
    assert groups("cold") == {"no training pairs": [(0, 4), (2, 4), (4, 4)]}
    data[INTERACTS].test_edge_label_index = torch.tensor(TEST).t()[:, 2:4]
    assert held_out_groups("cold", data, Evaluator(data, "test", [2])) == []


def test_popularity_and_cold_divide_all_pairs(tiny):
    store = tiny[INTERACTS]
    store.edge_index = store.edge_index[:, store.edge_index[1] > 5]
    evaluator = Evaluator(tiny, "test")
    groups = held_out_groups("popularity", tiny, evaluator, num_quantiles=3)
    assert len(groups) == 3
    groups += held_out_groups("cold", tiny, evaluator)
    assert torch.stack([pairs for _, pairs in groups]).sum(0).eq(1).all()
    assert torch.equal(groups[-1].pairs, evaluator.label_index[1] <= 5)


def test_metrics_of_cold_items_count_them_alone(data):
    """Lists of all items, best first: 4, 3, ..., so user 4 gets 4 and 2."""
    evaluator = Evaluator(data, "test", [1, 2])
    lists = evaluator.rank(torch.ones(5, 1), torch.arange(5.0).unsqueeze(1))
    (cold,) = held_out_groups("cold", data, evaluator)
    metrics = user_metrics(evaluator, lists, cold.pairs)
    assert metrics.users.tolist() == [0, 2, 4]
    assert metrics["recall@1"].tolist() == [1, 1, 1]  # it would be 1/2, 1/2, 1/2 of all pairs
    lists = evaluator.rank(torch.ones(5, 1), -torch.arange(5.0).unsqueeze(1))
    assert user_metrics(evaluator, lists, cold.pairs)["recall@2"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("bounds", [[0, 2], [3, 3], [4, 2], [-1]])
def test_bounds_that_do_not_rise(groups, bounds):
    with pytest.raises(InputError, match=r"bounds of user groups .*; expected rising from 1"):
        groups("user", user_bounds=bounds)


def test_other_mistakes(groups):
    with pytest.raises(InputError, match="groups 'age' are unknown; expected user, popularity"):
        groups("age")
    with pytest.raises(InputError, match="1 groups of items; expected 2 or more"):
        groups("popularity", num_quantiles=1)
