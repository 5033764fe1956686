import math

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import BaseRecommender, Evaluator, InputError, evaluate, top_k
from mentor_pyg.evaluation.metrics import SeenItems, encode, metric_names, popularity
from mentor_pyg.sparse import products
from mentor_pyg.typing import INTERACTS, ITEM, USER

NUM_USERS, NUM_ITEMS = 12, 20
KS = (1, 3, 10)


@pytest.fixture
def data():
    """User 0 has no training pairs, user 1 no test pairs, user 2 has neither."""
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(NUM_USERS), torch.arange(NUM_ITEMS))
    pairs = pairs[torch.randperm(len(pairs))[:150]]
    split = torch.arange(len(pairs)) % 4  # half of the pairs are for training
    split[(split == 3) | (split == 0)] = 0
    user = pairs[:, 0]
    keep = torch.ones(len(pairs), dtype=torch.bool)
    for out_user, out_splits in ((0, [0]), (1, [2]), (2, [0, 2])):
        keep &= (user != out_user) | ~torch.isin(split, torch.tensor(out_splits))
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = NUM_USERS, NUM_ITEMS
    names = ("edge_index", "val_edge_label_index", "test_edge_label_index")
    for label, name in enumerate(names):
        data[INTERACTS][name] = pairs[keep & (split == label)].t()
    return data


@pytest.fixture
def embeddings(data):
    return torch.randn(NUM_USERS, 4), torch.randn(NUM_ITEMS, 4)


@pytest.fixture(params=[None, 1, 3 * NUM_ITEMS, 5 * NUM_ITEMS + 1], ids=lambda n: f"block={n}")
def block(request, monkeypatch):
    if request.param is not None:
        monkeypatch.setitem(products.ENTRIES, "cpu", request.param)


def items_by_user(edge_index):
    items = {user: set() for user in range(NUM_USERS)}
    for user, item in edge_index.t().tolist():
        items[user].add(item)
    return items


def naive_list(user, embeddings, k, seen=()):
    scores = embeddings[1] @ embeddings[0][user]
    ranked = sorted(range(NUM_ITEMS), key=lambda i: -scores[i].item())
    return [i for i in ranked if i not in seen][:k]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("k", [1, 8])
def test_top_k_equals_naive_loop(data, embeddings, block, masked, k):
    train = data[INTERACTS].edge_index
    seen = items_by_user(train if masked else train[:, :0])
    users = torch.tensor([7, 0, 3, 3, 11, 5, 1])
    lists = top_k(*embeddings, users, k, SeenItems(train, NUM_USERS) if masked else None)
    assert lists.tolist() == [naive_list(u, embeddings, k, seen[u]) for u in users.tolist()]


def test_top_k_of_no_users(embeddings):
    assert top_k(*embeddings, torch.empty(0, dtype=torch.long), 3).shape == (0, 3)


@pytest.mark.parametrize("k", [-1, 0, 2.0, True])
def test_top_k_is_of_a_whole_number(embeddings, k):
    with pytest.raises(InputError, match=rf"top_k\.k: is {k}; expected .*at least 1"):
        top_k(*embeddings, torch.arange(3), k)


def test_top_k_needs_enough_items(embeddings):
    with pytest.raises(InputError, match=r"lists of length \[21\] can't be ranked; .* items, 20"):
        top_k(*embeddings, torch.arange(3), NUM_ITEMS + 1)


def metrics_of_list(found, relevant, k):
    """The definitions, for a list of k items and the set of a user's held-out ones."""
    hits = [item in relevant for item in found]
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    ideal = min(k, len(relevant))
    dcg = sum(1 / math.log2(rank + 1) for rank in ranks)
    return {
        "recall": len(ranks) / len(relevant),
        "precision": len(ranks) / k,
        "hit_ratio": float(any(hits)),
        "ndcg": dcg / sum(1 / math.log2(rank + 1) for rank in range(1, ideal + 1)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum(sum(hits[:rank]) / rank for rank in ranks) / ideal,
    }


def naive_metrics(data, split, embeddings):
    train = items_by_user(data[INTERACTS].edge_index)
    held_out = items_by_user(data[INTERACTS][f"{split}_edge_label_index"])
    users = [u for u in range(NUM_USERS) if train[u] and held_out[u]]
    result = {}
    for k in KS:
        lists = {u: naive_list(u, embeddings, k, train[u]) for u in users}
        rows = [metrics_of_list(lists[u], held_out[u], k) for u in users]
        result |= {f"{name}@{k}": sum(r[name] for r in rows) / len(rows) for name in rows[0]}
        result[f"coverage@{k}"] = len({i for found in lists.values() for i in found}) / NUM_ITEMS
    return result


@pytest.mark.parametrize("split", ["val", "test"])
def test_metrics_equal_naive_loop(data, embeddings, block, split):
    evaluator = Evaluator(data, split, KS)
    expected = naive_metrics(data, split, embeddings)
    assert evaluator(*embeddings) == pytest.approx(expected, abs=1e-6)
    # Nothing is kept from one call to the next:
    other = [-x for x in embeddings[:1]] + [embeddings[1]]
    expected = naive_metrics(data, split, other)
    assert evaluator(*other) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("split", "dropped"), [("val", {0, 2}), ("test", {0})])
