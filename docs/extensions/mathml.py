"""Formulas become MathML when the site is built: pages show them without a script."""

import html
import re
import unicodedata
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# Browsers know bold letters as characters, but not as an attribute of others:
BOLD = re.compile(r' mathvariant="bold-italic">&#x(\w+);')


def on_page_content(content: str, *, page: Any, **kwargs: Any) -> str:
    """Replaces the formulas in the HTML of a page; MkDocs calls this for every page."""
    try:
        return FORMULA.sub(_replace, content)
    except ValueError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error


def _replace(match: re.Match) -> str:
    tag, latex = match.groups()
    formula = to_mathml(html.unescape(latex), {"div": "block", "span": "inline"}[tag])
    return f'<{tag} class="formula">{formula}</{tag}>'


def to_mathml(latex: str, display: str = "inline") -> str:
    """A formula in MathML.

    Raises:
        ValueError: If a part of it cannot be converted.
    """
    try:
        mathml = convert(latex, display=display)
    except Exception as error:
        raise ValueError(f"formula {latex!r} cannot be converted: {error!r}") from error
    mathml = mathml.replace(r"\Vert", "‖")  # which is not known after \big
    if "\\" in mathml:  # a command that the converter does not know is copied as it is
        raise ValueError(f"formula {latex!r} has an unknown command: {mathml}")
    return BOLD.sub(_bold, mathml)


def _bold(match: re.Match) -> str:
    letter = unicodedata.name(chr(int(match[1], 16))).removeprefix("GREEK ").replace("LETTER ", "")
    return f">{unicodedata.lookup(f'MATHEMATICAL BOLD {letter}')}"
