import math

import pytest
import torch

from mentor_pyg.errors import InputError
from mentor_pyg.nn.attention import ModalityAttention


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_equals_loops(num_modalities, num_heads):
    attention = ModalityAttention(8, num_heads).double()
    x = torch.randn(5, num_modalities, 8, dtype=torch.float64)
    width = 8 // num_heads
    query, key = attention.query.weight, attention.key.weight
    expected = torch.zeros(5, 8, dtype=torch.float64)
    for n in range(5):
        for m in range(num_modalities):
            for h in range(num_heads):
                rows = slice(h * width, (h + 1) * width)
                scores = [
                    ((query[rows] @ x[n, m]) @ (key[rows] @ x[n, other])).item() / math.sqrt(width)
                    for other in range(num_modalities)
                ]
                total = sum(math.exp(s) for s in scores)
                for other, score in enumerate(scores):
                    weight = math.exp(score) / total / num_modalities
                    expected[n, rows] += weight * x[n, other, rows]
    torch.testing.assert_close(attention(x), expected)


def test_equal_modalities_stay_what_they_are():
    x = torch.randn(4, 1, 8).expand(4, 3, 8)
    torch.testing.assert_close(ModalityAttention(8, 2)(x), x[:, 0])


def test_gradients_reach_both_matrices_and_equal_finite_differences():
    attention = ModalityAttention(4, 2).double()
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    weights = [attention.query.weight, attention.key.weight]
    assert torch.autograd.gradcheck(lambda *_: attention(x), [x, *weights])
    grads = torch.autograd.grad(attention(x).pow(2).sum(), weights)
    assert all(grad.abs().sum() > 0 for grad in grads)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="3 heads for 8 hidden channels; expected"):
        ModalityAttention(8, 3)
