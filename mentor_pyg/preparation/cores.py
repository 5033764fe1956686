"""Users and items with few interactions are left out."""

import numpy as np


def k_core(user: np.ndarray, item: np.ndarray, k: int) -> np.ndarray:
    r"""Which pairs are in the k-core of the graph between users and items.

    That is the largest set of pairs in which every user and every item has at least k of
    them. Pairs of others are taken away until there are no others left.

    Args:
        user: Row number of each pair's user [n].
        item: Row number of each pair's item [n].
        k: The least number of pairs; 0 and 1 keep everything.

    Returns:
        A mask [n], True where a pair is kept.
    """
    kept = np.arange(len(user))
    while len(kept):
        degree_u, degree_i = np.bincount(user[kept]), np.bincount(item[kept])
        enough = (degree_u[user[kept]] >= k) & (degree_i[item[kept]] >= k)
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(user), dtype=bool)
    mask[kept] = True
    return mask
