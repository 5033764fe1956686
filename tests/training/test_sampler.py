import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import InputError
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.training.sampler import BPRSampler, NegativeSampler
from mentor_pyg.typing import INTERACTS, ITEM, USER

NUM_ITEMS = 9
SEEN = [
    [0, 4, 5, 8],
    [],  # a user without pairs
    [0, 1, 2, 3, 4, 5, 7, 8],  # all but one
    [8],
    [0],
    [0, 1, 2, 6, 7, 8],
    [],
]


@pytest.fixture
def edge_index():
    """The pairs of SEEN in random order."""
    torch.manual_seed(0)
    pairs = torch.tensor([(u, i) for u, items in enumerate(SEEN) for i in items]).t()
    return pairs[:, torch.randperm(pairs.size(1))]


@pytest.fixture
def sampler(edge_index):
    return NegativeSampler(edge_index, len(SEEN), NUM_ITEMS)


@pytest.mark.parametrize("within", [0.0, 0.5, 1 - 2**-40], ids=["first", "middle", "last"])
def test_each_unseen_item_has_an_equal_share_of_the_draws(sampler, monkeypatch, within):
    """Draws from the r-th of n equal parts of [0, 1) give the r-th of n unseen items."""
    for user, seen in enumerate(SEEN):
        unseen = [i for i in range(NUM_ITEMS) if i not in seen]
        uniform = (torch.arange(len(unseen), dtype=torch.float64) + within) / len(unseen)
        # The bound of a part may be rounded down to the one before:
        uniform = uniform.nextafter(torch.ones_like(uniform)) if within == 0 else uniform
        monkeypatch.setattr(torch, "rand", lambda *args, result=uniform, **kwargs: result)
        assert sampler(torch.full((len(unseen),), user)).tolist() == unseen


def test_largest_draw_stays_in_range(monkeypatch):
    for num_items in (2, 3, 7050, 10**6 + 3):
        sampler = NegativeSampler(torch.tensor([[0], [0]]), 1, num_items)
        largest = torch.tensor([1 - 2**-53], dtype=torch.float64)
        monkeypatch.setattr(torch, "rand", lambda *args, result=largest, **kwargs: result)
        assert sampler(torch.tensor([0])).tolist() == [num_items - 1]


def test_draws_are_uniform(sampler):
    generator = torch.Generator().manual_seed(0)
    draws = 9000
    user = torch.arange(len(SEEN)).repeat(draws)
    count = torch.zeros(len(SEEN), NUM_ITEMS)
    count.index_put_((user, sampler(user, generator)), torch.tensor(1.0), accumulate=True)
    for seen, found in zip(SEEN, count):
        unseen = [i for i in range(NUM_ITEMS) if i not in seen]
        assert not found[seen].any()
        expected = draws / len(unseen)
        chi_square = ((found[unseen] - expected) ** 2 / expected).sum()
        assert chi_square < 27  # exceeded once in 1000 times at 8 degrees of freedom


def test_generator(sampler):
    user = torch.arange(len(SEEN)).repeat(20)
    first, again, other = (sampler(user, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_pairs_at_all():
    sampler = NegativeSampler(torch.empty(2, 0, dtype=torch.long), 2, 3)
    draws = sampler(torch.zeros(200, dtype=torch.long))
    assert draws.unique().tolist() == [0, 1, 2]


def test_user_with_all_items():
    edge_index = torch.stack([torch.ones(NUM_ITEMS, dtype=torch.long), torch.arange(NUM_ITEMS)])
    with pytest.raises(InputError, match="user 1 has interacted with all 9 items"):
        NegativeSampler(edge_index, 3, NUM_ITEMS)


@pytest.fixture
def data(edge_index):
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = len(SEEN), NUM_ITEMS
    data[INTERACTS].edge_index = edge_index
    return data


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(6, [6, 6, 6, 2]), (10, [10, 10]), (20, [20]), (64, [20]), (1, 20 * [1])],
)
def test_epoch_has_every_pair_once(data, batch_size, sizes):
    sampler = BPRSampler(data, batch_size)
    expected = sorted(data[INTERACTS].edge_index.t().tolist())
    for _ in range(2):
        batches = list(sampler)
        assert len(sampler) == len(batches)
        assert [batch.user.numel() for batch in batches] == sizes
        user, pos_item, neg_item = (torch.cat(parts).tolist() for parts in zip(*batches))
        assert sorted([u, i] for u, i in zip(user, pos_item)) == expected
        assert all(i not in SEEN[u] for u, i in zip(user, neg_item))


