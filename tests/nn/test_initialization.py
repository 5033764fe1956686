import pytest
import torch
from torch.nn import Linear

from mentor_pyg import InputError
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn import (
    ContentProjection,
    ModalityProjections,
    draw_weight,
    models,
    reset_linear,
    spectral_embedding,
    user_item_adjacency,
)


@pytest.mark.parametrize(
    ("init", "bound"),
    [("linear", 0.1), ("xavier_uniform", (6 / 140) ** 0.5), ("xavier_normal", None)],
)
def test_weights_have_the_named_distribution(init, bound):
    weight = torch.empty(40, 100)
    draw_weight(weight, init)
    variance = 2 / 140 if bound is None else bound**2 / 3
    assert weight.var().item() == pytest.approx(variance, rel=0.1)
    assert (weight.abs().max() <= bound) if bound else (weight.abs().max() > (6 / 140) ** 0.5)


def test_the_linear_one_is_pytorchs():
    torch.manual_seed(0)
    linear = Linear(7, 5)
    torch.manual_seed(0)
    weight = torch.empty(5, 7)
    draw_weight(weight, "linear")
    assert torch.equal(weight, linear.weight)


def test_other_names_are_refused():
    with pytest.raises(InputError, match="init: is 'zeros'; expected one of 'linear', 'xav"):
        ModalityProjections({"a": 2}, 3, init="zeros")
    with pytest.raises(
        InputError, match=r"draw_weight\.init: is 'zeros'; expected one of 'linear'"
    ):
        draw_weight(torch.empty(2, 3), "zeros")


def test_biases_are_pytorchs_whatever_the_weights_are():
    linear = Linear(100, 40)
    for init in ("linear", "xavier_uniform", "xavier_normal"):
        before = linear.bias.clone()
        reset_linear(linear, init)
        assert not torch.equal(before, linear.bias)
        assert 0.05 < linear.bias.abs().max() <= 0.1


def test_projections_draw_as_they_are_told():
    for init, bound in {"linear": 0.1, "xavier_uniform": (6 / 140) ** 0.5}.items():
        for module in (
            ContentProjection({"a": 60, "b": 40}, 40, init=init),
            ModalityProjections({"a": 100}, 40, init=init),
        ):
            weight = next(p for p in module.parameters() if p.dim() == 2)
            assert 0.9 * bound < weight.abs().max() <= bound


@pytest.mark.parametrize("name", models.classes)
def test_no_linear_map_starts_without_a_bias(name):
    """The released codes leave biases as PyTorch draws them."""
    data = SyntheticDataset.tiny()[0]
    model = getattr(models, name).from_data(data)
    model.reset_parameters()
    for key, module in model.named_modules():
        if isinstance(module, Linear) and module.bias is not None:
            assert module.bias.ne(0).all(), key


def test_spectral_embeddings_give_the_best_approximation():
    torch.manual_seed(0)
    edge_index = (torch.rand(30, 20) < 0.2).nonzero().t()
    adj = user_item_adjacency(edge_index, 30, 20)
    dense = adj @ torch.eye(20)
    left, values, right = torch.linalg.svd(dense, full_matrices=False)
    user, item = spectral_embedding(adj, 4, num_iterations=30)
    best = (left[:, :4] * values[:4]) @ right[:4]
    torch.testing.assert_close(user @ item.t(), best, rtol=1e-3, atol=1e-4)
    for x in (user, item):
        torch.testing.assert_close(x.t() @ x, values[:4].diag(), rtol=1e-3, atol=1e-4)


def test_spectral_embeddings_beyond_the_size_of_the_matrix_are_zero():
    adj = user_item_adjacency(torch.tensor([[0, 1, 2, 2], [0, 1, 0, 1]]), 3, 2)
    user, item = spectral_embedding(adj, 6)
    assert (user.shape, item.shape) == ((3, 6), (2, 6))
    assert not user[:, 2:].any()
    torch.testing.assert_close(user @ item.t(), adj @ torch.eye(2))
