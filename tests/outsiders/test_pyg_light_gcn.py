"""PyG's LightGCN on our loop, by a thin wrapper; and the same on our layer, and our own."""

import pytest
import torch
from torch_geometric.nn.models import LightGCN as PyGLightGCN

from mentor_pyg import BaseRecommender, TrainConfig, fit
from mentor_pyg.nn import LightGCNConv
from mentor_pyg.nn.models import LightGCN
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER

CHANNELS, LAYERS, REG = 8, 2, 1e-2
CONFIG = TrainConfig(epochs=4, batch_size=100, lr=1e-2)


class Wrapped(BaseRecommender):
    """Users are the first nodes of PyG's graph, items the others."""

    def __init__(self, num_users, num_items):
        super().__init__()
        self.num_users = num_users
        self.inner = PyGLightGCN(num_users + num_items, CHANNELS, LAYERS)

    def forward(self, data):
        user, item = data[INTERACTS].edge_index
        pairs = torch.stack([user, item + self.num_users])
        both = torch.cat([pairs, pairs.flip(0)], dim=1)
        z = self.inner.get_embedding(both)
        return z[: self.num_users], z[self.num_users :]

    def losses(self, data, batch):
        z = torch.cat(self(data))
        pos, neg = batch.pos_item + self.num_users, batch.neg_item + self.num_users
        scores = ((z[batch.user] * z[item]).sum(dim=1) for item in (pos, neg))
        nodes = torch.cat([batch.user, pos, neg])
        loss = self.inner.recommendation_loss(*scores, node_id=nodes, lambda_reg=REG / 2)
        return {"loss": loss}


class OnOurLayer(Wrapped):
    def __init__(self, num_users, num_items):
        super().__init__(num_users, num_items)
        self.inner.convs = torch.nn.ModuleList([LightGCNConv() for _ in range(LAYERS)])


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


def train(model, data):
    result = fit(model, data, CONFIG, reset=False, progress=False)
    losses = [sum(row.get(k, 0.0) for k in ("loss", "bpr", "reg")) for row in result.history]
    return losses, result.val


def test_equal_parameters_give_equal_losses(data):
    torch.manual_seed(0)
    models = [Wrapped.from_data(data), OnOurLayer.from_data(data)]
    models[1].load_state_dict(models[0].state_dict())
    ours = LightGCN.from_data(data, hidden_channels=CHANNELS, num_layers=LAYERS, reg_weight=REG)
    sizes = [data[USER].num_nodes, data[ITEM].num_nodes]
    user, item = models[0].inner.embedding.weight.detach().split(sizes)
    ours.load_state_dict({"embedding.user": user.clone(), "embedding.item": item.clone()})
    (expected, val), *others = [train(model, data) for model in (*models, ours)]
    assert expected[-1] < expected[0]
    for losses, metrics in others:
        assert losses == pytest.approx(expected, rel=1e-5)
        assert metrics == pytest.approx(val, abs=0.03)  # where ties fall otherwise


def test_the_outsider_learns_and_can_be_reset(data):
    model = Wrapped.from_data(data)
    first = fit(model, data, CONFIG, progress=False)
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    again = fit(model, data, CONFIG, progress=False)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in first.history]
