"""One clean text from the fields of an item."""

import html
import math
import re
from collections.abc import Collection, Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.errors import shown

_words = re.compile(r"\w+").findall

INLINE = frozenset(
    _words(
        "a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd mark nobr q rb"
        " rp rt ruby s samp small span strike strong sub sup time tt u var wbr"
    )
)
"""Elements that stand within words and lines; all others end a word."""

ELEMENTS = INLINE | frozenset(
    _words(
        "address applet area article aside audio base basefont bgsound blockquote body br button"
        " canvas caption center col colgroup command datalist dd details dialog dir div dl dt embed"
        " fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header"
        " hgroup hr html iframe img input isindex keygen label legend li link listing main map"
        " marquee menu menuitem meta meter nav noembed noframes noscript object ol optgroup option"
        " output p param picture plaintext pre progress script search section select slot source"
        " spacer style summary svg table tbody td template textarea tfoot th thead title tr track"
        " ul video xmp"
    )
)
"""Names of HTML, today's and those of old; others are tags only if they look like them."""

FLAGS = frozenset(
    _words(
        "allowfullscreen async autofocus autoplay checked compact controls default defer disabled"
        " hidden inert ismap itemscope loop multiple muted nomodule noresize noshade novalidate"
        " nowrap open playsinline readonly required reversed selected"
    )
)
"""Attributes that have no value."""

HIDDEN = frozenset(("script", "style", "template"))
"""Elements whose content isn't shown."""

STRAY = re.compile(r"<(?![a-z]|/[a-z]|!--|!doctype|\?xml)", re.IGNORECASE)
"""What begins no tag, such as in ``1 < 2`` and ``<3``."""

MARKED = re.compile(r"<!\[CDATA\[|\]\]>|<!\[(?:end)?if[^<>]*>|<!--+>")
"""Around text in XML, conditions of Word, and empty comments."""

NAMESPACE = re.compile(r"[a-z][\w.-]*:[a-z][\w.-]*")
"""Names of XML."""

INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
"""Hyphens and spaces of no width, and directions. Joiners change letters, so they stay."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def compose_text(values: Iterable[Any]) -> str:
    """Joins the fields of an item in their order.

    Nested lists, such as Amazon's categories, are flattened and name everything once. Of HTML
    what a browser shows is left, and every run of blanks becomes one.

    Args:
        values: Texts, numbers, None or lists of these.

    Returns:
        The text; empty if nothing is left.

    Raises:
        BadValue: If a field is of another kind.
    """
    parts = (clean_text(part) for value in values for part in dict.fromkeys(_flatten(value)))
    return " ".join(part for part in parts if part)


def clean_text(text: str) -> str:
    """Text without HTML, control characters, broken characters and needless blanks."""
    text = _Shown.of(text) if "<" in text else html.unescape(text)
    # Halves of a character are put together, and those without the other half left out:
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return " ".join(CONTROL.sub(" ", INVISIBLE.sub("", text)).split())


class _Shown(HTMLParser):
    """What a browser shows of a text that may be HTML, or just hold a ``<``."""

    def __init__(self, closed: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.closed = closed
        self.pieces: list[str] = []
        self.hidden = ""

    @classmethod
    def of(cls, text: str) -> str:
        text = STRAY.sub("&lt;", MARKED.sub("", text))
        lower = text.lower()
        for name in HIDDEN:
            if f"</{name}" not in lower:  # the word, not the element
                text = re.sub(f"<(?={name}\\b)", "&lt;", text, flags=re.IGNORECASE)
        parser = cls({"wbr", *re.findall("</([a-z]+)", lower)})
        parser.feed(text)
        rest = parser.rawdata  # from a tag on that doesn't end
        if not parser.hidden and not rest.startswith("<!--"):
            parser.pieces.append(html.unescape(rest))
        return "".join(parser.pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.hidden:
            return
        is_named = tag in ELEMENTS or NAMESPACE.fullmatch(tag) is not None
        is_bare = all(name in FLAGS or "-" in name for name, _ in attrs)
        has_values = any(value is not None for _, value in attrs)
        if not (is_named and is_bare) and (not has_values or tag.endswith(":")):  # or a URL
            self.handle_data(html.unescape(self.get_starttag_text() or ""))
            return
        if tag in HIDDEN:
            self.hidden = tag
        self._boundary(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""
        elif not self.hidden:
            self._boundary(tag)

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(data)

    def _boundary(self, tag: str) -> None:
        if tag not in INLINE or tag not in self.closed:
            self.pieces.append(" ")


def _flatten(value: Any) -> Iterator[str]:
    """The texts of a value in their order; a list may be nested however deeply."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += reversed(part)
        elif isinstance(part, str):
            yield part
        elif part is not None and not _is_missing(part):
            yield _number_text(part)


def _is_missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number_text(value: Any) -> str:
    is_number = isinstance(value, int) and value.bit_length() < 1000
    if not is_number and not (isinstance(value, float) and math.isfinite(value)):
        raise BadValue("not a text", f"has {shown(value)}", "text, numbers or lists of them")
    return str(value)
