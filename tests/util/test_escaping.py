"""Texts from data on their way to terminals and spreadsheets."""

import json
import logging

import pytest

from mentor_pyg._util.escaping import printable, without_formulas
from mentor_pyg.cli import Output
from mentor_pyg.cli import main as cli
from mentor_pyg.cli.main import main

EVIL = "\x1b[2J\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± 漢字 \t\n", "plain ± 漢字 \t\n"),
        (EVIL, r"\x1b[2J\x1b]0;title\x07"),
        ("a\rb\x9b1m\x7f", r"a\rb\x9b1m\x7f"),
        ("\u202eexe.jpg", r"\u202eexe.jpg"),
        ("\udcff", r"\udcff"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_nothing_that_commands_print_moves_the_cursor(toy_folder, tmp_path, capsys, monkeypatch):
    """Ids and names of files from others, in results, errors and the log."""
    cli._print(Output(f"user {EVIL}"), as_json=False)
    cli._print(Output("", {"user": EVIL}), as_json=True)
    logger = logging.getLogger("mentor_pyg")
    monkeypatch.setattr(
        "mentor_pyg.cli.info.run",
        lambda args: logger.warning("read %s", EVIL) or Output(EVIL),
    )
    assert main(["info"]) == 0
    monkeypatch.undo()
    (toy_folder / "toy.inter").write_text(f"userID\titemID\tx_label\nu\ti\t{EVIL}\n")
    assert main(["info", str(toy_folder)]) == 2
    shown = "".join(capsys.readouterr())
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count(r"\x1b[2J") == 4


def test_formulas_become_texts_and_numbers_stay():
    row = ["=HYPERLINK(1)", "+1", "-1", "@SUM", "\t=1", "\uff1d1", "a=1", "", -1.5, 3]
    safe = ["'=HYPERLINK(1)", "'+1", "'-1", "'@SUM", "'\t=1", "'\uff1d1", "a=1", "", -1.5, 3]
    assert without_formulas(row) == safe


def test_json_is_data_and_stays_as_it_is(capsys):
    cli._print(Output("", {"user": EVIL}), as_json=True)
    assert json.loads(capsys.readouterr().out) == {"user": EVIL}
