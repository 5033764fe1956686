import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import InputError, TrainConfig, evaluate, fit
from mentor_pyg.nn import models
from mentor_pyg.preparation import from_interactions
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER

RATES = ("user", "rates", "movie")


@pytest.fixture
def raw():
    """As PyG's MovieLens1M has it."""
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["user"].x = torch.randn(30, 4, generator=generator)
    data["movie"].x = torch.randn(20, 6, generator=generator)
    keys = torch.randperm(600, generator=generator)[:300]
    data[RATES].edge_index = torch.stack([keys // 20, keys % 20])
    data[RATES].rating = torch.randint(1, 6, (300,), generator=generator)
    data[RATES].time = torch.randperm(300, generator=generator)
    return data


def as_set(pairs):
    return {tuple(pair) for pair in pairs.t().tolist()}


def splits(data):
    store = data[INTERACTS]
    names = "edge_index", "val_edge_label_index", "test_edge_label_index"
    return [as_set(store[name]) for name in names]


def test_pairs_are_divided_and_none_is_lost(raw):
    train, val, test = splits(from_interactions(raw, RATES))
    assert train | val | test == as_set(raw[RATES].edge_index)
    assert len(train) + len(val) + len(test) == 300
    assert 20 <= len(val) <= 40
    assert 20 <= len(test) <= 60


def test_last_pairs_are_held_out_by_time(raw):
    train, val, test = splits(from_interactions(raw, RATES, method="leave-last-out"))
    user, item = raw[RATES].edge_index
    for u in range(30):
        mine = (user == u).nonzero().flatten()
        ordered = item[mine[raw[RATES].time[mine].argsort()]].tolist()
        assert (u, ordered[-1]) in test
        assert (u, ordered[-2]) in val
        assert {(u, i) for i in ordered[:-2]} <= train


def test_edges_that_do_not_count_are_in_no_split(raw):
    keep = raw[RATES].rating >= 3
    train, val, test = splits(from_interactions(raw, RATES, keep=keep))
    assert train | val | test == as_set(raw[RATES].edge_index[:, keep])


def test_held_out_pairs_of_the_dataset_are_kept_and_not_trained_on(raw):
    """As PyG's AmazonBook has them; here some are among the edges, too."""
    test = torch.cat([raw[RATES].edge_index[:, :40], torch.tensor([[0], [0]])], dim=1)
    raw[RATES].edge_label_index = test
    found = splits(from_interactions(raw, RATES))
    assert found[2] == as_set(test)
    assert not (found[0] | found[1]) & as_set(test)
    assert found[1]
    val = raw[RATES].edge_index[:, 40:60]
    found = splits(from_interactions(raw, RATES, val=val))
    assert found[1] == as_set(val)
    assert found[0] == as_set(raw[RATES].edge_index[:, 60:])


def test_pairs_count_once_from_their_first_time_on(raw):
    store = raw[RATES]
    store.edge_index = torch.cat([store.edge_index, store.edge_index[:, :50]], dim=1)
    store.time = torch.cat([store.time, store.time[:50] + 1000])
    found = splits(from_interactions(raw, RATES, method="leave-last-out"))
    assert sum(map(len, found)) == 300


def test_features_become_modalities(raw):
    raw["movie"].x_visual = torch.rand(20, 3)
    raw["movie"].mask_visual = torch.rand(20) < 0.5
    data = from_interactions(raw, RATES)
    assert data[ITEM].x_content is raw["movie"].x
    assert data[ITEM].x_visual is raw["movie"].x_visual
    assert data[ITEM].mask_visual is raw["movie"].mask_visual
    data = from_interactions(raw, RATES, features={"plot": "x"})
    assert [key for key in data[ITEM] if key.startswith("x_")] == ["x_plot"]


def test_given_data_stay_as_they_are(raw):
    before = raw.clone()
    from_interactions(raw, RATES)
    assert set(before.edge_types) == set(raw.edge_types)
    assert torch.equal(before[RATES].edge_index, raw[RATES].edge_index)


@pytest.mark.parametrize("name", ["LightGCN", "VBPR", "MFBPR"])
def test_models_train_on_it(raw, name):
    data = LightGCNNorm()(from_interactions(raw, RATES))
    model = getattr(models, name).from_data(data, hidden_channels=8)
    fit(
        model,
        data,
        TrainConfig(epochs=2, batch_size=64, ks=(5,), monitor="recall@5"),
        progress=False,
    )
    assert 0 <= evaluate(model, data, ks=(5,))["recall@5"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: {"edge_type": ("user", "likes", "movie")},
            "no edges .* one of .*rates",
        ),
        (lambda d: {"keep": torch.ones(3, dtype=torch.bool)}, r"'keep' has shape \[3\]; expected"),
        (lambda d: {"keep": torch.ones(300)}, "'keep' has dtype torch.float32; expected bool"),
        (lambda d: {"test": torch.tensor([[0], [20]])}, "test: row 1 .* from 20 to 20; expected"),
        (lambda d: {"features": {"plot": "text"}}, "no 'text' for 'plot'; expected one of x"),
        (lambda d: {"features": {"a.b": "x"}}, "PyTorch refuses as a name"),
        (lambda d: {"held_out": 0.7}, "held_out: is 0.7; expected a share"),
        (lambda d: {"method": "last"}, "method: is 'last'; expected one of"),
        (lambda d: {"keep": torch.zeros(300, dtype=torch.bool)}, "0 pairs leaves no"),
    ],
)
def test_what_does_not_fit_is_refused(raw, change, message):
    arguments = {"edge_type": RATES, **change(raw)}
    with pytest.raises(InputError, match=message):
        from_interactions(raw, **arguments)


def test_times_may_have_fractions(raw):
    expected = splits(from_interactions(raw, RATES, method="leave-last-out"))
    raw[RATES].time = raw[RATES].time / 1000
    assert splits(from_interactions(raw, RATES, method="leave-last-out")) == expected


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (torch.full((300,), torch.nan), "'time' holds NaN or infinite numbers; expected"),
        (torch.arange(299), r"'time' has shape \[299\]; expected \[300\]"),
    ],
)
def test_times_that_order_nothing_are_refused(raw, time, message):
    raw[RATES].time = time
    with pytest.raises(InputError, match=message):
        from_interactions(raw, RATES, method="temporal")


def test_validation_pairs_are_no_test_pairs(raw):
    pairs = raw[RATES].edge_index
    with pytest.raises(InputError, match="5 validation pairs are test pairs, too; expected none"):
        from_interactions(raw, RATES, val=pairs[:, :20], test=pairs[:, 15:40])


def test_times_are_needed_for_splits_by_time(raw):
    del raw[RATES].time
    with pytest.raises(InputError, match="'temporal' goes by time"):
        from_interactions(raw, RATES, method="temporal")


def test_node_types_are_called_as_everywhere_else(raw):
    data = from_interactions(raw, RATES)
    assert set(data.node_types) == {USER, ITEM}
    assert data.edge_types == [INTERACTS]
