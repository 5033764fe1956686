import numpy as np
import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MMGF, mmgf
from mentor_pyg.sparse import products
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM


@pytest.fixture
def data(tiny):
    tiny[ITEM].x_visual[:, 2] = 4.0  # a column without a range
    return LightGCNNorm()(tiny)


def normalized(matrix, exponent):
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    left = np.array([s**-exponent if s > 0 else 0 for s in rows])
    right = np.array([s ** (exponent - 1) if s > 0 else 0 for s in columns])
    return np.diag(left) @ matrix @ np.diag(right)


def refined(x):
    low, middle, high = np.percentile(x, [25, 50, 75], axis=0)
    x = (x - middle) / np.where(high > low, high - low, 1)
    return x - x.min()


def naive(data, exponent, power, weights):
    """Scores [U, I] by NumPy in double precision."""
    matrix = np.zeros((60, 40))
    matrix[tuple(data[INTERACTS].edge_index.numpy())] = 1
    scaled = normalized(matrix, exponent)
    total = (scaled.T @ scaled) ** power
    for modality, weight in weights.items():
        x, mask = data[ITEM][f"x_{modality}"].numpy(), data[ITEM].get(f"mask_{modality}")
        known = np.arange(40) if mask is None else mask.nonzero().flatten().numpy()
        scaled = normalized(refined(x[known].astype(float)), exponent)
        total[np.ix_(known, known)] += weight * (scaled @ scaled.T) ** power
    return torch.from_numpy(matrix @ total).float()


@pytest.mark.parametrize("entries", [1, 2**21])
@pytest.mark.parametrize(("exponent", "power"), [(0.5, 1.0), (0.89, 0.67), (0.0, 2.0)])
def test_scores_equal_the_formulas(monkeypatch, data, exponent, power, entries):
    monkeypatch.setitem(products.ENTRIES, "cpu", entries)
    monkeypatch.setattr(mmgf, "QUANTILE_ENTRIES", 100 * entries)
    weights = {"textual": 3.0, "visual": 0.2}
    model = MMGF.from_data(data, exponent=exponent, power=power, content_weight=weights)
    model.solve(data)
    user, item = encode(model, data)
    expected = naive(data, exponent, power, weights)
    torch.testing.assert_close(user.to_dense() @ item.t(), expected, rtol=1e-4, atol=1e-4)


def test_items_without_content_are_left_out_of_that_graph(data):
    data[ITEM].mask_visual = torch.arange(40) % 3 > 0
    data[ITEM].mask_textual = torch.zeros(40, dtype=torch.bool)
    model = MMGF.from_data(data, content_weight=0.5)
    model.solve(data)
    user, item = encode(model, data)
    expected = naive(data, 0.9, 0.5, {"visual": 0.5})
    torch.testing.assert_close(user.to_dense() @ item.t(), expected, rtol=1e-4, atol=1e-4)


def test_weights_by_modality(data):
    message = "^MMGF.content_weight: weighs sound; expected the modalities of the data, textual, v"
    with pytest.raises(InputError, match=message):
        MMGF.from_data(data, content_weight={"sound": 1.0})
    one = MMGF.from_data(data, content_weight=0.3)
    assert one.content_weight == {"textual": 0.3, "visual": 0.3}
