"""Full ranking and metrics of the ranked lists."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad
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

from mentor_pyg.datasets.check import check_data, check_graph
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.ranking import SeenItems, rank
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.options import Count, Lengths, checked
from mentor_pyg.typing import INTERACTS, ITEM, USER

RANKING_METRICS = {
    "recall": LinkPredRecall,
    "ndcg": LinkPredNDCG,
    "precision": LinkPredPrecision,
    "map": LinkPredMAP,
    "mrr": LinkPredMRR,
    "hit_ratio": LinkPredHitRatio,
}


@checked
def metric_names(ks: Lengths) -> list[str]:
    """Names of all metrics for these list lengths, e.g. ``recall@20``."""
    return [f"{name}@{k}" for k in ks for name in (*RANKING_METRICS, "coverage")]


class Coverage(LinkPredCoverage):
    """Share of items that appear on a list of length k, which may have empty places.

    Args:
        k: Length of the lists.
        num_items: Number of items I. In the lists, I marks an empty place.
    """

    def __init__(self, k: int, num_items: int) -> None:
        super().__init__(k, num_items + 1)

    def compute(self) -> Tensor:
        return self.mask[:-1].float().mean()


@checked
@torch.no_grad()
def top_k(
    user_emb: Tensor,
    item_emb: Tensor,
    users: Tensor,
    k: Count,
    seen: SeenItems | None = None,
) -> Tensor:
    """The k items of highest score for each of ``users``, best first.

    See :func:`~mentor_pyg.evaluation.ranking.rank` for items of equal score.

    Args:
        user_emb: User embeddings [U, C], dense or sparse.
        item_emb: Item embeddings [I, C], dense or, if those of users are, sparse.
        users: Rows of ``user_emb`` [n].
        k: Length of the lists.
        seen: Items to exclude per user.

    Returns:
        Items [n, k], padded with -1 for users with fewer than k unseen items.

    Raises:
        InputError: If k exceeds the number of items, or a score is not finite.
    """
    check_lengths([k], item_emb.size(0))
    ranking = rank(user_emb, item_emb, users, k, seen)
    return ranking.items.masked_fill(~ranking.valid, -1)


def check_lengths(ks: Sequence[int], num_items: int) -> None:
    """Raises an InputError if lists would be longer than the number of items."""
    if max(ks) > num_items:
        raise InputError(
            f"lists of length {list(ks)} can't be ranked; "
            f"expected lengths from 1 to the number of items, {num_items}"
        )


@checked
class Evaluator:
    """Ranks all items for the users of a split, and computes metrics.

    Training items are masked; in testing, validation items are not. Users without held-out
    items or without training pairs are excluded, and metrics are means over the others. Lists
    end when a user has no more unseen items. Ties are broken by a fixed random order; see
    :func:`~mentor_pyg.evaluation.ranking.rank`.

    Args:
        data: The graph.
        split: :obj:`"val"` or :obj:`"test"`.
        ks: Lengths of the lists.
        dtype: Dtype of the scores; that of the embeddings if not given. float16 is faster on a
            GPU and may swap items of nearly equal score.

    Raises:
        InputError: If the split or a length is invalid, a pair is out of range, or no user has
            both training and held-out pairs.
    """

    def __init__(
        self,
        data: HeteroData,
        split: Literal["val", "test"],
        ks: Lengths = (10, 20),
        dtype: torch.dtype | None = None,
    ) -> None:
        check_data(data, split)
        num_users, num_items = data[USER].num_nodes, data[ITEM].num_nodes
        check_lengths(ks, num_items)
        train, pairs = data[INTERACTS].edge_index, data[INTERACTS][f"{split}_edge_label_index"]
        pairs = pairs.unique(dim=1)  # a pair counts once
        trained = train[0].bincount(minlength=num_users) > 0
        kept = pairs[:, trained[pairs[0]]]
        self.users, row = kept[0].unique(return_inverse=True)
        if self.users.numel() == 0:
            raise InputError(f"no user has both training and {split} pairs; expected at least one")
        self.num_dropped_users = int(pairs[0].unique().numel() - self.users.numel())
        self.seen = SeenItems(train, num_users)
        self.label_index = torch.stack([row, kept[1]])
        self.max_k, self.dtype = max(ks), dtype
        self.size = num_users, num_items
        metrics = {f"{name}@{k}": cls(k) for k in ks for name, cls in RANKING_METRICS.items()}
        metrics |= {f"coverage@{k}": Coverage(k, num_items) for k in ks}
        self.metrics = LinkPredMetricCollection(metrics).to(train.device)

    def __call__(self, user_emb: Tensor, item_emb: Tensor) -> dict[str, float]:
        """Metrics by name, e.g. ``recall@20``."""
        return self.measure(self.rank(user_emb, item_emb))

    def rank(self, user_emb: Tensor, item_emb: Tensor) -> Tensor:
        """Ranks items for ``users``, best first, up to the longest length K.

        Returns:
            Items [n, K'], where K' <= K is the length of the longest list. Shorter lists are
            padded with -1, which metrics ignore.

        Raises:
            InputError: If embeddings are not finite, or do not fit this graph.
        """
        size = user_emb.size(0), item_emb.size(0)
        if size != self.size:
            raise InputError(
                f"embeddings: are of {size[0]} users and {size[1]} items; "
                f"expected {self.size[0]} and {self.size[1]}"
            )
        if self.dtype is not None:
            user_emb, item_emb = user_emb.to(self.dtype), item_emb.to(self.dtype)
        lists = top_k(user_emb, item_emb, self.users, self.max_k, self.seen)
        return lists[:, (lists >= 0).any(dim=0)]

    def measure(self, lists: Tensor) -> dict[str, float]:
        """Metrics of the lists from :meth:`rank`, by name."""
        self.metrics.reset()
        self.metrics.update(self._filled(lists), self.label_index)
        return {name: float(value) for name, value in self.metrics.compute().items()}

    def measure_users(
        self, lists: Tensor, pairs: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Metrics of single users.

        Args:
            lists: Lists from :meth:`rank`.
            pairs: Mask over ``label_index`` of the held-out pairs to use; all if not given.

        Returns:
            The rows of ``lists`` whose users have such pairs [m], and their values by metric
            [m]. Coverage is omitted, since it is not a mean over users.
        """
        labels = self.label_index if pairs is None else self.label_index[:, pairs]
        data = LinkPredMetricData(self._filled(lists), labels)
        rows = data.label_count.nonzero().squeeze(1)
        # PyG's `compute` only returns means; `_compute` returns the values before averaging.
        return rows, {
            name: metric._compute(data)[rows]
            for name, metric in self.metrics.items()
            if isinstance(metric, LinkPredMetric)
        }

    def _filled(self, lists: Tensor) -> Tensor:
        """Replaces -1, which PyG does not support, by a non-existent item; result [n, K]."""
        padded = pad(lists, (0, self.max_k - lists.size(1)), value=-1)
        return padded.masked_fill(padded < 0, self.size[1])


@torch.no_grad()
def evaluate(
    model: BaseRecommender,
    data: HeteroData,
    split: Literal["val", "test"] = "test",
    ks: Lengths = (10, 20),
) -> dict[str, float]:
    """Computes the metrics of a model on a split; see :class:`Evaluator`."""
    evaluator = Evaluator(data, split, ks)
    check_graph(data)
    return evaluator(*encode(model, data))


@torch.no_grad()
def encode(model: BaseRecommender, data: HeteroData) -> tuple[Tensor, Tensor]:
    """Embeddings in evaluation mode; restores the model's mode."""
    training = model.training
    model.eval()
    try:
        return model.embed(data)
    finally:
        model.train(training)


def popularity(data: HeteroData) -> tuple[Tensor, Tensor]:
    """Embeddings [U, 1] and [I, 1] that rank items by their number of training pairs."""
    count = data[INTERACTS].edge_index[1].bincount(minlength=data[ITEM].num_nodes)
    ones = torch.ones(data[USER].num_nodes, 1, device=count.device)
    return ones, count.float().unsqueeze(1)
