import pytest
import torch

from mentor_pyg import InputError, top_k
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.evaluation import ranking
from mentor_pyg.evaluation.ranking import SeenItems, rank
from mentor_pyg.sparse import products


def stated_order(num_items):
    return torch.randperm(num_items, generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize("entries", [1, 300, 2**21])
@pytest.mark.parametrize(("num_items", "k"), [(1, 1), (5, 5), (40, 7), (200, 20)])
def test_ties_are_in_the_stated_order(monkeypatch, num_items, k, entries):
    """Whole numbers up to 3 have many ties, within a list and at its end."""
    monkeypatch.setitem(products.ENTRIES, "cpu", entries)
    torch.manual_seed(0)
    scores = torch.randint(0, 4, (9, num_items)).float()
    seen = torch.stack([torch.arange(9), torch.arange(9) % num_items])
    candidates = torch.randperm(num_items)[: max(1, num_items - 3)]
    place = {item: i for i, item in enumerate(stated_order(num_items))}
    found = rank(scores, torch.eye(num_items), torch.arange(9), k, SeenItems(seen, 9), candidates)
    for user in range(9):
        left = [i for i in candidates.tolist() if i != user % num_items]
        expected = sorted(left, key=lambda i: (-scores[user, i].item(), place[i]))[:k]
        assert found.items[user][found.valid[user]].tolist() == expected
        assert found.scores[user][found.valid[user]].tolist() == scores[user, expected].tolist()


def test_equal_embeddings_rank_all_items_alike_for_everybody():
    lists = top_k(torch.ones(3, 2), torch.ones(50, 2), torch.arange(3), 10)
    assert lists.tolist() == 3 * [stated_order(50)[:10]]


def test_single_rows_of_nan_are_named():
    item = torch.ones(6, 2)
    item[2:4, 1] = torch.nan
    with pytest.raises(InputError, match="item embeddings: 2 of 6 rows hold NaN or infinite"):
        rank(torch.ones(2, 2), item, torch.arange(2), 3)


@pytest.mark.parametrize(
    ("users", "candidates", "shape"),
    [([], None, (0, 3)), ([0, 1], [], (2, 0)), ([], [], (0, 0)), ([], [4], (0, 1))],
)
def test_without_users_or_candidates_lists_are_empty(users, candidates, shape):
    candidates = None if candidates is None else torch.tensor(candidates, dtype=torch.long)
    users = torch.tensor(users, dtype=torch.long)
    found = rank(torch.ones(2, 2), torch.ones(6, 2), users, 3, candidates=candidates)
    assert {tuple(x.shape) for x in found} == {shape}
    assert [x.dtype for x in found] == [torch.int64, torch.float32, torch.bool]


@pytest.mark.parametrize("k", [1, 5])
def test_one_user_and_one_candidate(k):
    found = rank(torch.ones(2, 2), torch.ones(6, 2), torch.tensor([1]), k, None, torch.tensor([4]))
    assert [x.tolist() for x in found] == [[[4]], [[2.0]], [[True]]]


@pytest.mark.parametrize(
    ("user", "item", "found"),
    [
        (torch.ones(2, 3), torch.ones(6, 2), "users have 3 columns of torch.float32, items 2"),
        (torch.ones(2, 2).double(), torch.ones(6, 2), "2 columns of torch.float64, items 2"),
        (torch.ones(2), torch.ones(6, 2), r"user embeddings: have shape \[2\]"),
        (torch.ones(2, 2), torch.ones(6, 2).long(), "item embeddings: .* dtype torch.int64"),
    ],
)
def test_embeddings_without_products_are_refused(user, item, found):
    with pytest.raises(InputError, match=f"{found}.*; expected "):
        rank(user, item, torch.arange(2), 3)


def test_a_bar_is_drawn_on_demand_alone(monkeypatch, capsys):
    """It counts users, block by block."""
    bars = []

    def recorded(*args, **options):
        bars.append(progress_bar(*args, **options))
        return bars[-1]

    monkeypatch.setattr(ranking, "progress_bar", recorded)
    monkeypatch.setitem(products.ENTRIES, "cpu", 12)  # those of two users
    arguments = torch.ones(7, 2), torch.ones(6, 2), torch.arange(7), 3
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    rank(*arguments)
    assert capsys.readouterr().err == ""
    rank(*arguments, progress=True)
    assert "ranking: " in (shown := capsys.readouterr().err)
    assert "0/7 [" in shown
    assert bars[1].n == 7
