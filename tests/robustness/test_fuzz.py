"""Every reader accepts its corpus, and refuses in a line what damage makes of it.

`python tests/robustness/fuzz.py` does the same with any number of inputs, and watches memory.
"""

import logging

import pytest
from fuzz import check, make_input
from readers import READERS

INPUTS = 30


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(logging.getLogger("mentor_pyg"), "disabled", True)


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_a_line(name):
    for files in READERS[name].corpus():
        assert check(name, -1, files) == (True, None)
    inputs = max(3, int(INPUTS * min(1, READERS[name].share)))
    results = [check(name, number, make_input(name, number, seed=0)) for number in range(inputs)]
    assert [finding for _, finding in results if finding] == []
    assert not all(is_accepted for is_accepted, _ in results)
