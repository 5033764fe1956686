"""Docstrings in PyG's form, which is reStructuredText, as the Markdown that MkDocs wants."""

import re
import textwrap
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|mod|data):`~?(?:[\w.]+ <)?([^`<>]+?)>?`")
LINK = re.compile(r"`([^`<]+?)\s*<(https?://[^>]+)>`_+")
CODE = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n((?:\1 +.*\n|\s*\n)+)", re.MULTILINE)
MATH_BLOCK = re.compile(r"^( *)\.\. math::\n((?:\1 +.*\n|\s*\n)+)", re.MULTILINE)
TABLE = re.compile(
    r"^( *)=+(?:  =+)+\n(?:.*\n)*?\1=+(?:  =+)+(?:\n(?:.*\n)*?\1=+(?:  =+)+)?$", re.M
)


def to_markdown(text: str) -> str:
    """reStructuredText as far as the package uses it."""
    text = CODE.sub(_code, text + "\n")
    text = TABLE.sub(_fence, text)
    text = MATH_BLOCK.sub(_display, text)
    text = LINK.sub(lambda m: f"[{' '.join(m[1].split())}]({m[2]})", text)
    text = re.sub(r":math:`([^`]+)`", r"\\(\1\\)", text)
    text = re.sub(r":obj:`([^`]+)`", r"`\1`", text)
    text = ROLE.sub(lambda m: f"`{m[1].rsplit('.', 1)[-1] if '~' in m[0] else m[1]}`", text)
    return text.replace("``", "`").rstrip("\n")


def _code(match: re.Match) -> str:
    indent, language = match[1], match[2]
    body = textwrap.indent(textwrap.dedent(match[3]).strip("\n"), indent)
    return f"{indent}~~~{language}\n{body}\n{indent}~~~\n\n"


def _display(match: re.Match) -> str:
    indent, body = match[1], match[2].strip("\n")
    lines = [indent + line.strip() for line in body.splitlines() if line.strip()]
    return "\n".join([f"{indent}\\[", *lines, f"{indent}\\]"]) + "\n\n"


def _fence(match: re.Match) -> str:
    fence = f"{match[1]}~~~"
    return f"{fence}\n{match[0]}\n{fence}"


class RstDocstrings(griffe.Extension):
    """Converts every docstring as soon as it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