def test_epochs_follow_from_the_generator(data):
    def two_epochs(seed):
        sampler = BPRSampler(data, 6, torch.Generator().manual_seed(seed))
        return [torch.cat([torch.stack(batch) for batch in sampler], dim=1) for _ in range(2)]

    first, second = two_epochs(1)
    assert all(torch.equal(a, b) for a, b in zip((first, second), two_epochs(1)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, two_epochs(2)[0])


def test_no_training_pairs(data):
    data[INTERACTS].edge_index = torch.empty(2, 0, dtype=torch.long)
    with pytest.raises(InputError, match="no training pairs"):
        BPRSampler(data, 6)


@pytest.fixture
def power_users(data):
    """Two users more, who have interacted with everything."""
    full = torch.tensor([(user, item) for user in (7, 8) for item in range(NUM_ITEMS)]).t()
    data[USER].num_nodes = 9
    data[INTERACTS].edge_index = torch.cat([full, data[INTERACTS].edge_index], dim=1)
    return data


@pytest.mark.parametrize(
    ("ids", "named"),
    [(None, "'7', '8'"), (torch.arange(9) + 100, "'107', '108'"), ([*"abcdefghi"], "'h', 'i'")],
)
def test_users_with_all_items_are_left_out(power_users, edge_index, ids, named):
    if ids is not None:
        power_users[USER].original_id = OriginalIds(ids) if isinstance(ids, list) else ids
    found = rf"user {named}: has .* all 9 items.*; 18 pairs are left"
    with pytest.warns(UserWarning, match=found) as warned:
        sampler = BPRSampler(power_users, 6, torch.Generator().manual_seed(0))
    assert warned[0].filename == __file__  # it points at the caller
    batches = [torch.stack(batch) for batch in sampler]
    assert len(sampler) == len(batches)
    triples = torch.cat(batches, dim=1).t().tolist()
    assert sorted([u, i] for u, i, _ in triples) == sorted(edge_index.t().tolist())
    assert all(i not in SEEN[u] for u, _, i in triples)


def test_nobody_has_an_unseen_item(data):
    full = torch.arange(len(SEEN) * NUM_ITEMS)
    data[INTERACTS].edge_index = torch.stack([full // NUM_ITEMS, full % NUM_ITEMS])
    with pytest.raises(InputError, match=r"user '0', '1', '2' and 4 more: .* all 9.*at least one"):
        BPRSampler(data, 6)


def test_pairs_that_come_twice_make_no_user_full(data):
    pairs = data[INTERACTS].edge_index
    data[INTERACTS].edge_index = torch.cat([pairs, pairs[:, pairs[0] == 2]], dim=1)
    assert BPRSampler(data, 6).edge_index.size(1) == pairs.size(1) + 8


def test_pairs_that_come_twice_hide_no_unseen_item(edge_index):
    twice = torch.cat([edge_index, edge_index, edge_index[:, ::2]], dim=1)
    user = torch.arange(len(SEEN)).repeat(300)
    draws = NegativeSampler(twice, len(SEEN), NUM_ITEMS)(user, torch.Generator().manual_seed(0))
    for u, seen in enumerate(SEEN):
        unseen = [i for i in range(NUM_ITEMS) if i not in seen]
        assert draws[user == u].unique().tolist() == unseen
    once = NegativeSampler(edge_index, len(SEEN), NUM_ITEMS)
    assert torch.equal(draws, once(user, torch.Generator().manual_seed(0)))


def test_indices_of_few_bits():
    """The product of the sizes is beyond them."""
    pairs = torch.tensor([[0, 60_000], [69_999, 3]])
    user = torch.tensor([0, 60_000, 60_000, 1])
    samplers = [NegativeSampler(p, 70_000, 70_000) for p in (pairs, pairs.int())]
    draws = [sampler(user, torch.Generator().manual_seed(0)) for sampler in samplers]
    assert torch.equal(*draws)


@pytest.mark.parametrize("change", [(0, len(SEEN)), (1, NUM_ITEMS), (1, -1)])
def test_pairs_of_others_are_refused(data, change):
    row, value = change
    edge_index = data[INTERACTS].edge_index = data[INTERACTS].edge_index.clone()
    edge_index[row, 3] = value
    message = f"row {row} of 'edge_index' has entries from .*; expected from 0 to"
    with pytest.raises(InputError, match=message):
        NegativeSampler(edge_index, len(SEEN), NUM_ITEMS)
    with pytest.raises(InputError, match=message):
        BPRSampler(data, 6)


@pytest.mark.parametrize("size", [0, -1, 2**63, 1.5])
def test_batches_of_no_size(data, size):
    with pytest.raises(InputError, match=r"batch_size: is .*; expected .*at least 1"):
        BPRSampler(data, size)


def triples(batches):
    return [torch.stack(batch).tolist() for batch in batches]


@pytest.mark.parametrize("given", range(5))
def test_another_sampler_goes_on_where_one_was(data, given):
    """After any of the four batches of an epoch, and before the first."""
    whole = BPRSampler(data, 6, torch.Generator().manual_seed(1))
    expected = triples(batch for _ in range(3) for batch in whole)
    first = BPRSampler(data, 6, torch.Generator().manual_seed(1))
    batches = iter(first)
    before = triples(next(batches) for _ in range(given))
    second = BPRSampler(data, 6, torch.Generator().manual_seed(2))
    second.load_state_dict(first.state_dict())
    assert second.step == given
    after = triples(batch for _ in range(3) for batch in second)
    assert before + after[: 12 - given] == expected


def test_a_sampler_that_went_on_can_be_left_again(data):
    expected = triples(BPRSampler(data, 6, torch.Generator().manual_seed(1)))
    sampler, found = BPRSampler(data, 6, torch.Generator().manual_seed(1)), []
    for _ in range(4):
        found += triples([next(iter(sampler))])
        state = sampler.state_dict()
        sampler = BPRSampler(data, 6)
        sampler.load_state_dict(state)
    assert found == expected


def test_an_epoch_that_was_left_is_not_gone_on_with(data):
    sampler = BPRSampler(data, 6)
    for _ in sampler:
        break
    assert len(list(sampler)) == len(sampler)
    assert sampler.step == 0


def test_draws_reach_every_one_of_very_many_items():
    sampler = NegativeSampler(torch.tensor([[0], [0]]), 1, 2**30)
    draws = sampler(torch.zeros(200, dtype=torch.long), torch.Generator().manual_seed(0))
    assert len((draws % 64).unique()) > 50  # float32 has numbers for each 64th alone


@pytest.mark.parametrize(
    ("num_full", "named"),
    [(3, "'0', '1', '2'"), (4, "'0', '1', '2' and 1 more"), (6, "'0', '1', '2' and 3 more")],
)
def test_three_users_with_all_items_are_named(data, num_full, named):
    pairs = [(user, item) for user in range(num_full) for item in range(NUM_ITEMS)]
    data[INTERACTS].edge_index = torch.tensor([*pairs, (6, 0)]).t()
    with pytest.warns(UserWarning, match=rf"^user {named}: has interacted"):
        BPRSampler(data, 6)


def test_several_negatives_repeat_every_pair(data):
    pairs = data[INTERACTS].edge_index
    one = next(iter(BPRSampler(data, 6, torch.Generator().manual_seed(0))))
    batch = next(iter(BPRSampler(data, 6, torch.Generator().manual_seed(0), num_negatives=50)))
    assert [ids.shape for ids in batch] == [(300,)] * 3
    assert torch.equal(batch.user, one.user.repeat_interleave(50))
    assert torch.equal(batch.pos_item, one.pos_item.repeat_interleave(50))
    seen = set(map(tuple, pairs.t().tolist()))
    drawn = set(zip(batch.user.tolist(), batch.neg_item.tolist()))
    assert not drawn & seen
    users = set(one.user.tolist())
    assert len(drawn) == sum(NUM_ITEMS - len(SEEN[user]) for user in users)  # each was drawn


def test_pairs_come_in_proportion_to_their_weights(data):
    pairs = data[INTERACTS].edge_index
    weights = torch.arange(pairs.size(1)) % 3  # the first has none
    generator = torch.Generator().manual_seed(0)
    sampler = BPRSampler(data, 6, generator, weights=weights)
    batches = [batch for _ in range(400) for batch in sampler]
    key = NUM_ITEMS * pairs[0] + pairs[1]
    drawn = torch.cat([NUM_ITEMS * batch.user + batch.pos_item for batch in batches])
    assert drawn.numel() == 400 * key.numel()
    share = (drawn.unsqueeze(1) == key).double().mean(dim=0)
    expected = weights / weights.sum()
    assert (share[weights == 0] == 0).all()
    error = (share - expected).abs()
    assert (error <= 5 * (expected / drawn.numel()).sqrt()).all()


def test_weights_that_grow_rounded_still_find_pairs(data):
    weights = torch.full((data[INTERACTS].edge_index.size(1),), 1e-30, dtype=torch.float64)
    weights[0] = 1.0  # beside which the others vanish
    sampler = BPRSampler(data, 100, torch.Generator().manual_seed(0), weights=weights)
    (batch,) = sampler
    first = data[INTERACTS].edge_index[:, 0]
    assert (batch.user == first[0]).all()
    assert (batch.pos_item == first[1]).all()


def test_smallest_draw_finds_no_pair_without_weight(data, monkeypatch):
    weights = torch.ones(data[INTERACTS].edge_index.size(1))
    weights[:2] = 0
    sampler = BPRSampler(data, 1, torch.Generator().manual_seed(0), weights=weights)
    monkeypatch.setattr(torch, "rand", lambda size, **_: torch.zeros(size, dtype=torch.float64))
    batch = next(iter(sampler))
    pair = torch.stack([batch.user, batch.pos_item])
    assert torch.equal(pair, data[INTERACTS].edge_index[:, 2:3])


def test_a_weighted_epoch_is_resumed(data):
    weights = torch.arange(1.0, data[INTERACTS].edge_index.size(1) + 1)

    def make():
        return BPRSampler(data, 2, torch.Generator().manual_seed(3), 2, weights)

    whole = list(make())
    first, second = make(), make()
    iterator = iter(first)
    begun = [next(iterator), next(iterator)]
    second.load_state_dict(first.state_dict())
    for found, expected in zip([*begun, *second], whole, strict=True):
        assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: torch.ones(n + 1), r"have shape \[\d+\]; expected \[\d+\]"),
        (lambda n: torch.ones(n, 1), r"have shape \[\d+, 1\]; expected \[\d+\]"),
        (lambda n: -torch.ones(n), "are negative or not finite; expected"),
        (lambda n: torch.full((n,), torch.nan), "are negative or not finite; expected"),
        (lambda n: torch.zeros(n), r"sum to 0\.0; expected more than 0"),
    ],
)
def test_weights_must_fit(data, make, message):
    count = data[INTERACTS].edge_index.size(1)
    with pytest.raises(InputError, match=rf"^BPRSampler\.weights: {message}"):
        BPRSampler(data, 6, weights=make(count))
