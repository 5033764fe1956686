"""Entries by the group they belong to, without loops."""

import numpy as np


def rank_in_group(group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The rank of each entry among those of its group by ``key``, then position, from 0."""
    order = np.lexsort((key, group))
    ordered = group[order]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(group)) - np.searchsorted(ordered, ordered, side="left")
    return rank


def size_of_group(group: np.ndarray) -> np.ndarray:
    """How many entries the group of each has."""
    return np.bincount(group)[group]
