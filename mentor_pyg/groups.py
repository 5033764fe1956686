"""Entries by the group they belong to, without loops."""

import numpy as np


def rank_in_group(group: np.ndarray, key: np.ndarray, ties_last: bool = False) -> np.ndarray:
    """The rank of each entry among those of its group by ``key``, from 0."""
    position = np.arange(len(group))
    order = np.lexsort((-position if ties_last else position, key, group))
    ordered = group[order]
    rank = np.empty_like(position)
    rank[order] = position - np.searchsorted(ordered, ordered, side="left")
    return rank


def size_of_group(group: np.ndarray) -> np.ndarray:
    """How many entries the group of each has."""
    return np.bincount(group)[group]
