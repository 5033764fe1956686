"""Cells of tables as they are drawn, escaped for Markdown, LaTeX and HTML."""

import html
import re
from collections.abc import Callable
from typing import NamedTuple

from mentor_pyg._util.escaping import printable

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~#&$!]|^[-+=:]|(?<=^\d)[.)])")

LIGATURE = re.compile(r"([-'`])(?=\1)")

"""What LaTeX makes one character of two, such as a dash of two hyphens."""

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    # After a line's end, these would be taken for its options:
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
} | {character: f"\\{character}" for character in "&%$#_{}"}

LATEX_NUMBER = {"-": "$-$", "±": r"$\pm$"}


class Drawn(NamedTuple):
    """A cell before it is written in a format."""

    text: str
    is_number: bool = False
    best: bool = False
    star: bool = False


def decorate(cell: Drawn, escape: Callable[[Drawn], str], bold: str, star: str) -> str:
    text = escape(cell)
    return (bold.format(text) if cell.best else text) + star * cell.star


def one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def escape_markdown(cell: Drawn) -> str:
    text = one_line(cell.text)
    return text if cell.is_number else MARKDOWN.sub(r"\\\1", text)


def escape_latex(cell: Drawn) -> str:
    table = LATEX_NUMBER if cell.is_number else LATEX
    text = "".join(table.get(character, character) for character in one_line(cell.text))
    return LIGATURE.sub(r"\1{}", text)


def escape_html(cell: Drawn) -> str:
    return html.escape(one_line(cell.text))
