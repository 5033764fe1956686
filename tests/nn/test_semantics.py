import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import user_item_adjacency, user_semantics

PAIRS = [(0, 0), (0, 1), (0, 4), (1, 1), (2, 2), (2, 3), (2, 4)]  # user 3 has none
MASK = torch.tensor([True, True, False, True, True, True])


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(6, 3)


def naive(x, coarse, mask, local_weight):
    rows = []
    for user in range(4):
        own = [i for u, i in PAIRS if u == user]
        row = torch.zeros(3)
        for i in own:
            if mask[i]:
                popularity = sum(j == i for _, j in PAIRS)
                row += local_weight * x[i] / (len(own) * popularity) ** 0.5
                row += (1 - local_weight) * coarse[i] / len(own)
        rows.append(row)
    return torch.stack(rows)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("local_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("num_clusters", [1, 50])
def test_equals_the_sums_over_items(x, mask, local_weight, num_clusters):
    """Of one cluster, whose centre is the mean; and of a cluster for each item."""
    adj = user_item_adjacency(torch.tensor(PAIRS).t(), 4, 6)
    known = torch.ones(6, dtype=torch.bool) if mask is None else mask
    coarse = x[known].mean(dim=0).expand(6, 3) if num_clusters == 1 else x
    found = user_semantics(x, adj, mask, num_clusters, local_weight)
    torch.testing.assert_close(found, naive(x, coarse, known, local_weight))
    assert not found[3].any()


def test_missing_values_are_not_read(x):
    adj = user_item_adjacency(torch.tensor(PAIRS).t(), 4, 6)
    torch.manual_seed(0)
    expected = user_semantics(x, adj, MASK, 2)
    x[2] = torch.nan
    torch.manual_seed(0)
    assert torch.equal(user_semantics(x, adj, MASK, 2), expected)
    assert not user_semantics(x, adj, torch.zeros(6, dtype=torch.bool)).any()


def test_wrong_arguments_are_refused(x):
    adj = user_item_adjacency(torch.tensor(PAIRS).t(), 4, 6)
    with pytest.raises(InputError, match=r"x has shape|x: |'x'"):
        user_semantics(x[:5], adj)
    with pytest.raises(InputError, match=r"local_weight: is 1.5; expected"):
        user_semantics(x, adj, local_weight=1.5)
