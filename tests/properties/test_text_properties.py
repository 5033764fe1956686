"""What is left of texts, and of files whose writing is interrupted."""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mentor_pyg._util.files import write_text
from mentor_pyg._util.json_files import write_json
from mentor_pyg.preparation.text import clean_text
from mentor_pyg.runs.weights import load_weights, save_weights

ANY = st.text(st.characters(), max_size=30)  # halves of characters, too
WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=8).map(
    lambda text: re.sub("[<>&]", "", text)
)
TAGS = st.sampled_from(
    [
        "<b>",
        "</b>",
        "<p class='a > b'>",
        "</P>",
        "<br/>",
        "<wbr>",
        "<li>",
        "<a href=x>",
        "<!-- c -->",
    ]
)
REFERENCES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&eacute;": "é", "&#233;": "é"}
STRAY = st.sampled_from([" < ", " > ", "1<2", "<3", " & ", "->"])


@given(ANY.map(lambda text: re.sub("[<&]", "", text)))
def test_clean_texts_stay_as_they_are(text):
    """A reference may stand for another one, and two tags for a third; there is neither."""
    once = clean_text(text)
    assert clean_text(once) == once
    assert once == once.strip()


@given(st.lists(st.one_of(WORDS, TAGS, STRAY, st.sampled_from(list(REFERENCES))), max_size=12))
def test_no_letters_are_lost_outside_of_tags(pieces):
    tags = {"<b>", "</b>", "<p class='a > b'>", "</P>", "<br/>", "<wbr>", "<li>", "<a href=x>"}
    shown = "".join(REFERENCES.get(p, p) for p in pieces if p not in tags | {"<!-- c -->"})
    found = clean_text("".join(pieces))
    assert "".join(found.split()) == "".join(shown.split())


@given(ANY)
def test_anything_can_be_cleaned(text):
    clean_text(text).encode("utf-8")  # there are no halves of characters


class Interrupted(BaseException):
    pass


def interrupt(number, action):
    """Runs an action, which is interrupted at that of its calls of what is written in C."""
    left = number

    def count(frame, event, argument):
        nonlocal left
        if event == "c_call" and argument is not sys.setprofile:
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise Interrupted

    sys.setprofile(count)
    try:
        action()
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return False


WEIGHTS = [{"x": torch.full((3,), float(n))} for n in range(2)]
ABOUT = {"config": {}, "source": {"origin": "x"}, "data": "x", "versions": {}}
WRITERS = {
    "text": (lambda path, n: write_text(path, f"{n}" * 5000), lambda path: path.read_text()[0]),
    "json": (lambda path, n: write_json(path, [n] * 50), lambda path: path.read_text()[4]),
    "weights": (
        lambda path, n: save_weights(path, WEIGHTS[n], ABOUT),
        lambda path: str(int(load_weights(path).state["x"][0])),
    ),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of open files
@pytest.mark.parametrize("kind", WRITERS)
@given(number=st.integers(0, 400))
def test_a_write_that_is_interrupted_leaves_the_old_content_or_the_new(kind, number):
    write, read = WRITERS[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        write(path, 0)
        old = path.read_bytes()
        is_interrupted = interrupt(number, lambda: write(path, 1))
        found = read(path)
        assert found in "01"
        assert found == "1" or (is_interrupted and path.read_bytes() == old)
        write(path, 1)  # what is left of the interrupted one doesn't matter
        assert read(path) == "1"
