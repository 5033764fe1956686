from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from torch_geometric.data import InMemoryDataset

from mentor_pyg._util.ranks import rank_in_group
from mentor_pyg.datasets.interactions import Interactions
from mentor_pyg.datasets.mmrec import to_hetero_data
from mentor_pyg.datasets.sizes import DatasetStatistics, statistics
from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, Seed, checked

BABY_CHANNELS = {"visual": 4096, "textual": 384}


@checked
class SyntheticDataset(InMemoryDataset):
    r"""Synthetic interactions and features of the size of Amazon Baby.

    Items belong to topics. Each user likes a few topics and samples their items by
    popularity; popularity and the users' activity are long-tailed. Each modality gives a
    noisy and incomplete view of an item's topic: some topics look the same in it, so that
    modalities complement each other and the graph.

    Each user has at least five pairs. One in ten, and at least one, is a validation pair, and
    as many are test pairs, as in the papers' splits.

    Args:
        num_users: Number of users U.
        num_items: Number of items I, at least 20.
        num_pairs: Number of pairs over all splits, at least 5 U.
        channels: Width D_m of the features by modality.
        num_topics: Number of topics.
        seed: Random seed.
        transform: Applied at each access.

    Raises:
        InputError: If an argument is out of range, or the sizes do not fit each other.
    """

    def __init__(
        self,
        num_users: Count = 19445,
        num_items: Annotated[Count, Ge(20)] = 7050,
        num_pairs: Count = 160792,
        channels: Mapping[str, Count] | None = None,
        num_topics: Count = 120,
        seed: Seed = 0,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        if num_pairs < 5 * num_users or 4 * num_pairs > num_users * num_items:
            raise InputError(
                f"SyntheticDataset.num_pairs: is {num_pairs}; expected 5 U = {5 * num_users} "
                f"to U I / 4 = {num_users * num_items // 4}"
            )
        super().__init__(None, transform)
        channels = dict(BABY_CHANNELS if channels is None else channels)
        rng = np.random.default_rng(seed)
        num_topics = min(num_topics, num_items // 4)
        topic = np.sort(rng.integers(num_topics, size=num_items))
        degree = _degrees(rng, num_users, num_items, num_pairs)
        user, item = _draw_pairs(rng, degree, topic, num_topics)
        table = Interactions(
            user, item, _split(rng, user, degree), num_users, num_items, None, None
        )
        everywhere = np.ones(num_items, dtype=bool)
        features = {
            m: (_features(rng, topic, num_topics, d), everywhere) for m, d in channels.items()
        }
        self.data = to_hetero_data(table, features)

    @classmethod
    def tiny(cls, seed: int = 0, **kwargs) -> "SyntheticDataset":  # type: ignore[no-untyped-def]
        """A dataset for tests: 60 users and 40 items, trained within a second."""
        sizes: dict[str, Any] = {
            "num_users": 60,
            "num_items": 40,
            "num_pairs": 500,
            "channels": {"visual": 12, "textual": 8},
            "num_topics": 8,
        }
        return cls(**(sizes | kwargs), seed=seed)

    def statistics(self) -> DatasetStatistics:
        """Sizes of the splits, cold users and items, and coverage of each modality."""
        return statistics(self._data)


def _degrees(rng: np.random.Generator, users: int, items: int, pairs: int) -> np.ndarray:
    """Number of pairs per user: at least five, long-tailed, with the given sum."""
    weight = rng.pareto(1.8, users) + 0.05
    limit = max(5, items // 2)
    degree = np.full(users, 5)
    while (rest := pairs - degree.sum()) > 0:
        room = degree < limit
        share = np.where(room, weight, 0)
        degree = np.minimum(degree + rng.multinomial(rest, share / share.sum()), limit)
    return degree


def _draw_pairs(
    rng: np.random.Generator, degree: np.ndarray, topic: np.ndarray, num_topics: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples distinct pairs, with the given number per user, sorted by user."""
    num_users, num_items = len(degree), len(topic)
    popularity = rng.permutation(np.arange(1, num_items + 1) ** -0.6)
    cumulative = np.concatenate([[0.0], np.cumsum(popularity)])
    bounds = cumulative[np.searchsorted(topic, np.arange(num_topics + 1))]
    liked = rng.integers(num_topics, size=(num_users, 4))

    key = np.empty(0, dtype=np.int64)
    need = degree.copy()
    attempt = 0
    while need.any():
        user = np.repeat(np.arange(num_users), 2 * need)
        # Mostly by taste (the first topic most often), otherwise by popularity.
        favourite = liked[user, rng.geometric(0.5, len(user)).clip(max=4) - 1]
        by_taste = rng.random(len(user)) < 0.9 * 0.9**attempt
        low = np.where(by_taste, bounds[favourite], 0)
        high = np.where(by_taste, bounds[favourite + 1], cumulative[-1])
        position = low + rng.random(len(user)) * (high - low)
        item = np.searchsorted(cumulative, position, side="right") - 1
        if attempt > 20:  # very active users have used up popular items
            item = rng.integers(num_items, size=len(user))
        fresh = np.unique(user * num_items + item.clip(max=num_items - 1))
        fresh = fresh[~_contains(key, fresh)]
        fresh = _at_most(rng, fresh, fresh // num_items, need)
        key = np.sort(np.concatenate([key, fresh]))
        need = degree - np.bincount(key // num_items, minlength=num_users)
        attempt += 1
    return key // num_items, key % num_items


def _contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    position = np.searchsorted(ordered, values)
    found = np.zeros(len(values), dtype=bool)
    inside = position < len(ordered)
    found[inside] = ordered[position[inside]] == values[inside]
    return found


def _at_most(
    rng: np.random.Generator, key: np.ndarray, group: np.ndarray, limit: np.ndarray
) -> np.ndarray:
    """Randomly selects at most ``limit[g]`` keys of each group g."""
    return key[rank_in_group(group, rng.random(len(group))) < limit[group]]


def _split(rng: np.random.Generator, user: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """Labels of the pairs: the first ranks are validation, the next ones test."""
    rank = rank_in_group(user, rng.random(len(user)))
    held_out = np.maximum(1, degree // 10)[user]
    return np.where(rank < held_out, 1, np.where(rank < 2 * held_out, 2, 0))


def _features(
    rng: np.random.Generator, topic: np.ndarray, num_topics: int, width: int
) -> np.ndarray:
    """Noisy features [I, D_m] of an item's look, which two topics share."""
    look = rng.integers(max(1, num_topics // 2), size=num_topics)
    latent = rng.standard_normal((look.max() + 1, 16), dtype=np.float32)[look[topic]]
    latent += 0.8 * rng.standard_normal(latent.shape, dtype=np.float32)
    basis = rng.standard_normal((16, width), dtype=np.float32) / 4
    return latent @ basis + 0.5 * rng.standard_normal((len(topic), width), dtype=np.float32)
