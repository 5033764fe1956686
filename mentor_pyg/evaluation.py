"""Full ranking of all items, and the metrics of the ranked lists."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.metrics import (
    LinkPredCoverage,
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMetric,
    LinkPredMetricCollection,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)
from torch_geometric.metrics.link_pred import LinkPredMetricData
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg.adjacency import csr_entries
from mentor_pyg.blocks import top_k_products
from mentor_pyg.errors import InputError
from mentor_pyg.typing import INTERACTS, ITEM, USER, RecommenderModel

METRICS = {
    "recall": LinkPredRecall,
    "ndcg": LinkPredNDCG,
    "precision": LinkPredPrecision,
    "map": LinkPredMAP,
    "mrr": LinkPredMRR,
    "hit_ratio": LinkPredHitRatio,
}


class SeenItems:
    """The items every user has interacted with, for masking.

    Args:
        edge_index: Pairs [2, E] of user and item.
        num_users: Number of users U.
    """

    def __init__(self, edge_index: Tensor, num_users: int) -> None:
        order = edge_index[0].argsort()
        self.item = edge_index[1][order]
        self.rowptr = index2ptr(edge_index[0][order], num_users)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Positions in ``users`` and items, one entry for every seen item."""
        return csr_entries(self.rowptr, self.item, users)


@torch.no_grad()
def top_k(
    user_emb: Tensor,
    item_emb: Tensor,
    users: Tensor,
    k: int,
    seen: SeenItems | None = None,
) -> Tensor:
    """The k items of highest score for each of ``users``, best first.

    Scores are computed in blocks of users, so that memory stays bounded.

    Args:
        user_emb: [U, C].
        item_emb: [I, C].
        users: Rows of ``user_emb`` [n].
        k: Length of the lists.
        seen: Items to leave out of a user's list.

    Returns:
        Items [n, k]. Who has fewer than k unseen items gets seen ones at the end.

    Raises:
        ValueError: If k is larger than the number of items.
    """
    if not 0 < k <= item_emb.size(0):
        raise ValueError(
            f"lists of {k} items can't be made of {item_emb.size(0)}; expected 1 or more, "
            "at most the number of items"
        )

    def mask(scores: Tensor, rows: slice) -> None:
        if seen is not None:
            scores[seen.of(users[rows])] = torch.finfo(scores.dtype).min

    return top_k_products(user_emb[users], item_emb, k, mask)[1]


class Evaluator:
    """Ranks all items for the users of a split and measures the lists.

    Training items are masked; validation items are not when testing. Users without
    held-out items are skipped, users without training pairs dropped, and all metrics
    are means over the rest.

    Args:
        data: The graph.
        split: :obj:`"val"` or :obj:`"test"`.
        ks: Lengths of the lists.
        dtype: Dtype of the scores, that of the embeddings if not given. float16 is
            quicker on a GPU and may swap items whose scores are all but equal.
    """

    def __init__(
        self,
        data: HeteroData,
        split: str,
        ks: Sequence[int] = (10, 20),
        dtype: torch.dtype | None = None,
    ) -> None:
        if split not in ("val", "test"):
            raise ValueError(f"'split' must be 'val' or 'test' (got '{split}')")
        if not ks or max(ks) > data[ITEM].num_nodes or min(ks) < 1:
            raise InputError(
                f"lists of length {list(ks)} can't be ranked; "
                f"expected lengths from 1 to the number of items, {data[ITEM].num_nodes}"
            )
        num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        train = data[INTERACTS].edge_index
        pairs = data[INTERACTS][f"{split}_edge_label_index"]
        trained = train[0].bincount(minlength=num_users) > 0
        kept = pairs[:, trained[pairs[0]]]
        self.users, row = kept[0].unique(return_inverse=True)
        if self.users.numel() == 0:
            raise InputError(f"no user has both training and {split} pairs; expected at least one")
        self.num_dropped_users = int(pairs[0].unique().numel() - self.users.numel())
        self.seen = SeenItems(train, num_users)
        self.label_index = torch.stack([row, kept[1]])
        self.max_k, self.dtype = max(ks), dtype
        metrics = {f"{name}@{k}": cls(k) for k in ks for name, cls in METRICS.items()}
        metrics |= {f"coverage@{k}": LinkPredCoverage(k, num_items) for k in ks}
        self.metrics = LinkPredMetricCollection(metrics).to(train.device)

    def __call__(self, user_emb: Tensor, item_emb: Tensor) -> dict[str, float]:
        """Metrics by name, e.g. ``recall@20``."""
        return self.measure(self.rank(user_emb, item_emb))

    def rank(self, user_emb: Tensor, item_emb: Tensor) -> Tensor:
        """The items for ``users``, best first [n, K], of the longest length to measure."""
        if self.dtype is not None:
            user_emb, item_emb = user_emb.to(self.dtype), item_emb.to(self.dtype)
        return top_k(user_emb, item_emb, self.users, self.max_k, self.seen)

    def measure(self, lists: Tensor) -> dict[str, float]:
        """Metrics by name of what :meth:`rank` returned."""
        self.metrics.reset()
        self.metrics.update(lists, self.label_index)
        return {name: float(value) for name, value in self.metrics.compute().items()}

    def measure_users(
        self, lists: Tensor, pairs: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The values of single users, whose means are the metrics.

        Args:
            lists: What :meth:`rank` returned.
            pairs: Which of the held-out pairs in ``label_index`` count, bool; all if not
                given.

        Returns:
            The rows of ``lists`` whose users have such pairs [m], and their values by
            metric, [m] each. Coverage isn't among them, since it is no mean over users.
        """
        labels = self.label_index if pairs is None else self.label_index[:, pairs]
        data = LinkPredMetricData(lists, labels)
        rows = data.label_count.nonzero().squeeze(1)
        # Of PyG's metrics, `compute` gives the mean alone and `_compute` the values before it.
        return rows, {
            name: metric._compute(data)[rows]
            for name, metric in self.metrics.items()
            if isinstance(metric, LinkPredMetric)
        }


@torch.no_grad()
def evaluate(
    model: RecommenderModel, data: HeteroData, split: str = "test", ks: Sequence[int] = (10, 20)
) -> dict[str, float]:
    """Metrics of a model on a split; see :class:`Evaluator`."""
    return Evaluator(data, split, ks)(*encode(model, data))


@torch.no_grad()
def encode(model: RecommenderModel, data: HeteroData) -> tuple[Tensor, Tensor]:
    """Embeddings in evaluation mode; the model's mode is restored."""
    training = model.training
    model.eval()
    try:
        return model.encode(data)
    finally:
        model.train(training)


def popularity(data: HeteroData) -> tuple[Tensor, Tensor]:
    """Embeddings [U, 1], [I, 1] that rank by the number of training pairs."""
    count = data[INTERACTS].edge_index[1].bincount(minlength=data[ITEM].num_nodes)
    ones = torch.ones(data[USER].num_nodes, 1, device=count.device)
    return ones, count.float().unsqueeze(1)
