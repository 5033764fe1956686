import tracemalloc

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.datasets.interactions import read_interactions


@pytest.fixture
def read(tmp_path):
    """A function that reads rows as a table."""

    def read(rows, user_ids=None, item_ids=None):
        lines = ["userID\titemID\tx_label", *("\t".join(map(str, row)) for row in rows)]
        path = tmp_path / "toy.inter"
        path.write_bytes("\n".join(lines).encode() + b"\n")
        return read_interactions(path, user_ids, item_ids)

    return read


def test_rows_against_a_naive_reader(read):
    """More rows than are read at once, ids in random order, of very different lengths."""
    rng = np.random.default_rng(0)
    users = [f"u{n * n}" for n in range(300)]
    items = [f"{n}" for n in range(299)] + ["an id that is no number"]
    pairs = rng.permutation(300 * 300)[:70_000]
    label = rng.integers(3, size=len(pairs))
    rows = [(users[p // 300], items[p % 300], s) for p, s in zip(pairs.tolist(), label.tolist())]
    found = read(rows)
    assert found.user_ids == sorted(users)
    assert found.item_ids == sorted(items)
    named = zip(found.user.tolist(), found.item.tolist(), found.label.tolist())
    assert [(found.user_ids[u], found.item_ids[i], s) for u, i, s in named] == rows


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_one_label_among_numbers_makes_all_labels(read, order):
    """Of whatever size the numbers are, and in whatever row they come."""
    ids = ["9" * 20, "B00ABC", "7"]
    found = read([(ids[n], n, n) for n in order])
    assert found.user_ids == sorted(ids)
    assert sorted(zip(found.user.tolist(), found.item.tolist())) == [(0, 2), (1, 0), (2, 1)]


def test_too_large_number_is_named_with_its_line(read):
    rows = [(1, 0, 0), ("9" * 20, 1, 1), (3, 2, 2)]
    with pytest.raises(InputError, match=rf"line 3 has userID {'9' * 20}, which is too large"):
        read(rows)


def test_number_too_long_for_python_is_a_label(read):
    long = "9" * 5000
    assert read([(1, 0, 0), (long, 1, 1), (3, 2, 2)]).user_ids == ["1", "3", long]


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u3000"])
def test_blanks_around_labels_are_no_part_of_them(read, blank):
    found = read([("A1", 0, 0), (f"A1{blank}", 1, 1), (f"{blank}A1", 2, 2), ("A 1", 0, 0)])
    assert found.user_ids == ["A 1", "A1"]
    assert found.user.tolist() == [1, 1, 1, 0]


def test_blanks_around_listed_ids(read):
    found = read([("A1 ", 0, 0), (" B", 1, 1), ("A1", 2, 2)], user_ids=["B", "A1"])
    assert found.user.tolist() == [1, 0, 1]


def test_pair_that_blanks_made_look_like_two(read):
    with pytest.raises(InputError, match="line 4 repeats the pair of line 2"):
        read([("A", 0, 0), ("A", 1, 1), ("A ", 0, 0), ("A", 2, 2)])


def test_end_of_a_label_is_kept(read):
    """NumPy's texts of fixed width would lose zero bytes at the end."""
    assert read([("a", 0, 0), ("a\0", 1, 1), ("a\0\0", 2, 2)]).user_ids == ["a", "a\0", "a\0\0"]


@pytest.mark.parametrize(
    ("text", "split"), [("0.0", 0), (" 0", 0), ("1.0", 1), ("+1", 1), ("2 ", 2), ("2.00", 2)]
)
def test_splits_as_programs_write_them(read, text, split):
    assert read([(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, text)]).label.tolist()[-1] == split


@pytest.mark.parametrize("text", ["0.5", "3", "-1", "nan", "inf", "", "x" * 10_000])
def test_no_split(read, text):
    with pytest.raises(InputError, match=r"line 5 has x_label '.{0,60}'; expected 0 \(train\)"):
        read([(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, text)])


def test_long_id_is_shortened_in_messages(read):
    with pytest.raises(InputError, match=r"line 2 has userID 'u{1,30}\.\.\.u{1,30}', which is not"):
        read([("u" * 10_000, 0, 0)], user_ids=["a"])


def test_one_long_id_costs_no_more_than_its_length(tmp_path):
    path = tmp_path / "urls.inter"
    rows = ["userID\titemID\tx_label"]
    for row in range(6000):
        query = "?q=" + "z" * 50_000 if row == 7 else ""
        label = (row % 20 > 17) + (row % 20 > 18)
        rows.append(f"u{row // 20}\thttps://x.org/{row % 500}{query}\t{label}")
    path.write_text("\n".join(rows) + "\n")
    tracemalloc.start()
    try:
        read_interactions(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * path.stat().st_size
