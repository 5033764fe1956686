import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import BaseRecommender, InputError, TrainConfig, evaluate, fit, top_k
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.evaluation.metrics import Evaluator, SeenItems, popularity
from mentor_pyg.nn.models import MENTOR, LightGCN
from mentor_pyg.runs.run import load_run
from mentor_pyg.serving import Recommender
from mentor_pyg.transforms import ItemKNN, LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER


@pytest.mark.parametrize("k", [1, 7, 40, 1000])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_equal_a_loop(rec, naive, k, exclude_seen):
    users = [7, 0, 33, 59]
    lists = rec.recommend(users, k, exclude_seen).to_dict()
    assert list(lists) == users
    assert lists == {user: naive(user, k, exclude_seen) for user in users}


def test_lists_equal_those_of_the_evaluation(rec):
    train = rec.data[INTERACTS].edge_index
    users = torch.arange(60)
    expected = top_k(rec.user_emb, rec.item_emb, users, 5, SeenItems(train, 60))
    assert rec.recommend(k=5).items.reshape(60, 5).tolist() == expected.tolist()


def test_all_users_and_one(rec):
    everyone = rec.recommend(k=3)
    assert everyone.queries.tolist() == list(range(60))
    for user in (17, "17", torch.tensor([17]), np.array([17]), ["17"]):
        one = rec.recommend(user, k=3)
        assert one.queries.tolist() == [17]
        assert one.items.tolist() == everyone.items[3 * 17 :][:3].tolist()
    assert rec.recommend([], k=3).to_dict() == {}


def test_allow_and_deny(rec, naive):
    lists = rec.recommend([4, 5], 6, allow=[1, 2, 3, 8, 13, 21, 34], deny=[2, 39]).to_dict()
    allowed = [1, 3, 8, 13, 21, 34]
    assert lists == {user: naive(user, 6, allowed=allowed) for user in (4, 5)}
    lists = rec.recommend([4, 5], 6, deny=range(30)).to_dict()
    assert lists == {user: naive(user, 6, allowed=range(30, 40)) for user in (4, 5)}


def test_who_has_fewer_items_left_gets_a_shorter_list(rec):
    seen = rec.data[INTERACTS].edge_index
    mine = seen[1, seen[0] == 9].tolist()
    other = next(i for i in range(40) if i not in mine)
    assert rec.recommend([9], 5, allow=[*mine, other]).items.tolist() == [other]
    assert rec.recommend([9], 5, allow=mine).to_dict() == {9: []}
    assert rec.recommend([9], 5, deny=range(40)).to_dict() == {9: []}
    assert rec.recommend([9], 5, allow=[]).to_dict() == {9: []}
    lists = rec.recommend([9, 10], 40)
    assert len(lists.items) == len(lists.scores) == lists.ptr[-1] < 80
    assert not set(mine) & set(lists.items[: lists.ptr[1]].tolist())


def test_what_counts_as_seen(toy_folder, train):
    run = train(toy_folder)
    store = load_run(run).data[INTERACTS]
    held_out = store.test_edge_label_index
    user, item = held_out[:, 0].tolist()
    splits = {("train",): True, ("train", "val"): True, ("train", "val", "test"): False}
    for seen, is_listed in splits.items():
        items = Recommender.load(run, seen=seen, progress=False).recommend(user, 40).items
        assert (item in items) == is_listed
    with pytest.raises(InputError, match="no split 'dev'; expected train, val, test"):
        Recommender.load(run, seen=["dev"])


def test_similar_items_equal_a_loop(rec):
    lists = rec.similar_items([3, 21], 4, deny=[7]).to_dict()
    for query, found in lists.items():
        cosine = F.cosine_similarity(rec.item_emb, rec.item_emb[query].unsqueeze(0)).tolist()
        others = [i for i in range(40) if i not in (query, 7)]
        best = sorted(others, key=lambda i: -cosine[i])[:4]
        assert found == [(i, pytest.approx(cosine[i], abs=1e-5)) for i in best]
    assert rec.similar_items(3, 100).ptr.tolist() == [0, 39]


