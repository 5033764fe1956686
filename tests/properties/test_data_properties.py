"""Splits, cores and negative items against their definitions."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mentor_pyg import InputError
from mentor_pyg.preparation import k_core, split
from mentor_pyg.training.sampler import NegativeSampler

USERS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)
SHARES = st.fractions(Fraction(1, 60), Fraction(29, 60), max_denominator=60)


def sizes_of(n, share):
    """How many validation and test pairs n pairs give, by the documentation."""
    val, both = int(n * share), int(2 * n * share)
    return (max(1, val) if n >= 3 else 0), (max(1, both - val) if n >= 2 else 0)


def checked_split(user, sizes, *args, **kwargs):
    """The labels; None if it is refused since one of the three would be empty."""
    counts = np.array([[n - val - test, val, test] for n, (val, test) in sizes]).sum(axis=0)
    if not counts.all():
        with pytest.raises(InputError, match="leaves no"):
            split(user, *args, **kwargs)
        return None
    return split(user, *args, **kwargs)


@given(USERS, SHARES, st.integers(0, 2**32 - 1))
def test_random_splits_have_exact_sizes(user, share, seed):
    user = np.unique(user, return_inverse=True)[1]
    for method, group in (("user", user), ("random", np.zeros_like(user))):
        sizes = {g: (n, sizes_of(n, share)) for g, n in Counter(group.tolist()).items()}
        options = {"method": method, "held_out": float(share), "seed": seed}
        label = checked_split(user, sizes.values(), **options)
        if label is None:
            continue
        assert label.shape == user.shape
        for g, (n, (val, test)) in sizes.items():
            found = np.bincount(label[group == g], minlength=3).tolist()
            assert found == [n - val - test, val, test]
        assert np.array_equal(label, split(user, **options))


@given(USERS, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_leave_last_out_takes_the_last(user, num_times, seed):
    user = np.unique(user, return_inverse=True)[1]
    time = np.random.default_rng(seed).integers(0, num_times, len(user))
    sizes = [(n, (int(n >= 3), int(n >= 2))) for n in Counter(user.tolist()).values()]
    label = checked_split(user, sizes, time, "leave-last-out")
    for u in set(user.tolist()) if label is not None else ():
        own = np.flatnonzero(user == u)
        in_order = own[np.argsort(time[own], kind="stable")]
        expected = [0] * max(0, len(own) - 2) + [1] * (len(own) >= 3) + [2] * (len(own) >= 2)
        expected = expected or [0]
        expected = [0] * (len(own) - len(expected)) + expected
        assert label[in_order].tolist() == expected


@given(USERS, SHARES, st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_temporal_splits_go_by_time_alone(user, share, num_times, seed):
    n, rng = len(user), np.random.default_rng(seed)
    time = rng.integers(-num_times, num_times, n)
    try:
        label = split(user, time, "temporal", float(share))
    except InputError:
        return
    order = np.argsort(time, kind="stable")
    assert (np.diff(label[order]) >= 0).all()
    for moment in set(time.tolist()):
        assert len(set(label[time == moment].tolist())) == 1
    # Times of which there is each one are cut where the shares say:
    label = None
    try:
        label = split(user, rng.permutation(n), "temporal", float(share))
    except InputError:
        return
    first_val, first_test = int(n * (1 - 2 * share)), int(n * (1 - share))
    sizes = [first_val, first_test - first_val, n - first_test]
    assert np.bincount(label, minlength=3).tolist() == sizes


PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 6)), max_size=45)


@given(PAIRS.map(lambda pairs: list(dict.fromkeys(pairs))), st.integers(0, 6))
def test_cores_equal_a_naive_loop(pairs, k):
    left = list(pairs)
    while True:
        users, items = Counter(u for u, _ in left), Counter(i for _, i in left)
        rare = [p for p in left if users[p[0]] < k or items[p[1]] < k]
        if not rare:
            break
        left.remove(rare[0])
    user, item = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    kept = k_core(user, item, k)
    assert [pair for pair, is_kept in zip(pairs, kept) if is_kept] == left


@given(PAIRS, st.integers(7, 12), st.integers(0, 2**32 - 1))
def test_negative_items_are_uniform_over_the_unseen(pairs, num_items, seed):
    num_users, draws = 8, 60
    pairs += pairs[:5]  # some come twice
    edge_index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    seen = [{i for u, i in pairs if u == user} for user in range(num_users)]
    if any(len(items) == num_items for items in seen):
        with pytest.raises(InputError, match="has interacted with all"):
            NegativeSampler(edge_index, num_users, num_items)
        return
    sampler = NegativeSampler(edge_index, num_users, num_items)
    user = torch.arange(num_users).repeat(draws * num_items)
    items = sampler(user, torch.Generator().manual_seed(seed))
    count = torch.zeros(num_users, num_items, dtype=torch.float64)
    count.index_put_((user, items), torch.ones((), dtype=torch.float64), accumulate=True)
    for own, found in zip(seen, count):
        unseen = [i for i in range(num_items) if i not in own]
        assert not found[list(own)].any()
        assert found[unseen].all()
        expected = draws * num_items / len(unseen)
        chi_square = ((found[unseen] - expected) ** 2 / expected).sum()
        degrees = torch.tensor((len(unseen) - 1) / 2, dtype=torch.float64)
        if len(unseen) > 1:
            assert torch.special.gammaincc(degrees, chi_square / 2) > 1e-9
