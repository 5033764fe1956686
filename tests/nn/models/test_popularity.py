import pytest

from mentor_pyg import InputError, Recommender, evaluate, fit
from mentor_pyg.evaluation.metrics import Evaluator, popularity
from mentor_pyg.nn.models import Popularity
from mentor_pyg.transforms import LightGCNNorm


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def test_lists_are_those_of_the_counts(data):
    model = Popularity.from_data(data)
    fit(model, data, progress=False)
    pairs = data["user", "interacts", "item"].edge_index
    expected = [(pairs[1] == i).sum().item() for i in range(40)]
    assert model.count.flatten().tolist() == expected
    assert evaluate(model, data, "test") == Evaluator(data, "test")(*popularity(data))


def test_new_users_get_the_same_list_and_no_items_are_similar(data):
    model = Popularity.from_data(data)
    fit(model, data, progress=False)
    rec = Recommender(model, data, progress=False)
    lists = rec.recommend_new_users({"a": [3], "b": [5, 8]}, 40, exclude_seen=False)
    scores = lists.scores.reshape(2, 40)
    assert (scores[0] == scores[1]).all()
    assert scores[0].tolist() == sorted(model.count.flatten().tolist(), reverse=True)
    with pytest.raises(InputError, match=r"^Popularity: knows counts of items only, .*; expected"):
        rec.similar_items(3)
    with pytest.raises(InputError, match=r"^Popularity: uses no content, so new items can't be"):
        rec.add_items([99], {})
