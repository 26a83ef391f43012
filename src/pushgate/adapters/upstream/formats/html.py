"""
What an HTML page repeats, as a list of objects: one for each element that ``items`` selects, in their order.

A field is the text of the first element inside that its selector finds, white space collapsed; with ``@attribute``
behind it, that attribute; with no selector, the item itself is meant. What is not found is null. A page where nothing
is found is an empty list, which the guards judge.

A page may declare its charset in a ``<meta>``; and ISO-8859-1 means Windows-1252 in HTML, as in every browser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ....config.formats import field_parts
from ....values import Json
from .charsets import charset_of, text_of
from .libraries import library

_META = re.compile(rb"""<meta[^>]{0,200}?[\s;"']charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)

# Where the HTML standard looks for a <meta>, and some more, because pages put it further down.
_HEAD_BYTES = 4096

_LATIN_1 = frozenset({"iso-8859-1", "iso8859-1", "latin1", "latin-1"})


def decode(body: bytes, content_type: str, *, items: str, fields: Mapping[str, str]) -> Json:
    """
    Return the items; raises PollError(``decode``).

    ``fields``: names, and what to find for each, written ``selector@attribute``; both parts may be left out.
    """
    lexbor = library("selectolax.lexbor")
    places = {name: field_parts(text) for name, text in fields.items()}
    return [
        {name: _field(item, selector, attribute) for name, (selector, attribute) in places.items()}
        for item in lexbor.LexborHTMLParser(_text(body, content_type)).css(items)
    ]


def _text(body: bytes, content_type: str) -> str:
    meta = _META.search(body, 0, _HEAD_BYTES)
    charset = charset_of(content_type) or (meta[1].decode().lower() if meta else None)
    return text_of(body, "", declared="cp1252" if charset in _LATIN_1 else charset)


def _field(item: Any, selector: str, attribute: str | None) -> str | None:
    element = item.css_first(selector) if selector else item
    if element is None:
        return None
    if attribute is None:
        return " ".join(element.text().split())
    attributes = element.attributes
    return (attributes[attribute] or "") if attribute in attributes else None
