"""What a request on a topic's URL asks for."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from pushgate.errors import BadRequest, TransportNotOffered
from pushgate.negotiation import Ask, check_offered, negotiate

MODES: Any = ("patch", "snapshot")
WEBSOCKET = {"Upgrade": "websocket"}
SSE = {"Accept": "text/event-stream"}
CURSOR = "E.1.S.H"


def ask(headers: dict[str, str] | None = None, *, is_head: bool = False, **query: str) -> Ask:
    return negotiate(CIMultiDict(headers or {}), query, modes=MODES, is_head=is_head)


@pytest.mark.parametrize(
    ("headers", "query", "transport"),
    [
        ({}, {}, "short_poll"),
        ({"Accept": "*/*"}, {}, "short_poll"),
        ({"Accept": "text/*"}, {}, "short_poll"),
        ({"Accept": "text/event-stream-of-mine"}, {}, "short_poll"),
        ({"Accept": "application/json, text/event-stream;q=0.1"}, {}, "sse"),
        ({"accept": "Text/Event-Stream"}, {}, "sse"),
        (SSE, {"cursor": CURSOR, "wait": "1"}, "sse"),
        (WEBSOCKET | SSE, {"wait": "1"}, "websocket"),
        ({"Upgrade": " WebSocket "}, {}, "websocket"),
        ({"Upgrade": "h2c"}, {}, "short_poll"),
        ({}, {"cursor": CURSOR}, "long_poll"),
        ({}, {"wait": "0"}, "long_poll"),
        ({}, {"cursor": ""}, "long_poll"),
        ({"If-None-Match": '"x"', "Prefer": "wait=5"}, {}, "long_poll"),
        ({"If-None-Match": '"x"'}, {}, "short_poll"),
        ({"Prefer": "wait=5"}, {}, "short_poll"),
        ({"If-None-Match": '"x"', "Prefer": "respond-async"}, {}, "short_poll"),
    ],
)
def test_the_table(headers: dict[str, str], query: dict[str, str], transport: str) -> None:
    """Upgrade, then Accept, then cursor or wait, then If-None-Match with Prefer, then a short poll."""
    assert ask(headers, **query).transport == transport


def test_head_is_a_short_poll() -> None:
    """HEAD asks for the fields of the document, whatever a GET would open."""
    assert ask(SSE, is_head=True, wait="5").transport == "short_poll"


@pytest.mark.parametrize(
    ("query", "wait"),
    [
        ({"cursor": CURSOR}, 25),
        ({"wait": "0"}, 0),
        ({"wait": "1.5"}, 1.5),
        ({"wait": "55"}, 55),
        ({"wait": "9999"}, 55),
    ],
)
def test_waits_have_a_default_and_a_limit(query: dict[str, str], wait: float) -> None:
    """25 seconds unless the client says otherwise, and at most 55."""
    assert ask(**query).wait == wait


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e3", "inf", "nan", "1.", "٣", "1 ", "99999999999"])
def test_waits_that_make_no_sense(text: str) -> None:
    """Anything but a number of seconds is a bad request."""
    with pytest.raises(BadRequest):
        ask(wait=text)


@pytest.mark.parametrize(
    ("prefer", "wait"),
    [("wait=5", 5), ("respond-async, wait=7", 7), ("WAIT=9; foo", 9), ("wait = 3", 3), ("wait=99", 55)],
)
def test_prefer_says_how_long(prefer: str, wait: float) -> None:
    """A long poll for the document waits as RFC 7240 says, within the same limit."""
    asked = ask({"If-None-Match": "*", "Prefer": prefer})
    assert (asked.is_document, asked.wait) == (True, wait)


@pytest.mark.parametrize(
    ("headers", "query", "cursor"),
    [
        ({"Last-Event-ID": "a"}, {"lastEventId": "b", "cursor": "c"}, "a"),
        ({}, {"lastEventId": "b", "cursor": "c"}, "b"),
        ({}, {"cursor": "c"}, "c"),
        ({"Last-Event-ID": ""}, {"cursor": "c"}, "c"),
        ({}, {}, None),
        ({}, {"cursor": "now"}, "now"),
    ],
)
def test_what_moves_with_the_stream_goes_first(headers: dict[str, str], query: dict[str, str], cursor: str) -> None:
    """A browser repeats the URL at every reconnect, so what it says is the oldest."""
    assert ask(SSE | headers, **query).cursor == cursor


def test_the_header_is_for_event_streams() -> None:
    """Elsewhere only ``cursor`` is a position."""
    assert ask({"Last-Event-ID": "a"}, cursor="c").cursor == "c"
    assert ask(WEBSOCKET | {"Last-Event-ID": "a"}).cursor is None


@pytest.mark.parametrize("cursor", ["a\nb", "a b", "ü", "x" * 129, "a\r\nSet-Cookie: b=c", "\0"])
def test_what_no_cursor_looks_like(cursor: str) -> None:
    """It is answered as any unknown cursor is, and never written back."""
    for asked in (ask(cursor=cursor), ask(SSE | {"Last-Event-ID": cursor}), ask(WEBSOCKET, cursor=cursor)):
        assert asked.cursor not in (None, cursor, "now")


@pytest.mark.parametrize(
    ("field", "etags"),
    [
        ('W/"a"', {"a"}),
        ('"a", W/"b"', {"a", "b"}),
        ("*", {"*"}),
        (" * ", {"*"}),
        ('""', {""}),
        ('"a,b"', {"a,b"}),
        ("garbage", set()),
    ],
)
def test_entity_tags_are_compared_weakly(field: str, etags: set[str]) -> None:
    """Only the text of a tag counts, weak or strong."""
    assert ask({"If-None-Match": field}).etags == etags


def test_modes_are_the_routes() -> None:
    """The first is the default; ``emit`` picks another of the list."""
    assert ask().mode == "patch"
    assert ask(emit="snapshot").mode == "snapshot"
    for text in ("merge", "", "PATCH"):
        with pytest.raises(BadRequest):
            ask(emit=text)


def test_framing() -> None:
    """Events are named unless the client asks for messages."""
    assert ask(SSE).framing == "event"
    assert ask(SSE, framing="message").framing == "message"
    with pytest.raises(BadRequest):
        ask(SSE, framing="lines")


@pytest.mark.parametrize(
    ("headers", "query", "is_reconnect"),
    [
        (SSE, {}, False),
        (SSE | {"Last-Event-ID": "a"}, {}, True),
        (SSE, {"cursor": "a"}, True),
        (SSE | {"Sec-Fetch-Mode": "cors"}, {}, True),
        ({"Sec-Fetch-Mode": "cors"}, {"cursor": "a"}, False),
    ],
)
def test_who_would_never_come_back(headers: dict[str, str], query: dict[str, str], is_reconnect: bool) -> None:
    """An EventSource is known by its cursor or by its browser."""
    assert ask(headers, **query).is_reconnect is is_reconnect


def test_a_transport_that_is_not_offered() -> None:
    """The refusal names those that are."""
    check_offered("sse", ("sse", "websocket"))
    with pytest.raises(TransportNotOffered, match="sse, websocket"):
        check_offered("short_poll", ("sse", "websocket"))


@pytest.mark.parametrize(
    ("field", "takes"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),  # Chromium
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br;q=1.0, GZIP ; Q=0.2", True),
        ("x-gzip", True),
        ("*", True),
        ("identity;q=0.5, *;q=0.6", True),
        ("gzip, identity", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=0.3, identity;q=0.8", False),
        ("gzipped", False),
        ("gzip;q=nonsense", False),
    ],
)
def test_gzip_is_for_those_who_take_it(field: str, takes: bool) -> None:
    """By weight (RFC 9110 section 12.5.3): not at 0, and not for whoever would rather have nothing done."""
    assert ask({"Accept-Encoding": field}).takes_gzip is takes


def test_who_says_nothing_gets_nothing_compressed() -> None:
    """Any coding would be allowed then, and few of those clients could read one."""
    assert not ask({}).takes_gzip
