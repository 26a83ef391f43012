"""
RSS 0.9x, 1.0 and 2.0, and Atom, as one shape: what is new, not how it was written.

    {title, link, updated, ttl, items: [{id, title, link, updated, published, author, categories, summary, content}]}

Every member is always there; what the feed does not say is null, or an empty list. Times are RFC 3339 in UTC, and an
item that was never updated was so when it was published; ``ttl`` is in seconds. An item without an id has its link for
one, or else a hash of its title; of items with the same id the first counts. Markup in ``summary`` and ``content`` is
passed on as it came, scripts included: whoever shows it cleans it.

The feed must be well-formed: of a broken one, no shorter document is made. It is parsed as XML first, so that nothing
is loaded and no entity is declared, and only what came of that is shown to feedparser.
"""

from __future__ import annotations

import io
import re
from hashlib import blake2b
from typing import Any

from ....errors import PollError
from ....values import Json
from . import xml
from .libraries import library

_MINUTES = re.compile(r"[0-9]{1,9}")


def decode(body: bytes, content_type: str) -> Json:
    """Return the feed; raises PollError(``decode``)."""
    feedparser = library("feedparser")
    found = feedparser.parse(
        io.BytesIO(_clean(body, content_type)),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if found.bozo:
        raise PollError("decode", f"the answer is no feed that can be read: {type(found.bozo_exception).__name__}")
    if not found.version and not found.entries:
        raise PollError("decode", "the answer is XML, but no feed; try `format: xml`")
    head = found.feed
    items: dict[str, Json] = {}
    for entry in found.entries:
        item = _item(entry)
        items.setdefault(item["id"], item)
    return {
        "title": head.get("title"),
        "link": head.get("link"),
        "updated": _time(head, "updated_parsed") or _time(head, "published_parsed"),
        "ttl": int(head.ttl) * 60 if _MINUTES.fullmatch(head.get("ttl", "")) else None,
        "items": list(items.values()),
    }


def _clean(body: bytes, content_type: str) -> bytes:
    """Return well-formed UTF-8 without DTD, comments and processing instructions; raises PollError(``decode``)."""
    root = xml.parse(body, content_type)
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise PollError("decode", "the answer declares entities, which are not read; they could make it anything")
    cleaned: bytes = library("lxml.etree").tostring(root, encoding="utf-8")
    return cleaned


def _item(entry: Any) -> dict[str, Any]:
    contents = entry.get("content") or [{}]
    published = _time(entry, "published_parsed")
    return {
        "id": entry.get("id") or entry.get("link") or _hash(entry),
        "title": entry.get("title"),
        "link": entry.get("link"),
        "updated": _time(entry, "updated_parsed") or published,
        "published": published,
        "author": entry.get("author"),
        "categories": [tag.term for tag in entry.get("tags", []) if tag.get("term")],
        "summary": entry.get("summary"),
        "content": contents[0].get("value"),
    }


def _hash(entry: Any) -> str:
    words = entry.get("title") or entry.get("summary") or entry.get("published") or ""
    return blake2b(words.encode(), digest_size=8).hexdigest()


def _time(entry: Any, name: str) -> str | None:
    """Write a time that feedparser has read, in UTC; None if there is none, or none that it can read."""
    time = dict.get(entry, name)  # its own `get` would answer with "published" when asked for "updated", and warn
    return None if time is None else "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z".format(*time[:6])
