import csv
import io
from html.parser import HTMLParser

import pytest

from mentor_pyg import InputError
from mentor_pyg.analysis import Cell, Column, Table
from mentor_pyg.analysis.tables import FORMATS

AWKWARD = ["hit_ratio", "50%", "a|b", "R&D #1", "x<y>", "[0, 4)", "*", "`c` \\ {d}", "~^$", "±"]


@pytest.fixture
def table():
    return Table(
        [Column("model"), Column("recall@20", best="max"), Column("loss", ".1f", best="min")],
        [
            ["LightGCN", Cell(0.07541, (0.07, 0.08)), 1.25],
            ["MENTOR", Cell(0.1048, (0.1, 0.11), star=True), 3],
            ["Pop", None, Cell(-2.0, spread=0.25)],
        ],
        "50% of a_b",
        "made by x|y",
    )


def test_text(table):
    assert table.to_text() == (
        "50% of a_b\n"
        "model                   recall@20          loss\n"
        "------------------------------------------------\n"
        "LightGCN  0.0754 [0.0700, 0.0800]           1.2\n"
        "MENTOR    0.1048 [0.1000, 0.1100]^*           3\n"
        "Pop                                  -2.0 ± 0.2^\n"
        "^ best; made by x|y"
    )


def test_markdown(table):
    assert table.to_markdown() == (
        "50% of a\\_b\n\n"
        "| model | recall@20 | loss |\n"
        "| --- | ---: | ---: |\n"
        "| LightGCN | 0.0754 [0.0700, 0.0800] | 1.2 |\n"
        "| MENTOR | **0.1048 [0.1000, 0.1100]**\\* | 3 |\n"
        "| Pop |  | **-2.0 ± 0.2** |\n\n"
        "made by x\\|y"
    )


def test_latex(table):
    assert table.to_latex() == (
        "\\begin{table}\n"
        "  \\centering\n"
        "  \\caption{50\\% of a\\_b. made by x\\textbar{}y}\n"
        "  \\begin{tabular}{lrr}\n"
        "    \\toprule\n"
        "    model & recall@20 & loss \\\\\n"
        "    \\midrule\n"
        "    LightGCN & 0.0754 [0.0700, 0.0800] & 1.2 \\\\\n"
        "    MENTOR & \\textbf{0.1048 [0.1000, 0.1100]}$^{*}$ & 3 \\\\\n"
        "    Pop &  & \\textbf{$-$2.0 $\\pm$ 0.2} \\\\\n"
        "    \\bottomrule\n"
        "  \\end{tabular}\n"
        "\\end{table}"
    )


def test_html(table):
    right = ' style="text-align: right"'
    text = table.to_html()
    assert "<caption>50% of a_b</caption>" in text
    assert f"<tr><th>model</th><th{right}>recall@20</th><th{right}>loss</th></tr>" in text
    assert "<strong>0.1048 [0.1000, 0.1100]</strong><sup>*</sup></td>" in text
    assert '<td colspan="3">made by x|y</td>' in text


def test_csv_has_all_digits_and_parts(table):
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(rows[0]) == [
        *("model", "recall@20", "recall@20 low", "recall@20 high", "loss", "loss std")
    ]
    assert list(rows[0].values()) == ["LightGCN", "0.07541", "0.07", "0.08", "1.25", ""]
    assert list(rows[2].values()) == ["Pop", "", "", "", "-2.0", "0.25"]


def test_transposed(table):
    turned = Table(table.columns, table.rows, transposed=True)
    lines = turned.to_text().splitlines()
    assert lines[0].split() == ["model", "LightGCN", "MENTOR", "Pop"]
    assert lines[2].split("  ")[0] == "recall@20"
    assert "0.1048 [0.1000, 0.1100]^*" in lines[2]
    assert lines[3].split() == ["loss", "1.2", "3", "-2.0", "±", "0.2^"]
    assert turned.to_csv() == table.to_csv()


