import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.transforms import cosine_knn
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER, modalities

MEDIUM = {
    "num_users": 800,
    "num_items": 300,
    "num_pairs": 7000,
    "channels": {"visual": 32, "textual": 16},
    "num_topics": 30,
}


@pytest.fixture(scope="module")
def medium():
    return SyntheticDataset(**MEDIUM)[0]


def splits(data):
    store = data[INTERACTS]
    return [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]


def test_exact_sizes(medium):
    assert medium[USER].num_nodes == 800
    assert medium[ITEM].num_nodes == 300
    assert sum(pairs.size(1) for pairs in splits(medium)) == 7000
    assert medium[ITEM].x_visual.shape == (300, 32)
    assert medium[ITEM].x_textual.shape == (300, 16)
    assert medium[ITEM].x_visual.dtype == torch.float32
    assert torch.equal(medium[REV_INTERACTS].edge_index, medium[INTERACTS].edge_index.flip(0))
    assert medium.validate()


def test_pairs_are_distinct(medium):
    everything = torch.cat(splits(medium), dim=1)
    assert everything.unique(dim=1).size(1) == everything.size(1)
    assert everything.min() == 0
    assert everything[0].max() == 799
    assert everything[1].max() < 300


def test_every_user_in_every_split(medium):
    count = torch.stack([pairs[0].bincount(minlength=800) for pairs in splits(medium)])
    assert (count.sum(dim=0) >= 5).all()
    assert (count >= 1).all()
    # One in ten pairs is held out for each, rounded down:
    assert torch.equal(count[1], (count.sum(dim=0) // 10).clamp(min=1))
    assert torch.equal(count[2], count[1])


@pytest.mark.parametrize("row", [0, 1], ids=["users", "items"])
def test_long_tail_at_the_size_of_baby(row):
    degree = torch.cat(splits(SyntheticDataset(channels={})[0]), dim=1)[row].bincount()
    assert degree.max() > 20 * degree.median()


def test_seed(tiny):
    same, other = SyntheticDataset.tiny(seed=0)[0], SyntheticDataset.tiny(seed=1)[0]
    for a, b in zip(splits(tiny), splits(same)):
        assert torch.equal(a, b)
    for modality in modalities(tiny):
        key = f"x_{modality}"
        assert torch.equal(tiny[ITEM][key], same[ITEM][key])
        assert not torch.allclose(tiny[ITEM][key], other[ITEM][key])
    assert not torch.equal(tiny[INTERACTS].edge_index, other[INTERACTS].edge_index)


def test_any_sizes():
    channels = {"visual": 6, "textual": 5, "acoustic": 4}
    dataset = SyntheticDataset.tiny(num_users=30, num_items=50, num_pairs=200, channels=channels)
    found = dataset.statistics()
    assert (found.users, found.items, sum(found.pairs.values())) == (30, 50, 200)
    assert found.widths == channels
    assert found.cold_users == 0


def test_no_features():
    assert modalities(SyntheticDataset.tiny(channels={})[0]) == []


@pytest.mark.parametrize("num_pairs", [300, 600], ids=["sparsest", "densest"])
def test_extreme_sizes(num_pairs):
    data = SyntheticDataset.tiny(num_pairs=num_pairs)[0]
    assert sum(pairs.size(1) for pairs in splits(data)) == num_pairs


@pytest.mark.parametrize("num_pairs", [299, 601])
def test_impossible_sizes(num_pairs):
    message = rf"num_pairs: is {num_pairs}; expected 5 U = 300 to U I / 4 = 600"
    with pytest.raises(InputError, match=message):
        SyntheticDataset.tiny(num_pairs=num_pairs)


@pytest.mark.parametrize(
    "options",
    [
        {"num_users": 0},
        {"num_items": 19},
        {"num_pairs": 500.0},
        {"channels": {"visual": 0}},
        {"channels": [8]},
        {"num_topics": 0},
        {"seed": -1},
        {"seed": True},
        {"transform": "item_knn"},
    ],
)
def test_bad_arguments(options):
    (name,) = options
    with pytest.raises(InputError, match=rf"^SyntheticDataset\.{name}: is .*; expected "):
        SyntheticDataset.tiny(**options)


@pytest.mark.parametrize("modality", ["visual", "textual"])
def test_neighbors_share_users(medium, modality):
    """Features tell of the interactions: similar items are liked by the same users."""
    interactions = torch.zeros(800, 300)
    interactions[tuple(torch.cat(splits(medium), dim=1))] = 1
    profile = torch.nn.functional.normalize(interactions, dim=0)
    shared = profile.t() @ profile
    neighbor, item = cosine_knn(medium[ITEM][f"x_{modality}"], 5)[0]
    by_chance = shared[~torch.eye(300, dtype=torch.bool)].mean()
    assert shared[neighbor, item].mean() > 1.3 * by_chance


def test_transform():
    dataset = SyntheticDataset.tiny(transform=lambda data: data.node_types)
    assert dataset[0] == [USER, ITEM]
