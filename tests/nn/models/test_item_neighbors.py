import pytest
import torch

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import ItemNeighbors
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


def naive(data, k, shrinkage, normalize_users):
    """Scores [U, I], one pair of items at a time."""
    binary = torch.zeros(60, 40)
    binary[tuple(data[INTERACTS].edge_index)] = 1
    matrix = binary / binary.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
    matrix = matrix if normalize_users else binary
    weight = torch.zeros(40, 40)
    for i in range(40):
        for j in set(range(40)) - {i}:
            a, b = matrix[:, i], matrix[:, j]
            norm = a.norm() * b.norm() + shrinkage
            weight[j, i] = (a @ b) / norm if norm > 0 else 0
        others = weight[:, i].sort(descending=True).values
        weight[:, i][weight[:, i] < others[k - 1]] = 0
    return binary @ weight


@pytest.mark.parametrize(
    ("k", "shrinkage", "normalize_users"),
    [(40, 0.0, False), (100, 3.0, True), (5, 0.5, True)],
)
def test_scores_equal_a_loop(tiny, k, shrinkage, normalize_users):
    data = LightGCNNorm()(tiny)
    model = ItemNeighbors.from_data(data, k=k, shrinkage=shrinkage, normalize_users=normalize_users)
    model.solve(data)
    user, item = encode(model, data)
    assert user.is_sparse
    assert item.is_sparse
    expected = naive(data, min(k, 39), shrinkage, normalize_users)
    torch.testing.assert_close(user.to_dense() @ item.to_dense().t(), expected)


def test_items_without_users_have_no_neighbours(tiny):
    pairs = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = pairs[:, pairs[1] != 7]
    data = LightGCNNorm()(tiny)
    model = ItemNeighbors.from_data(data, shrinkage=0.0)
    model.solve(data)
    columns = model.columns().to_dense()
    assert columns[7].eq(0).all()
    assert columns[:, 7].eq(0).all()
