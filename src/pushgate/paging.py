"""
``pages``: where the next page of an answer is, and how pages become one answer.

Rule 1: all or nothing: what cannot be read to its end is a failed poll, not a shorter document.
Rule 2: a page's URL comes from the upstream, and is asked for only within the upstream's own origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

from .answers import NO_VALIDATORS, Answer, Cost
from .config.pipeline import NextNumber, NextPointer, NextToken, Pages
from .documents.patching import unescape
from .documents.selecting import find
from .errors import PollError
from .naming import encode_query
from .values import Json, UpstreamRequest


def next_page(
    pages: Pages, request: UpstreamRequest, answer: Answer, value: Json, *, count: int
) -> UpstreamRequest | None:
    """
    Return the request for the page after ``count`` pages, of which this is the last one; None if there is none.

    Raises PollError if the answer does not say it in the way that is configured.
    """
    match pages.next:
        case "link_header":
            return None if answer.link_next is None else _at(request, answer.link_next)
        case NextPointer(pointer=pointer):
            url = _text(find(value, pointer), pointer)
            return None if url is None else _at(request, url)
        case NextToken(token=pointer, param=param):
            token = _text(find(value, pointer), pointer)
            return None if token is None else _with(request, param, token)
        case NextNumber(param=param, start=start):
            return _with(request, param, str(start + count)) if items_of(pages, value) else None
        case _:
            assert_never(pages.next)


def first_page(pages: Pages, request: UpstreamRequest) -> UpstreamRequest:
    """Return the request for the first page; where pages are numbered, it has a number too."""
    match pages.next:
        case NextNumber(param=param, start=start):
            return _with(request, param, str(start))
        case _:
            return request


def is_beyond(pages: Pages, answer: Answer) -> bool:
    """Whether a page after the first says that there were no more: who counts has to look behind the last."""
    return isinstance(pages.next, NextNumber) and answer.status in (404, 410, 204)


def items_of(pages: Pages, value: Json) -> list[Json]:
    """Return the part of a page that the pages share out; raises PollError(``select``) if it is no list."""
    items = value if pages.items is None else find(value, pages.items)
    if not isinstance(items, list):
        place = pages.items or "the answer"
        raise PollError("select", f"pages: {place} is no list; name the one that the pages share out with `items:`")
    return items


def together(pages: Pages, answers: Sequence[Answer], values: Sequence[Json], *, ttl: float | None) -> Answer:
    """Return all pages as one answer: the first one, with the items of all."""
    items = [item for value in values for item in items_of(pages, value)]
    fresh = [answer.fresh_for for answer in answers]
    return replace(
        answers[-1],
        status=answers[0].status,
        body=b"".join(answer.body for answer in answers),
        content_type=answers[0].content_type,
        validators=NO_VALIDATORS,  # they would speak for one page only
        fresh_for=None if None in fresh else min(seconds for seconds in fresh if seconds is not None),
        value=items if pages.items is None else _replaced(values[0], pages.items, items),
        ttl=ttl,
        cost=Cost(len(answers), sum(answer.cost.bytes for answer in answers)),
    )


def _replaced(document: Json, pointer: str, items: list[Json]) -> Json:
    *path, last = map(unescape, pointer.split("/")[1:])
    place = document
    for token in path:
        place = place[token] if isinstance(place, dict) else place[int(token)] if isinstance(place, list) else place
    if isinstance(place, dict):
        place[last] = items
    elif isinstance(place, list):
        place[int(last)] = items
    return document


def _text(value: Json, pointer: str) -> str | None:
    """Read the place of the next page: text or a number; nothing, null, false and the empty text end the pages."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PollError("select", f"pages: {pointer} is neither text nor a number")
    return str(value)


def _at(request: UpstreamRequest, place: str) -> UpstreamRequest:
    """Ask for a URL as the upstream wrote it, which may be relative to the page that it is on."""
    try:
        url = urljoin(request.url, place)
        here, there = urlsplit(request.url), urlsplit(url)
        is_ours = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
    except ValueError:
        raise PollError("protocol", "pages: the next page's URL cannot be read") from None
    if not is_ours:
        raise PollError("protocol", f"pages: the next page is on {there.scheme}://{there.netloc}, not on the upstream")
    return replace(request, url=urlunsplit(there._replace(fragment="")))


def _with(request: UpstreamRequest, param: str, value: str) -> UpstreamRequest:
    """Ask with this query parameter instead of the one of that name."""
    parts = urlsplit(request.url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != param]
    return replace(request, url=urlunsplit(parts._replace(query=encode_query([*query, (param, value)]))))
