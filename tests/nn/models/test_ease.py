import pytest
import torch

from mentor_pyg import InputError, Recommender, evaluate, fit
from mentor_pyg.evaluation.metrics import Evaluator, encode
from mentor_pyg.nn.models import EASE
from mentor_pyg.serving.export import save_embeddings, save_faiss
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


@pytest.fixture
def model(data):
    model = EASE.from_data(data, reg_weight=5.0)
    fit(model, data, progress=False)
    return model


def binary(data):
    matrix = torch.zeros(60, 40)
    matrix[tuple(data[INTERACTS].edge_index)] = 1
    return matrix


def test_weights_are_the_best_of_each_item_alone(data, model):
    """A ridge regression for each item on all others, instead of the common closed form."""
    x = binary(data).double()
    for i in range(40):
        others = [j for j in range(40) if j != i]
        gram = x[:, others].t() @ x[:, others] + 5.0 * torch.eye(39, dtype=torch.float64)
        expected = torch.linalg.solve(gram, x[:, others].t() @ x[:, i])
        torch.testing.assert_close(model.weight[others, i].double(), expected, atol=1e-5, rtol=1e-4)
        assert model.weight[i, i] == 0


def test_metrics_equal_those_of_dense_scores(data, model):
    scores = binary(data) @ model.weight
    assert evaluate(model, data, "test") == Evaluator(data, "test")(scores, torch.eye(40))
    user, item = encode(model, data)
    assert user.is_sparse
    torch.testing.assert_close(user.to_dense() @ item.t(), scores)


def test_new_users_and_similar_items(data, model):
    rec = Recommender(model, data, progress=False)
    found = rec.recommend_new_users({"ann": [3, 8], "bob": [21]}, 4).to_dict()
    for name, history in {"ann": [3, 8], "bob": [21]}.items():
        scores = model.weight[history].sum(dim=0)
        scores[history] = -torch.inf
        best = scores.argsort(descending=True)[:4].tolist()
        assert found[name] == [(i, pytest.approx(scores[i].item(), abs=1e-6)) for i in best]
    assert (
        rec.similar_items([21], 4, deny=[0]).to_dict()[21]
        == rec.recommend_new_users({"bob": [21]}, 4, deny=[0]).to_dict()["bob"]
    )
    known = binary(data)[9].nonzero().flatten().tolist()
    again = rec.recommend_new_users({"me": known}, 5).to_dict()["me"]
    assert [i for i, _ in again] == [i for i, _ in rec.recommend([9], 5).to_dict()[9]]


def test_rows_of_interactions_are_not_exported(data, model, tmp_path, monkeypatch):
    rec = Recommender(model, data, progress=False)
    for save in (save_embeddings, save_faiss):
        with pytest.raises(InputError, match=r"^EASE: its users are rows of interactions, .*; exp"):
            save(rec, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_regularisation_that_is_lost_by_rounding(data):
    many = torch.cartesian_prod(torch.arange(60), torch.arange(40)).t()
    data[INTERACTS].edge_index = many
    data = LightGCNNorm()(data)  # a matrix of ones, which is singular
    with pytest.raises(InputError, match=r"^EASE: can't be solved in single precision; expected"):
        fit(EASE.from_data(data, reg_weight=1e-12), data, progress=False)