@pytest.mark.parametrize(
    ("values", "marked"),
    [([1.0, 2.0], [1]), ([2.0, 1.0, 2.0], [0, 2]), ([1.0], []), ([3.0, 3.0], []), ([], [])],
)
def test_what_is_best(values, marked):
    text = Table([Column("x", best="max")], [[value] for value in values]).to_text()
    rows = text.splitlines()[2:][: len(values)]
    assert [i for i, row in enumerate(rows) if row.endswith("^")] == marked
    assert ("^ best" in text) == bool(marked)


def test_numbers():
    columns = [Column("n"), Column("p", ".2g"), Column("text")]
    text = Table(columns, [[12345, 0.00012, "12"], [7, 1.0, None]]).to_text()
    assert text.splitlines()[2:] == ["12,345  0.00012  12", "     7        1"]


def test_rows_of_wrong_length():
    with pytest.raises(ValueError, match="zip"):
        Table([Column("x")], [["a", "b"]]).to_text()


@pytest.fixture
def awkward():
    return Table([Column(text) for text in AWKWARD], [AWKWARD, AWKWARD[::-1]])


def test_awkward_markdown(awkward):
    """Every special character is escaped, so that undoing it gives the text."""
    for line, texts in zip(awkward.to_markdown().splitlines()[::2], (AWKWARD, AWKWARD)):
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
        assert cells[:3] == ["hit\\_ratio", "50%", "a\\|b"]
        unescaped = [
            "".join(c for i, c in enumerate(cell) if c != "\\" or cell[:i].endswith("\\"))
            for cell in cells
        ]
        assert unescaped == texts


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a&lt;b", r"a\&lt;b"),
        ("$x$", r"\$x\$"),
        ("![x](y)", r"\!\[x\](y)"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("a-b 1.5", "a-b 1.5"),
        ("red \x1b[31m", r"red \\x1b\[31m"),
    ],
)
def test_names_stay_names_in_markdown(text, markdown):
    table = Table([Column(text)], [[text]], text)
    title, rows = table.to_markdown().split("\n\n")
    assert title == markdown
    assert rows == f"| {markdown} |\n| --- |\n| {markdown} |"


@pytest.mark.parametrize(
    ("text", "latex"),
    [("a--b---c", "a-{}-b-{}-{}-c"), ("''x``", "'{}'x`{}`"), ("a\x07b", r"a\textbackslash{}x07b")],
)
def test_no_ligatures_and_controls_in_latex(text, latex):
    assert f"    {latex} \\\\\n" in Table([Column("x")], [[text]]).to_latex()


def test_awkward_latex(awkward):
    expected = [
        r"hit\_ratio",
        r"50\%",
        r"a\textbar{}b",
        r"R\&D \#1",
        r"x\textless{}y\textgreater{}",
    ]
    expected += ["{[}0, 4)", "{*}", r"`c` \textbackslash{} \{d\}"]
    expected += [r"\textasciitilde{}\textasciicircum{}\$", r"$\pm$"]
    lines = awkward.to_latex().splitlines()
    assert lines[4].strip() == " & ".join(expected) + r" \\"
    assert lines[7].strip() == " & ".join(expected[::-1]) + r" \\"


def test_awkward_html(awkward):
    found = []
    parser = HTMLParser()
    parser.handle_data = lambda text: found.append(text) if text.strip() else None
    parser.feed(awkward.to_html())
    assert found == [*AWKWARD, *AWKWARD, *AWKWARD[::-1]]


def test_awkward_csv_and_text(awkward):
    assert list(csv.reader(io.StringIO(awkward.to_csv())))[1] == AWKWARD
    assert awkward.to_text().splitlines()[0].split("  ")[0] == "hit_ratio"


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "csv"])
def test_line_breaks_become_spaces(format):
    table = Table([Column("a\nb")], [["c\r\nd"]], "e\nf", "g\nh")
    text = table.render(format)
    assert all(pair in text for pair in ("a b", "c d", "e f", "g h"))


def test_unknown_format():
    with pytest.raises(InputError, match="format: is 'pdf'; expected one of text, markdown"):
        Table([Column("a")], [[1]]).render("pdf")


@pytest.mark.parametrize("format", FORMATS)
def test_no_rows(format):
    assert "recall" in Table([Column("model"), Column("recall")], []).render(format)
