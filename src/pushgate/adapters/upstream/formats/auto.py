"""
``format: auto``: what an answer is, by its Content-Type, and where that says little by how the answer begins.

- ``application/json``, ``text/json`` and ``…+json`` are JSON; the types of JSON Lines and sequences are lists.
- ``application/rss+xml`` and ``application/atom+xml`` are feeds; ``application/xml``, ``text/xml`` and any other
  ``…+xml`` are XML, even if they hold a feed: name ``format: feed`` for it.
- ``text/csv`` is CSV, ``text/tab-separated-values`` CSV with tabs.
- ``text/html`` and ``application/xhtml+xml`` are JSON if they begin with ``{`` or ``[``, since old servers send
  everything as HTML; a page is never read: where data is expected, it is a login or an apology.
- ``text/plain`` and other ``text/…`` are JSON if they begin with ``{`` or ``[`` and are JSON, XML if they begin with
  ``<?xml``, and otherwise text. What begins like an object, or like a list of objects, lists or strings, and is not
  JSON was cut or broken, and is a failed poll rather than text.
- No type, ``application/octet-stream``, and types not listed here are JSON, or XML if they begin with ``<``.

A text that begins like an HTML page is one, whatever its type.
"""

from __future__ import annotations

import re
from typing import Literal, assert_never

from ....errors import PollError
from ....values import Document, Json
from . import csv, feed, json, text, xml
from .charsets import is_html, media_type, opening_of
from .plain import PlainDecoder
from .recall import RecallingDecoder

Kind = Literal["json", "json or text", "xml", "feed", "csv", "tsv", "text"]

_BY_TYPE: dict[str, Kind] = {
    "application/json": "json",
    "text/json": "json",
    "application/x-json": "json",
    "text/x-json": "json",
    "application/rss+xml": "feed",
    "application/atom+xml": "feed",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/csv": "csv",
    "application/csv": "csv",
    "text/x-csv": "csv",
    "text/tab-separated-values": "tsv",
}
_PAGES = ("text/html", "application/xhtml+xml")

_WAY_OUT = "it may be a login or an error page; if it is what you want, set `format` to html or text"

# How JSON begins that no other text begins with; a bracket alone may open a line of a log.
_PLAINLY_JSON = re.compile(r'\{|\[\s*[\[{"\]]')


class AutoDecoder:
    """Decodes the successive answers of one topic, each by what it says that it is."""

    def __init__(self, *, keeps_shape: bool) -> None:
        self._json = RecallingDecoder() if keeps_shape else PlainDecoder(json.decode)
        self._was_json = False

    def decode(self, body: bytes, content_type: str) -> Json:
        """Return the value of a body; raises PollError(``decode``) if it is an HTML page, or nothing that is known."""
        kind = kind_of(body, content_type)
        self._was_json = kind in ("json", "json or text")
        match kind:
            case "json":
                return self._json.decode(body, content_type)
            case "json or text":
                return self._json_or_text(body, content_type)
            case "xml":
                return xml.decode(body, content_type)
            case "feed":
                return feed.decode(body, content_type)
            case "csv":
                return csv.decode(body, content_type)
            case "tsv":
                return csv.decode(body, content_type, delimiter="\t")
            case "text":
                return text.decode(body, content_type)
            case _:
                assert_never(kind)

    def learn(self, document: Document | None) -> None:
        """Remember the document, if the latest answer was JSON."""
        if self._was_json:
            self._json.learn(document)

    def _json_or_text(self, body: bytes, content_type: str) -> Json:
        try:
            return self._json.decode(body, content_type)
        except PollError as error:
            if _PLAINLY_JSON.match(opening_of(body)):
                error.detail += "; if it is meant to be text, set `format: text`"
                raise
        self._was_json = False
        return text.decode(body, content_type)


def kind_of(body: bytes, content_type: str) -> Kind:
    """Say what an answer is; raises PollError(``decode``) for an HTML page, and for what nothing is known about."""
    media, opening = media_type(content_type), opening_of(body)
    if media in _PAGES and opening.startswith(("{", "[")):
        return "json"
    if media in _PAGES or is_html(opening):
        raise PollError("decode", f"the answer is an HTML page, which auto never reads; {_WAY_OUT}")
    if known := _by_type(media, content_type):
        return known
    if opening.startswith(("{", "[")):
        return "json or text" if media.startswith("text/") else "json"
    if opening.startswith("<?xml"):
        return "xml"
    if media.startswith("text/"):
        return "text"
    return "xml" if opening.startswith("<") else "json"


def _by_type(media: str, content_type: str) -> Kind | None:
    if media in _BY_TYPE:
        return _BY_TYPE[media]
    if media.endswith("+json") or json.is_sequence(content_type):
        return "json"
    return "xml" if media.endswith("+xml") else None