def test_a_new_user_is_the_mean_of_her_items(rec):
    histories = {"ann": [3, 5, 8], "bob": [21]}
    emb = rec.embed_users(histories)
    torch.testing.assert_close(emb[0], rec.item_emb[[3, 5, 8]].mean(dim=0))
    torch.testing.assert_close(emb[1], rec.item_emb[21])
    scores = (rec.item_emb @ emb[0]).tolist()
    best = sorted(set(range(40)) - {3, 5, 8}, key=lambda i: -scores[i])[:5]
    lists = rec.recommend_new_users(histories, 5)
    assert lists.to_dict()["ann"] == [(i, pytest.approx(scores[i], abs=1e-5)) for i in best]
    lists = rec.recommend_new_users(histories, 40, exclude_seen=False, deny=[0])
    assert lists.ptr.tolist() == [0, 39, 78]
    assert rec.recommend_new_users({}).to_dict() == {}


def test_an_item_named_twice_counts_once(rec):
    twice, once = rec.embed_users({"a": [3, 3, 5], "b": [5, 3]})
    assert torch.equal(twice, once)


def graphs(data):
    return LightGCNNorm()(ItemKNN(k=5, cache=False)(data))


QUICK = {"hidden_channels": 16, "mask_weight": 0.0, "contrast_weight": 0.0}


@pytest.mark.parametrize(
    ("model_class", "options"), [(MENTOR, QUICK), (LightGCN, {"num_layers": 2})]
)
def test_new_users_are_served_better_than_by_popularity(model_class, options):
    """A tenth of the users is held out of training, then known by its training items."""
    sizes = {"num_users": 500, "num_items": 300, "num_pairs": 5000, "num_topics": 40}
    data = SyntheticDataset(**sizes, channels={"visual": 16})[0]
    store = data[INTERACTS]
    train, test = store.edge_index, store.test_edge_label_index
    kept = [p[:, p[0] >= 80] for p in (train, store.val_edge_label_index, test)]
    names = ("edge_index", "val_edge_label_index", "test_edge_label_index")
    for name, pairs in zip(names, kept):
        store[name] = pairs
    data = graphs(data)
    model = model_class.from_data(data, **options)
    fit(model, data, TrainConfig(epochs=15, batch_size=512, lr=1e-2), progress=False)
    rec = Recommender(model, data, progress=False)
    emb = rec.embed_users({u: train[1, train[0] == u] for u in range(80)})

    new = data.clone()
    new[USER].num_nodes = 80
    new[INTERACTS].edge_index = train[:, train[0] < 80]
    new[INTERACTS].test_edge_label_index = test[:, test[0] < 80]
    evaluator = Evaluator(new, "test", (20,))
    recall = evaluator(emb, rec.item_emb)["recall@20"]
    _, counts = popularity(data)
    assert recall > 1.5 * evaluator(torch.ones(80, 1), counts)["recall@20"]
    assert recall > 0.5 * evaluate(model, data, "test", (20,))["recall@20"]


def test_labels_for_ids(with_labels, train):
    rec = Recommender.load(train(with_labels), progress=False)
    rows = rec.recommend(["u7", "u30"], 2).to_rows()
    assert [(user, rank) for user, rank, _, _ in rows] == [
        ("u7", 1),
        ("u7", 2),
        ("u30", 1),
        ("u30", 2),
    ]
    scores = rec.item_emb @ rec.user_emb[7]
    for _, _, item, score in rows[:2]:
        assert score == pytest.approx(scores[int(item[1:])].item(), abs=1e-5)
    assert rec.similar_items("i3", 1, allow=["i5"]).to_dict()["i3"][0][0] == "i5"


@pytest.mark.parametrize("unknown", [60, -1, "60", [3, 99]])
def test_unknown_number(rec, unknown):
    with pytest.raises(InputError, match=r"^user '.*': unknown; expected one of 60 from 0 to 59$"):
        rec.recommend(unknown)


@pytest.mark.parametrize("odd", [1.5, [2.0], None, [[1]], [True]])
def test_ids_of_a_wrong_kind(rec, odd):
    with pytest.raises(InputError, match=r"item ids: are .*; expected integers or texts"):
        rec.similar_items(odd)


def test_unknown_label_and_a_near_match(with_labels, train):
    rec = Recommender.load(train(with_labels), progress=False)
    with pytest.raises(
        InputError, match=r"^user 'U17': unknown; expected one of 60, such as 'u17'$"
    ):
        rec.recommend(["u1", "U17"])
    with pytest.raises(InputError, match=r"'x0', 'x1', 'x2', 'x3', 'x4' and 2 more: unknown"):
        rec.recommend("u1", deny=[f"x{i}" for i in range(7)])


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None, "5", float("nan")])
def test_lengths_that_are_none(rec, k):
    for lists in (
        lambda: rec.recommend(1, k=k),
        lambda: rec.recommend_new_users({"ann": [3]}, k=k),
        lambda: rec.similar_items(3, k=k),
    ):
        with pytest.raises(InputError, match=r"^k: is .*; expected .*1 or more items per list"):
            lists()
    assert len(rec.recommend(1, k=np.int64(2)).items) == 2


