"""Whether the answer is one page of several, and how the next one is found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...answers import Answer
from ...values import Json
from .samples import Finding
from .strands import ANY, Weave, pointer

_NEXT = re.compile(r"(?i)^(?:@?(?:odata\.)?next(?:_?link|_?url|_?page_?url|_?page|_?href)?)$")
_ADDRESS = re.compile(r"https?://\S+|[/?]\S+")
_MAX_DEPTH = 3


def find_pages(answers: Sequence[Answer], woven: Weave, document: Json) -> Iterator[Finding]:
    """Propose ``pages:`` if the answers name a next page; optional, since only one page was seen."""
    items = _items(woven, document)
    if any(answer.link_next for answer in answers):
        yield _proposal("link_header", items, "a Link header names the next page")
        return
    found = next(_next_pointers(document, ()), None)
    if found is not None:
        yield _proposal({"pointer": pointer(found)}, items, f"{pointer(found)} names the next page")


def _proposal(how: Any, items: str | None, reason: str) -> Finding:
    value = {"next": how} if items is None else {"next": how, "items": items}
    words = f"{reason}: what was looked at is only the first; with this, a document is all of them"
    return Finding(("pages",), value, words, is_optional=True)


def _items(woven: Weave, document: Json) -> str | None:
    """Return the longest array outside of all items; None if it is the answer itself."""
    places = [place for place in woven.lists if ANY not in place and place]
    return pointer(max(places, key=lambda place: _length(document, place))) if places else None


def _length(document: Json, place: tuple[str, ...]) -> int:
    value: Any = document
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return len(value) if isinstance(value, list) else 0


def _next_pointers(value: Json, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield where a member called like the next page holds an address, or an object with one as ``href``."""
    if not isinstance(value, dict) or len(place) >= _MAX_DEPTH:
        return
    for name, member in value.items():
        if _NEXT.match(name) and isinstance(member, str) and _ADDRESS.fullmatch(member):
            yield (*place, name)
        elif _NEXT.match(name) and isinstance(member, dict) and isinstance(member.get("href"), str):
            yield (*place, name, "href")
        else:
            yield from _next_pointers(member, (*place, name))
