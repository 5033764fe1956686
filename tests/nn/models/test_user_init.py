import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError, TrainConfig, fit
from mentor_pyg.nn import models, user_semantics
from mentor_pyg.nn.models import initialize_users
from mentor_pyg.testing import add_graphs
from mentor_pyg.typing import INTERACTS, ITEM, USER

SOLVED = {n for n in models.classes if issubclass(getattr(models, n), models.SolvedRecommender)}


@pytest.fixture
def data(raw):
    edges = raw[INTERACTS].edge_index
    raw[INTERACTS].edge_index = edges[:, edges[0] != 3]
    return add_graphs(raw)


def build(name, data, **options):
    torch.manual_seed(0)
    return getattr(models, name).from_data(data, **options)


def cosines(x):
    x = F.normalize(x)
    return x @ x.t()


def test_users_keep_the_geometry_of_their_content(data):
    """Up to the random projection, whose error falls with the width."""
    model = build("LightGCN", data, hidden_channels=20_000)
    before = model.embedding.user.detach().clone()
    item = model.embedding.item.detach().clone()
    initialize_users(model, data, num_clusters=1, local_weight=0.7)
    adj = data[INTERACTS].adjacency
    x = [F.normalize(data[ITEM].x_acoustic), F.normalize(data[ITEM].x_visual)]
    x[1] = x[1] * data[ITEM].mask_visual[:, None]
    masks = [None, data[ITEM].mask_visual]
    content = [user_semantics(a, adj, m, 1, 0.7) for a, m in zip(x, masks)]
    user, known = model.embedding.user, torch.arange(60) != 3
    expected = cosines(torch.cat(content, dim=1)[known])  # independent projections add up
    torch.testing.assert_close(cosines(user[known]), expected, rtol=0, atol=0.05)
    assert torch.equal(user[3], before[3])
    assert torch.equal(model.embedding.item, item)
    torch.testing.assert_close(user[known].square().mean(), before.square().mean())


def test_each_modality_encoder_gets_its_own_users(data):
    """A linear map of their content, of as many columns as the modality."""
    model = build("MENTOR", data, hidden_channels=8)
    identities = model.id_encoder.user.detach().clone()
    initialize_users(model, data, num_clusters=1)
    adj, known = data[INTERACTS].adjacency, torch.arange(60) != 3
    content = user_semantics(F.normalize(data[ITEM].x_acoustic), adj, None, 1)[known]
    found = model.encoder.encoders["acoustic"].user.detach()[known]
    stacked = build("PGL", data, hidden_channels=8)
    initialize_users(stacked, data, num_clusters=1)
    for user in (found, stacked.user.detach()[0, known]):
        projection = torch.linalg.lstsq(content, user).solution
        torch.testing.assert_close(content @ projection, user, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.id_encoder.user, identities)


@pytest.mark.parametrize("name", [name for name in models.classes if name not in SOLVED])
def test_every_model_with_free_users_is_initialised_and_trained(data, name):
    model = build(name, data)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    initialize_users(model, data)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(k.rsplit(".")[-1] in ("user", "user_content") for k in changed)
    if name == "LightGCN":
        start = model.embedding.user.detach().clone()
        config = TrainConfig(epochs=1, batch_size=4096, lr=1e-3)
        fit(model, data, config, reset=False, progress=False)
        assert (model.embedding.user - start).abs().max() < 2e-3


def test_equal_seeds_give_equal_users(data):
    first, second = (build("LightGCN", data) for _ in range(2))
    for model in (first, second):
        torch.manual_seed(1)
        initialize_users(model, data)
    assert torch.equal(first.embedding.user, second.embedding.user)


def test_wrong_arguments_are_refused(data):
    with pytest.raises(InputError, match="Popularity has no free user embeddings; expected"):
        initialize_users(build("Popularity", data), data)
    other = models.LightGCN(59, 40)
    with pytest.raises(InputError, match=r"'embedding.user' is of 59 users, .* 60"):
        initialize_users(other, data)
    model = build("LightGCN", data)
    with pytest.raises(InputError, match="num_clusters: is 0"):
        initialize_users(model, data, num_clusters=0)
    data[USER].n_id = torch.arange(60)
    with pytest.raises(InputError, match="a sampled part; expected the whole graph"):
        initialize_users(model, data)