def test_new_users_keep_their_names(rec):
    histories = {"x": [3], 5: [8], "5": [21], ("shop", 1): [3], ("shop", 2): [8], None: [21]}
    lists = rec.recommend_new_users(histories, 2).to_dict()
    assert list(lists) == list(histories)
    assert lists["x"] == lists["shop", 1] != lists[5] == lists["shop", 2] != lists["5"]


@pytest.mark.parametrize("histories", [None, [[1, 2]], "abc"])
def test_histories_without_names(rec, histories):
    with pytest.raises(InputError, match=r"histories: are .*; expected items by the name"):
        rec.recommend_new_users(histories)
    with pytest.raises(InputError, match=r"histories: are .*; expected items by the name"):
        rec.embed_users(histories)


class Broken(BaseRecommender):
    """A model that diverged."""

    def forward(self, data):
        return torch.full((60, 2), torch.nan), torch.ones(40, 2)


def test_models_and_data_without_lists(tiny):
    with pytest.raises(InputError, match="user embeddings: 60 of 60 rows hold NaN or infinite"):
        Recommender(Broken(), tiny)
    tiny = LightGCNNorm()(tiny)
    model = LightGCN.from_data(tiny)
    for seen in (None, [1], "dev"):
        with pytest.raises(InputError, match=r"^seen: .*; expected .*train, val, test"):
            Recommender(model, tiny, seen=seen)
    tiny[USER].original_id = tiny[USER].original_id[1:]
    with pytest.raises(InputError, match="original_id of users: there are 59; expected 60"):
        Recommender(model, tiny)
    del tiny[ITEM].original_id, tiny[USER].original_id
    with pytest.raises(InputError, match="original_id of users: there are none; expected 60"):
        Recommender(model, tiny)


def test_other_bad_inputs(rec):
    with pytest.raises(InputError, match="k: is 0; expected 1 or more"):
        rec.recommend(1, k=0)
    for k in (2.0, True, "3"):
        with pytest.raises(InputError, match=r"k: is .*; expected an integer, 1 or more"):
            rec.similar_items(1, k=k)
    with pytest.raises(InputError, match="new user 'ann': has no items; expected at least one"):
        rec.recommend_new_users({"ann": []})
    with pytest.raises(InputError, match="item '40': unknown"):
        rec.recommend_new_users({"ann": [40]})


def test_damaged_and_missing_runs(toy_folder, train, tmp_path):
    run = train(toy_folder)
    best = run / "best.safetensors"
    content = best.read_bytes()
    best.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"best.safetensors: can't be loaded"):
        Recommender.load(run)
    with pytest.raises(FileNotFoundError, match=r"best.safetensors: not found"):
        Recommender.load(tmp_path)
    best.write_bytes(content)
    features = np.load(toy_folder / "image_feat.npy")
    np.save(toy_folder / "image_feat.npy", features + 1)
    with pytest.raises(InputError, match="holds other data"):
        Recommender.load(run)


def test_data_that_moved(toy_folder, train, tmp_path):
    run = train(toy_folder)
    before = Recommender.load(run, progress=False).recommend(3).to_dict()
    moved = toy_folder.rename(tmp_path / "moved")
    assert Recommender.load(run, data=moved, progress=False).recommend(3).to_dict() == before


def test_without_a_run(tiny):
    data = graphs(tiny)
    model = MENTOR.from_data(data)
    rec = Recommender(model, data, progress=False)
    scores = rec.item_emb @ rec.user_emb[2]
    found = rec.recommend(2, 1, exclude_seen=False).to_dict()
    assert found[2][0][0] == int(scores.argmax())
    with pytest.raises(InputError, match="can't be embedded; expected `content`"):
        rec.add_items([40], {"visual": data[ITEM].x_visual[:1]})


@pytest.mark.parametrize("length", [1e-30, 1e-14, 1.0, 1e18])
def test_similar_items_depend_on_directions_alone(rec, length):
    rec.item_emb = torch.nn.functional.normalize(rec.item_emb.double())
    expected = rec.similar_items([3, 4], 5)
    rec.item_emb = (rec.item_emb * length).float()
    found = rec.similar_items([3, 4], 5)
    assert found.items.tolist() == expected.items.tolist()
    assert found.scores == pytest.approx(expected.scores, rel=1e-5)
