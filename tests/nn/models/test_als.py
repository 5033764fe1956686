import pytest
import torch

from mentor_pyg import Recommender, fit
from mentor_pyg.nn.models import ALS, als
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


@pytest.fixture
def data(tiny):
    pairs = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = pairs[:, (pairs[0] != 3) & (pairs[1] != 7)]
    return LightGCNNorm()(tiny)


def objective(model, data, user, item):
    target = torch.zeros(60, 40, dtype=user.dtype)
    target[tuple(data[INTERACTS].edge_index)] = 1
    error = (1 + model.alpha * target) * (target - user @ item.t()).square()
    return error.sum() + model.reg_weight * (user.square().sum() + item.square().sum())


@pytest.mark.parametrize("entries", [1, 2000, 2**22])
def test_a_half_step_minimises_the_objective(monkeypatch, data, entries):
    """Its gradient vanishes for the rows that were solved last, and only for these."""
    monkeypatch.setattr(als, "ENTRIES", entries)
    model = ALS.from_data(data, hidden_channels=6, num_iterations=3, alpha=4.0, reg_weight=0.7)
    torch.manual_seed(0)
    model.reset_parameters()
    model.solve(data)
    user, item = (x.double().requires_grad_() for x in (model.user, model.item))
    grads = torch.autograd.grad(objective(model, data, user, item), (user, item))
    assert grads[1].abs().max() < 1e-3
    assert grads[0].abs().max() > 0.01
    assert model.user[3].eq(0).all()  # no pairs
    assert model.item[7].eq(0).all()


def test_each_iteration_lowers_the_objective_and_one_goes_on_from_the_last(data):
    model = ALS.from_data(data, hidden_channels=6, num_iterations=1)
    torch.manual_seed(0)
    model.reset_parameters()
    values = []
    for _ in range(4):
        model.solve(data)
        values.append(objective(model, data, model.user, model.item).item())
    assert values == sorted(values, reverse=True)
    whole = ALS.from_data(data, hidden_channels=6, num_iterations=4)
    torch.manual_seed(0)
    whole.reset_parameters()
    whole.solve(data)
    torch.testing.assert_close(whole.item, model.item)


def test_new_users_are_embedded_like_those_of_training(data):
    """By the minimum of the objective for the given items."""
    model = ALS.from_data(data, hidden_channels=6)
    fit(model, data, progress=False)
    rec = Recommender(model, data, progress=False)
    pairs, users = data[INTERACTS].edge_index, [9, 30, 2]
    emb = rec.embed_users({u: pairs[1, pairs[0] == u] for u in users})
    user = model.user.clone().requires_grad_()
    user.data[users] = emb
    (grad,) = torch.autograd.grad(objective(model, data, user, model.item), user)
    assert grad[users].abs().max() < 1e-3