def test_which_users_are_ranked(data, split, dropped):
    evaluator = Evaluator(data, split)
    held_out = items_by_user(data[INTERACTS][f"{split}_edge_label_index"])
    with_pairs = {user for user, items in held_out.items() if items}
    assert dropped < with_pairs < set(range(NUM_USERS))
    assert evaluator.users.tolist() == sorted(with_pairs - dropped)
    assert evaluator.num_dropped_users == len(dropped)


def test_validation_items_are_not_masked_at_test():
    """One user who likes item 0 of training most, then 1 of validation, then 2 of test."""
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = 1, 4
    names = ("edge_index", "val_edge_label_index", "test_edge_label_index")
    for item, name in enumerate(names):
        data[INTERACTS][name] = torch.tensor([[0], [item]])
    embeddings = torch.ones(1, 1), torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    assert Evaluator(data, "val", [1])(*embeddings)["recall@1"] == 1
    metrics = Evaluator(data, "test", [1, 2])(*embeddings)
    assert metrics["recall@1"] == 0
    assert metrics["mrr@2"] == 0.5


@pytest.mark.parametrize(
    ("ks", "expected"),
    [
        *(
            (ks, "a list of different integers")
            for ks in ([], [0], [5, -1], [5, 5], [2.0], [1.5], [True], 10)
        ),
        ([10, NUM_ITEMS + 1], "lengths from 1 to the number of items, 20"),
    ],
)
def test_lists_that_cannot_be_ranked(data, ks, expected):
    with pytest.raises(InputError, match=f"; expected {expected}"):
        Evaluator(data, "val", ks)


def test_lists_may_come_in_any_order(data, embeddings):
    found = Evaluator(data, "val", [5, 2])(*embeddings)
    assert found == Evaluator(data, "val", np.array([2, 5]))(*embeddings)


def test_longest_list_is_all_items(data, embeddings):
    metrics = Evaluator(data, "test", [NUM_ITEMS])(*embeddings)
    assert metrics[f"recall@{NUM_ITEMS}"] == 1
    assert metrics[f"coverage@{NUM_ITEMS}"] == 1


@pytest.fixture
def few_unseen():
    """Four users, each with eight of ten items in training and one of the others in test."""
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = 4, 10
    users = torch.arange(4)
    data[INTERACTS].edge_index = torch.cartesian_prod(users, torch.arange(8)).t()
    data[INTERACTS].test_edge_label_index = torch.stack([users, 8 + users % 2])
    data[INTERACTS].val_edge_label_index = torch.stack([users, 9 - users % 2])
    return data


def test_seen_items_never_fill_up_a_list(few_unseen):
    scores = torch.rand(4, 10, generator=torch.Generator().manual_seed(0))
    evaluator = Evaluator(few_unseen, "test", (1, 5))
    lists = evaluator.rank(scores, torch.eye(10))
    assert [{*row} for row in lists.tolist()] == 4 * [{8, 9}]
    metrics = evaluator.measure(lists)
    assert metrics["coverage@5"] == pytest.approx(2 / 10)
    assert metrics["precision@5"] == pytest.approx(1 / 5)
    assert metrics["recall@5"] == metrics["hit_ratio@5"] == 1
    rows, values = evaluator.measure_users(lists)
    assert rows.tolist() == [0, 1, 2, 3]
    assert {name: float(value.mean()) for name, value in values.items()} == pytest.approx(
        {name: value for name, value in metrics.items() if "coverage" not in name}
    )


def test_lists_of_different_lengths(few_unseen):
    """A user with one pair of training has nine items left, the others two."""
    store = few_unseen[INTERACTS]
    store.edge_index = store.edge_index[:, (store.edge_index[0] > 0) | (store.edge_index[1] == 3)]
    evaluator = Evaluator(few_unseen, "test", (5, 10))
    scores = torch.arange(10.0).expand(4, 10)
    lists = evaluator.rank(scores, torch.eye(10))
    assert lists.tolist() == [[9, 8, 7, 6, 5, 4, 2, 1, 0], *3 * [[9, 8] + 7 * [-1]]]
    metrics = evaluator.measure(lists)
    assert (metrics["coverage@5"], metrics["coverage@10"]) == pytest.approx((0.5, 0.9))
    assert metrics["precision@10"] == pytest.approx(1 / 10)
    assert metrics["ndcg@10"] == pytest.approx((2 / math.log2(3) + 2) / 4)


