import pytest

from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.preparation import compose_text


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
        # What stands in a word stays in it:
        (["soft&shy;ware", "soft\u00adware", "a\u200bb", "\ufeffa"], "software software ab a"),
        (["می\u200cخواهم", "क्\u200dष", "👩\u200d💻"], "می\u200cخواهم क्\u200dष 👩\u200d💻"),
        (
            ["H<sub>2</sub>O, un<b>believ</b>able, super<wbr>market"],
            "H2O, unbelievable, supermarket",
        ),
        (["🫩 \ud83d\ude00"], "🫩 😀"),
        # What ends one, doesn't join:
        (["a<br>b<br/>c<p>d</p>e<LI>f</LI><li>g</li>"], "a b c d e f g"),
        (["<td>1</td><td>2</td>", "<img alt='a > b'>Red shoe"], "1 2 Red shoe"),
        # What is no tag, is text:
        (["Learning &lt;canvas&gt; and &lt;svg&gt;"], "Learning <canvas> and <svg>"),
        (["sizes a<Max and b>Min fit", "a<b and c>d"], "sizes a<Max and b>Min fit a<b and c>d"),
        (["I <3 it </3 > <!x> <me@x.org> <http://x.org/?a=b>"],) * 2,
        (["Learn <script> in a day", "cut <a href='x"], "Learn <script> in a day cut <a href='x"),
        (["x &amp;lt; y"], "x &lt; y"),
        # What a browser hides, is none:
        (["<style>.a{color:red}</style>Red shoe"], "Red shoe"),
        (["<SCRIPT>if (a<b) x('<p>')</SCRIPT >Red shoe"], "Red shoe"),
        (["<!-- a > b -->Red <!-->shoe<!-- <b>cut"], "Red shoe"),
        (["<![CDATA[Red <i>sh</i>oe]]>", "<!DOCTYPE html><?xml version='1'?>"], "Red shoe"),
        (["<o:p></o:p><svg><path d='M0'/></svg>Red"], "Red"),
        ([True, 10**400], None),
    ],
)
def test_compose_text(fields, text):
    if text is None:
        with pytest.raises(BadValue):
            compose_text(fields)
    else:
        assert compose_text(fields) == (text if isinstance(text, str) else text[0])


def test_lists_nested_deeply():
    value = "deep"
    for _ in range(10_000):
        value = [value]
    assert compose_text([value]) == "deep"


@pytest.mark.parametrize("piece", ["<", "<a ", "<!--", "<![CDATA[", "<![if ", '<a b="', "</"])
def test_damaged_html_takes_no_square_of_its_length(piece):
    assert isinstance(compose_text([piece * 20_000]), str)


def test_a_field_of_another_kind():
    with pytest.raises(BadValue) as caught:
        compose_text(["Ball", {"a": 1}])
    assert caught.value.reason == "not a text"
