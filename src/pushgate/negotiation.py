"""
What a request on a topic's URL asks for: the table of docs/delivery.md, from top to bottom.

An upgrade is a WebSocket; ``Accept: text/event-stream`` is SSE; ``cursor`` or ``wait`` is a long poll for events;
``If-None-Match`` with ``Prefer: wait`` a long poll for the document; everything else a short poll.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from .config.server import HEARTBEAT_FLOOR
from .documents.cursors import MAX_CURSOR_LENGTH
from .errors import BadRequest, TransportNotOffered
from .quantities import duration_text, parse_duration
from .values import Mode, Transport

DEFAULT_WAIT = 25.0
MAX_WAIT = 55.0  # below the 60 s after which most proxies give an answer up

Framing = Literal["event", "message"]

# What a client may ask for in its place: not less silence than the server itself may keep, and no more than what the
# state tables of most firewalls and mobile networks let pass before they forget a connection.
MIN_HEARTBEAT, MAX_HEARTBEAT = HEARTBEAT_FLOOR, 900.0

# One event in so many seconds. Faster than the first nobody sees; slower than the last, a short poll does it.
MIN_THROTTLE, MAX_THROTTLE = 0.1, 3600.0

# Stands for a cursor that pushgate never gave out, so that nothing a client invents is ever echoed.
UNKNOWN_CURSOR = "-"

_CURSOR = re.compile(rf"[A-Za-z0-9._~-]{{1,{MAX_CURSOR_LENGTH}}}")
_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
_EVENT_STREAM = re.compile(r"(?:^|,)\s*text/event-stream\s*(?:[;,]|$)", re.IGNORECASE)

_CODING = re.compile(r"(?:^|,)\s*([\w-]+|\*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?(?=,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client asks for. ``cursor`` is as it came, unjudged; the word ``now`` stands for the present."""

    transport: Transport
    mode: Mode
    cursor: str | None
    framing: Framing
    wait: float | None  # seconds; None: no long poll
    etags: frozenset[str] | None  # of If-None-Match, without W/ and quotes; None: no such field
    is_document: bool  # a long poll that is answered with the document
    is_reconnect: bool  # EventSource would never come back from a refusal
    takes_gzip: bool = False
    throttle: float | None = None  # seconds in which there is at most one change; None: each as it comes
    heartbeat: float | None = None  # seconds; None: as the server has it


def negotiate(
    headers: Mapping[str, str],
    query: Mapping[str, str],
    *,
    modes: tuple[Mode, ...],
    is_head: bool = False,
    only: Transport | None = None,
) -> Ask:
    """
    Read a request; ``query`` holds only pushgate's own parameters.

    ``only``: what there is on the URL, whatever the header fields say.
    Raises BadRequest for a value that makes no sense. Whether the route offers the transport is ``check_offered``'s.
    """
    _refuse_topics(query)
    etags = _read_etags(headers.get("If-None-Match"))
    prefer = _PREFER_WAIT.search(headers.get("Prefer", ""))
    is_events = only is not None or "cursor" in query or "wait" in query
    transport: Transport = "short_poll"
    wait = None
    if only is not None:
        transport, wait = only, _read_wait(query.get("wait")) if only == "long_poll" else None
    elif is_head:
        pass  # the fields of a short poll, whatever a GET would open
    elif headers.get("Upgrade", "").strip().lower() == "websocket":
        transport = "websocket"
    elif _EVENT_STREAM.search(headers.get("Accept", "")):
        transport = "sse"
    elif is_events:
        transport, wait = "long_poll", _read_wait(query.get("wait"))
    elif etags is not None and prefer:
        transport, wait = "long_poll", min(float(prefer[1]), MAX_WAIT)
    cursor = _read_cursor(headers, query, transport)
    return Ask(
        transport=transport,
        mode=read_mode(query.get("emit"), modes),
        cursor=cursor,
        framing=_read_framing(query.get("framing")),
        wait=wait,
        etags=etags,
        is_document=transport == "long_poll" and not is_events,
        is_reconnect=transport == "sse" and (cursor is not None or "Sec-Fetch-Mode" in headers),
        takes_gzip=takes_gzip(headers.get("Accept-Encoding", "")),
        throttle=_read_interval(query, "throttle", MIN_THROTTLE, MAX_THROTTLE),
        heartbeat=_read_interval(query, "heartbeat", MIN_HEARTBEAT, MAX_HEARTBEAT),
    )


def _refuse_topics(query: Mapping[str, str]) -> None:
    if "topic" in query:
        raise BadRequest("?topic= is for connections with many topics; this URL is one topic's own")


@lru_cache(maxsize=256)  # clients of one program say the same
def takes_gzip(field: str) -> bool:
    """Return whether an ``Accept-Encoding`` takes gzip, and not rather nothing at all (RFC 9110 section 12.5.3)."""
    weights = {match[1].lower(): float(match[2] or 1) for match in _CODING.finditer(field)}
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def check_offered(transport: Transport, offered: tuple[Transport, ...]) -> None:
    """Raise TransportNotOffered, naming those that the route has."""
    if transport not in offered:
        raise TransportNotOffered(f"this topic has no {transport}; it has {', '.join(offered)}")


def _read_cursor(headers: Mapping[str, str], query: Mapping[str, str], transport: Transport) -> str | None:
    """A browser repeats the URL at every reconnect, so what moves with the stream counts before what stands there."""
    if transport == "sse":
        position = headers.get("Last-Event-ID") or query.get("lastEventId") or query.get("cursor")
    else:
        position = query.get("cursor")
    return clean_cursor(position)


def clean_cursor(text: str | None) -> str | None:
    """Return a cursor that is safe to write anywhere; what no cursor can look like becomes one that is unknown."""
    if not text:
        return None
    return text if _CURSOR.fullmatch(text) else UNKNOWN_CURSOR


def read_mode(text: str | None, modes: tuple[Mode, ...]) -> Mode:
    """Return the mode that a client named, or the route's first; raises BadRequest if the route has no such mode."""
    if text is None:
        return modes[0]
    for mode in modes:
        if mode == text:
            return mode
    raise BadRequest(f"this topic does not emit {text!r}; it emits {', '.join(modes)}")


def _read_framing(text: str | None) -> Framing:
    if text is not None and text not in get_args(Framing):
        raise BadRequest(f"framing={text!r} is neither 'event' nor 'message'")
    return "message" if text == "message" else "event"


def _read_wait(text: str | None) -> float:
    if text is None:
        return DEFAULT_WAIT
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
        raise BadRequest(f"wait={text!r} is not a number of seconds")
    return min(float(text), MAX_WAIT)


def _read_interval(query: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}") from None
    if not least <= seconds <= most:
        raise BadRequest(f"{name}={text} is not between {duration_text(least)} and {duration_text(most)}")
    return seconds


def _read_etags(field: str | None) -> frozenset[str] | None:
    """Entity tags are compared weakly (RFC 9110 section 13.1.2), so only their text counts; ``*`` matches any."""
    if field is None:
        return None
    if field.strip() == "*":
        return frozenset("*")
    return frozenset(re.findall(r'(?:W/)?"([^"]*)"', field))
