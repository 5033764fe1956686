"""Another recommender from the same layers: XSimGCL in plain PyG style.

XSimGCL (https://arxiv.org/abs/2209.02544) runs one *noisy* LightGCN pass and contrasts
its final embeddings with those of an intermediate layer. All it takes from mentor_pyg
are a layer and two losses; data, loop and metrics are PyG's.

    python examples/reuse_layers.py
"""

import argparse

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.metrics import LinkPredRecall
from torch_geometric.utils import to_undirected

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn import NoisyLightGCNConv, bpr_loss, info_nce


class XSimGCL(torch.nn.Module):
    def __init__(self, num_nodes: int, channels: int, num_layers: int = 3, contrast_layer: int = 1):
        super().__init__()
        self.embedding = torch.nn.Embedding(num_nodes, channels)
        torch.nn.init.xavier_uniform_(self.embedding.weight)
        self.convs = torch.nn.ModuleList(NoisyLightGCNConv(eps=0.2) for _ in range(num_layers))
        self.contrast_layer = contrast_layer

    def forward(self, edge_index: EdgeIndex) -> tuple[Tensor, Tensor]:
        """Final embeddings, and those of the layer to contrast them with."""
        x, layers = self.embedding.weight, []
        for conv in self.convs:
            x = conv(x, edge_index)
            layers.append(x)
        return torch.stack(layers).mean(dim=0), layers[self.contrast_layer - 1]


def train(model, optimizer, edge_index, pairs, num_users, batch_size=2048) -> float:
    model.train()
    total = 0.0
    for index in torch.randperm(pairs.size(1)).split(batch_size):
        user, pos = pairs[:, index]
        neg = torch.randint(num_users, model.embedding.num_embeddings, user.shape)
        final, middle = model(edge_index)
        loss = bpr_loss((final[user] * final[pos]).sum(1), (final[user] * final[neg]).sum(1))
        for nodes in (user.unique(), pos.unique()):
            loss = loss + 0.1 * info_nce(final[nodes], middle[nodes], tau=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += float(loss.detach()) * index.numel()
    return total / pairs.size(1)


@torch.no_grad()
def test(model, edge_index, pairs, held_out, num_users, k) -> float:
    model.eval()
    final, _ = model(edge_index)
    scores = final[:num_users] @ final[num_users:].t()
    scores[pairs[0], pairs[1] - num_users] = -torch.inf
    metric = LinkPredRecall(k)
    metric.update(scores.topk(k).indices, held_out)
    return float(metric.compute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()

    torch.manual_seed(0)
    sizes = {"num_users": args.users, "num_items": args.items, "num_pairs": 8 * args.users}
    data = SyntheticDataset(**sizes, channels={}, num_topics=30)[0]
    store, num_nodes = data["user", "interacts", "item"], args.users + args.items
    pairs = store.edge_index + torch.tensor([[0], [args.users]])
    edge_index = EdgeIndex(to_undirected(pairs), sparse_size=(num_nodes, num_nodes))
    edge_index = edge_index.sort_by("col").values

    model = XSimGCL(num_nodes, channels=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for epoch in range(1, args.epochs + 1):
        loss = train(model, optimizer, edge_index, pairs, args.users)
        recall = test(model, edge_index, pairs, store.val_edge_label_index, args.users, k=20)
        print(f"epoch {epoch:>2}  loss {loss:.4f}  validation recall@20 {recall:.4f}")


if __name__ == "__main__":
    main()
