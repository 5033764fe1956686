import pytest

from mentor_pyg.preparation import compose_text
from mentor_pyg.preparation.problems import BadValue


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (["Ball", "Acme", [["Toys", "Balls"], ["Toys"]], "Round."], "Ball Acme Toys Balls Round."),
        (["Ball", None, "", float("nan"), [], [[]]], "Ball"),
        (["A &amp; B", "<p>see <a href='x'>this</a></p>"], "A & B see this"),
        (["1 < 2 and 3 > 2", "a<b"], "1 < 2 and 3 > 2 a<b"),
        (["a\tb\n\n c\x00d\u2028e"], "a b c d e"),
        (["broken \ud800 half"], "broken half"),
        ([2014, 9.5], "2014 9.5"),
        (["same", "same"], "same same"),
        ([], ""),
    ],
)
def test_compose_text(fields, text):
    assert compose_text(fields) == text


def test_a_field_of_another_kind():
    with pytest.raises(BadValue) as caught:
        compose_text(["Ball", {"a": 1}])
    assert caught.value.reason == "not a text"
