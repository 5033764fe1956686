"""XSimGCL (arXiv 2209.02544) by somebody else, trained on parts that PyG's loader samples."""

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.loader import LinkNeighborLoader

from mentor_pyg import BaseRecommender, Recommender, TrainConfig, evaluate, fit
from mentor_pyg.evaluation import Evaluator, popularity
from mentor_pyg.nn import NoisyLightGCNConv, UserItemEmbedding, batch_bpr, batch_info_nce, weighted
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS

pytest.importorskip("torch_sparse")  # or pyg-lib, without which PyG samples nothing
pytestmark = pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without:UserWarning")


class XSimGCL(BaseRecommender):
    def __init__(self, num_users, num_items, channels: int = 16, contrast_weight: float = 0.05):
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, channels)
        self.conv = NoisyLightGCNConv(eps=0.1)
        self.contrast_weight = contrast_weight

    def layers(self, data):
        adj = self.interactions(data)
        user, item = self.embedding(nodes(data))
        for _ in range(2):
            user, item = self.conv((item, user), adj), self.conv((user, item), adj.t())
            yield user, item

    def forward(self, data):
        users, items = zip(*self.layers(data))
        return torch.stack(users).mean(dim=0), torch.stack(items).mean(dim=0)

    def losses(self, data, batch):
        first, second = self.layers(data)
        user, item = ((a + b) / 2 for a, b in zip(first, second))
        return weighted(
            bpr=(1, lambda: batch_bpr(user, item, batch)),
            contrast=(
                self.contrast_weight,
                lambda: batch_info_nce((user, item), first, batch, 0.2),
            ),
        )


def test_it_trains_on_sampled_parts_and_is_served(tiny):
    data = LightGCNNorm()(T.ToUndirected(merge=False)(tiny))
    torch.manual_seed(0)
    model = XSimGCL.from_data(data)
    loader = LinkNeighborLoader(
        data,
        {edge_type: [10, 10] for edge_type in data.edge_types},
        edge_label_index=(INTERACTS, data[INTERACTS].edge_index),
        neg_sampling="triplet",
        batch_size=64,
        shuffle=True,
    )
    config = TrainConfig(epochs=30, lr=2e-2, ks=(5,), monitor="recall@5")
    result = fit(model, data, config, sampler=loader, progress=False)
    assert result.history[-1]["bpr"] < 0.9 * result.history[0]["bpr"]
    popular = Evaluator(data, "test", (5,))(*popularity(data))["recall@5"]
    assert evaluate(model, data, "test", (5,))["recall@5"] > popular
    lists = Recommender(model, data, progress=False).recommend(k=5)
    assert len(lists.items) == 60 * 5
