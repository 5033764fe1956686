import numpy as np
import pytest

from mentor_pyg.preparation import k_core


def naive_k_core(pairs, k):
    """Takes one pair of a rare user or item away at a time."""
    pairs = set(pairs)
    while True:
        for user, item in sorted(pairs):
            if sum(u == user for u, _ in pairs) < k or sum(i == item for _, i in pairs) < k:
                pairs.remove((user, item))
                break
        else:
            return pairs


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_naive_loop(k, seed):
    rng = np.random.default_rng(seed)
    key = rng.choice(12 * 9, size=40, replace=False)
    user, item = key // 9, key % 9
    kept = k_core(user, item, k)
    expected = naive_k_core(zip(user.tolist(), item.tolist()), k)
    assert set(zip(user[kept].tolist(), item[kept].tolist())) == expected
    assert kept.dtype == bool
    assert kept.shape == user.shape


def test_the_examples_reach_every_case():
    """Cores that are empty, partial and complete occur above."""
    sizes = []
    for seed in range(4):
        key = np.random.default_rng(seed).choice(12 * 9, size=40, replace=False)
        sizes += [k_core(key // 9, key % 9, k).sum() for k in range(6)]
    assert {0, 40} < set(sizes)


def test_a_chain_falls_apart_pair_by_pair():
    user, item = np.arange(51) // 2, np.arange(1, 52) // 2
    assert k_core(user, item, 1).all()
    assert not k_core(user, item, 2).any()


def test_a_complete_block_stays():
    user, item = np.repeat(np.arange(5), 5), np.tile(np.arange(5), 5)
    more = np.append(user, 5), np.append(item, 0)
    assert k_core(*more, 5).tolist() == [True] * 25 + [False]


def test_no_pairs():
    nobody = np.empty(0, dtype=np.int64)
    assert k_core(nobody, nobody, 5).shape == (0,)
