import numpy as np
import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.serving.ids import IdMap


def test_there_and_back():
    for ids in (["b", "a", "cc"], [30, 10, 20], torch.tensor([5, 4, 3])):
        ids_of = IdMap(ids, "item")
        order = [2, 0, 0, 1]
        assert ids_of.rows(ids_of.ids[order]).tolist() == order
        assert ids_of.rows(ids_of.ids[order].tolist()).tolist() == order
        assert len(ids_of) == 3


def test_numbers_as_text_and_text_as_numbers():
    assert IdMap([30, 10, 20], "item").rows(["10", "30"]).tolist() == [1, 0]
    assert IdMap(["30", "10", "20"], "item").rows([10, 30]).tolist() == [1, 0]
    assert IdMap(["30", "10"], "item").rows(np.array([10])).tolist() == [1]


def test_blanks_around_numbers():
    assert IdMap([30, 10, 20], "item").rows([" 10", "30 "]).tolist() == [1, 0]


def test_find_marks_the_unknown():
    assert IdMap(["b", "a"], "item").find(["a", "z", "", "b", "bb"]).tolist() == [1, -1, -1, 0, -1]
    assert IdMap([7, 3], "item").find([3, 4, 8, -1]).tolist() == [1, -1, -1, -1]
    assert IdMap([7, 3], "item").find([]).tolist() == []


def test_longer_than_any_label():
    assert IdMap(["ab", "abc"], "item").find("abcd").tolist() == [-1]


@pytest.mark.parametrize("ids", [["a", "b", "a"], [1, 2, 1]])
def test_repeated_ids(ids):
    with pytest.raises(InputError, match=rf"user '{ids[0]}': is repeated; expected each id"):
        IdMap(ids, "user")


@pytest.mark.parametrize("wrong", ["x", "1.5", "9" * 30, "", "1_0", "07", "+7"])
def test_no_number(wrong):
    with pytest.raises(InputError, match=r"isn't an integer of 64 bits; expected an id like 7"):
        IdMap([7, 3], "item").rows([wrong])


def test_every_collection_of_ids():
    """As pandas gives them, sets, iterators; what can be read once is read once."""
    ids = IdMap(["b", "a", "cc"], "item")
    for given in (
        np.array(["a", "cc"], dtype=object),
        ("a", "cc"),
        iter(["a", "cc"]),
        {"a": 0, "cc": 1},
    ):
        assert ids.rows(given).tolist() == [1, 2]
    assert sorted(ids.rows({"a", "cc"}).tolist()) == [1, 2]
    with pytest.raises(InputError, match="item 'x': unknown"):
        ids.rows(iter(["a", "x"]))
