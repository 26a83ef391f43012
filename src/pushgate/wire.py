"""
How events are written: SSE blocks, WebSocket frames, long-poll bodies, problems.

Rule 1: the same event is the same bytes for everybody who follows a topic in one mode and one form, so whoever fans
out frames it once. What differs from client to client (``retry``) is a line in front of it.
Rule 2: data is JSON without line breaks, so an SSE event has exactly one ``data:`` line (WHATWG HTML, section 9.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from .documents.changes import encode, timestamp
from .errors import Refusal
from .values import Event, Json, Status

# An event of a topic (by name) as one client's transport gets it.
Form: TypeAlias = Callable[[Event, str], bytes]


def envelope(event: Event) -> bytes:
    """
    Return ``{"event","id","at","data"}``: an event where there is no framing to carry its id and kind.

    With ``"encoding":"base64"`` before ``data`` if that is bytes; a bare SSE event has no place that could say so.
    """
    head: dict[str, str] = {"event": event.kind}
    if event.id is not None:
        head["id"] = event.id
    head["at"] = timestamp(event.at)
    if event.encoding is not None:
        head["encoding"] = event.encoding
    return encode(head)[:-1] + b',"data":' + event.data + b"}"


def sse_block(event: Event, topic: str) -> bytes:
    """Return the event as a named SSE event whose data is nothing but the data."""
    lines = f"event: {event.kind}\ndata: ".encode() + event.data + b"\n\n"
    return lines if event.id is None else f"id: {event.id}\n".encode() + lines


def sse_message(event: Event, topic: str) -> bytes:
    """Return the event as an unnamed SSE message (for ``onmessage``) whose data is the envelope."""
    lines = b"data: " + envelope(event) + b"\n\n"
    return lines if event.id is None else f"id: {event.id}\n".encode() + lines


def sse_retry(delay: float) -> bytes:
    """Return the line that tells an EventSource how long to wait before it reconnects; goes in front of a block."""
    return f"retry: {round(delay * 1000)}\n".encode()


def websocket_frame(event: Event, topic: str) -> bytes:
    return text_frame(envelope(event))


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked, final text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def long_poll_body(cursor: str, events: Iterable[Event]) -> bytes:
    return b'{"cursor":"' + cursor.encode() + b'","events":[' + b",".join(map(envelope, events)) + b"]}"


def status_event(status: Status, *, at: float) -> Event:
    """Return how a topic is doing as an event: news, but no position."""
    data = {
        "state": status.state,
        "since": timestamp(status.since),
        "reason": status.reason,
        "confirmed_at": _optional(status.confirmed_at),
        "next_poll_at": _optional(status.next_poll_at),
    }
    return Event("status", None, at, encode(data))


def heartbeat_event(status: Status, *, id: str | None, at: float) -> Event:
    """Return a sign of life; ``id`` is the subscriber's own position and moves it nowhere."""
    data = {"at": timestamp(at), "state": status.state, "confirmed_at": _optional(status.confirmed_at)}
    return Event("heartbeat", id, at, encode(data))


def problem_event(refusal: Refusal, *, at: float) -> Event:
    return Event("problem", None, at, encode({"code": refusal.code, "message": refusal.message}))


def ack_message(*, ref: Json, at: float) -> bytes:
    """Return the answer to a WebSocket client's message; ``ref`` is whatever the client called it."""
    return encode({"event": "ack", "ref": ref, "at": timestamp(at)})


def problem_message(refusal: Refusal, *, ref: Json, at: float) -> bytes:
    """Return the refusal of a WebSocket client's message."""
    problem = {"event": "problem", "ref": ref, "code": refusal.code, "message": refusal.message, "at": timestamp(at)}
    return encode(problem)


def problem_body(refusal: Refusal) -> bytes:
    """Return a refusal as ``application/problem+json`` (RFC 9457)."""
    problem = {
        "type": f"urn:pushgate:problem:{refusal.code}",
        "title": refusal.code.replace("_", " "),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    return encode(problem)


def http_head(status_line: str, fields: Mapping[str, str]) -> bytes:
    """Return the head of an HTTP/1.1 answer; the caller owes that no field holds a line break."""
    lines = [f"HTTP/1.1 {status_line}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _optional(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