def test_a_seen_item_is_no_hit_even_if_it_is_held_out_again(few_unseen):
    few_unseen[INTERACTS].test_edge_label_index = torch.tensor([[0, 1, 2, 3], [0, 7, 9, 9]])
    evaluator = Evaluator(few_unseen, "test", (10,))
    assert evaluator(torch.ones(4, 1), torch.ones(10, 1))["recall@10"] == 0.5


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_embeddings_that_are_not_finite(data, embeddings, side, value):
    embeddings[side][4, 1] = value
    kind = ("user", "item")[side]
    with pytest.raises(InputError, match=f"{kind} embeddings: 1 of .* rows hold NaN or infinite"):
        Evaluator(data, "test", (3,))(*embeddings)
    with pytest.raises(InputError, match="expected finite ones"):
        top_k(*embeddings, torch.arange(3), 3)


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_scores_that_are_not_finite(data, embeddings, dtype):
    scale = 1e20 if dtype is None else 1e3
    user, item = (scale * x for x in embeddings)
    with pytest.raises(InputError, match="scores: are NaN or infinite; expected finite ones"):
        Evaluator(data, "test", (3,), dtype=dtype)(user, item)


def test_embeddings_of_another_shape(data, embeddings):
    user, item = embeddings
    evaluator = Evaluator(data, "test", (3,))
    for broken, message in (
        ((user[1:], item), "are of 11 users and 20 items; expected 12 and 20"),
        ((user[:, 1:], item), "users have 3 columns of torch.float32, items 4 columns"),
        ((user.double(), item), "users have 4 columns of torch.float64, items 4 columns of"),
        ((user, item[:, 0]), r"item embeddings: have shape \[20\]"),
        ((user.long(), item.long()), "dtype torch.int64; expected a matrix of floats"),
    ):
        with pytest.raises(InputError, match=message):
            evaluator(*broken)


def test_a_pair_that_is_there_twice_counts_once(few_unseen):
    store = few_unseen[INTERACTS]
    store.test_edge_label_index = store.test_edge_label_index.repeat(1, 2)
    assert Evaluator(few_unseen, "test", (5,))(torch.ones(4, 1), torch.ones(10, 1))["recall@5"] == 1


@pytest.mark.parametrize("name", ["edge_index", "test_edge_label_index"])
@pytest.mark.parametrize("pair", [[4, 0], [0, 10], [-1, 0]])
def test_pairs_of_nobody(few_unseen, name, pair):
    store = few_unseen[INTERACTS]
    store[name] = torch.cat([store[name], torch.tensor([pair]).t()], dim=1)
    with pytest.raises(InputError, match=r"(training|test) pairs.*; expected "):
        Evaluator(few_unseen, "test", (5,))


def test_rows_of_nobody(embeddings):
    with pytest.raises(InputError, match="users: row 12 does not exist; expected 0 to 11"):
        top_k(*embeddings, torch.tensor([3, 12]), 2)


def test_unknown_split(data):
    with pytest.raises(InputError, match="split: is 'train'; expected one of 'val', 'test'"):
        Evaluator(data, "train")
    del data[INTERACTS].test_edge_label_index
    with pytest.raises(InputError, match="has no test pairs; expected 'test_edge_label_index'"):
        Evaluator(data, "test")


def test_nobody_to_rank(data):
    data[INTERACTS].test_edge_label_index = torch.tensor([[0], [4]])
    with pytest.raises(InputError, match="no user has both training and test pairs"):
        Evaluator(data, "test")


class Constant(BaseRecommender):
    """Always the same embeddings, negated in training mode."""

    def __init__(self, embeddings):
        super().__init__()
        self.embeddings = embeddings

    def forward(self, data):
        assert not torch.is_grad_enabled()
        user, item = self.embeddings
        return (-user, item) if self.training else (user, item)


@pytest.mark.parametrize("training", [False, True])
def test_evaluate_a_model(data, embeddings, training):
    model = Constant(embeddings).train(training)
    assert evaluate(model, data, "test", KS) == Evaluator(data, "test", KS)(*embeddings)
    assert all(a is b for a, b in zip(encode(model, data), embeddings))
    assert model.training == training


def test_mode_is_restored_after_an_error(data):
    model = Constant(None)
    with pytest.raises(TypeError):
        encode(model, data)
    assert model.training


def test_popularity(data):
    user, item = popularity(data)
    assert user.shape == (NUM_USERS, 1)
    count = [0] * NUM_ITEMS
    for i in data[INTERACTS].edge_index[1].tolist():
        count[i] += 1
    assert (user @ item.t()).tolist() == NUM_USERS * [count]


def test_metrics_of_the_usual_lengths(data, embeddings):
    """Those of the papers, 10 and 20."""
    data["user"].x, data["item"].x = embeddings

    class Given(BaseRecommender):
        def forward(self, data):
            return data["user"].x, data["item"].x

    names = {"recall", "ndcg", "precision", "map", "mrr", "hit_ratio", "coverage"}
    expected = {f"{name}@{k}" for name in names for k in (10, 20)}
    assert set(evaluate(Given(), data)) == set(metric_names((10, 20))) == expected
    assert set(Evaluator(data, "val")(*embeddings)) == expected
    assert len(metric_names((10, 20))) == 14
