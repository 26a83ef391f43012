"""
How events are written: SSE blocks, WebSocket frames, long-poll bodies, problems.

Rule 1: the same event is the same bytes for everybody who follows a topic in one mode and one form, so whoever fans
out frames it once. What differs from client to client (``retry``) is a line in front of it.
Rule 2: data is JSON without line breaks, so an SSE event has exactly one ``data:`` line (WHATWG HTML, section 9.2).
Rule 3: whatever form an event has, its data is in the middle. A ``Wrapping`` says what stands around it, and every
form, compressed or not, follows from that (``block_forms``, ``frame_forms``); the compressed ones share the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Final, TypeAlias

from .documents.changes import encode, timestamp
from .errors import Refusal, UpstreamRefused
from .packing import FLUSH, Parcel, packed, stored
from .values import Event, Json, Status

# An event of a topic (by name) as one client's transport gets it.
Form: TypeAlias = Callable[[Event, str], bytes]

# What stands in front of the data of an event of a topic, and behind it.
Wrapping: TypeAlias = Callable[[Event, str], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Forms:
    """One wrapping as those get it who cannot read what is compressed (``plain``), and as the others do."""

    plain: Form
    deflated: Form

    def choose(self, *, is_deflated: bool) -> Form:
        return self.deflated if is_deflated else self.plain


def block_forms(wrapping: Wrapping) -> Forms:
    """Return how events are written on a stream: as they are, and for one that began with a gzip header."""

    def plain(event: Event, topic: str) -> bytes:
        head, tail = wrapping(event, topic)
        return head + event.data + tail

    def deflated(event: Event, topic: str) -> bytes:
        head, tail = wrapping(event, topic)
        return (packed(head, event.parcel, tail) or stored(head + event.data + tail)) + FLUSH

    return Forms(plain, deflated)


def frame_forms(wrapping: Wrapping) -> Forms:
    """Return how events are written as WebSocket messages: as they are, and with ``permessage-deflate`` (RFC 7692)."""

    def plain(event: Event, topic: str) -> bytes:
        head, tail = wrapping(event, topic)
        return text_frame(head + event.data + tail)

    def deflated(event: Event, topic: str) -> bytes:
        head, tail = wrapping(event, topic)
        blocks = packed(head, event.parcel, tail)
        return text_frame(head + event.data + tail) if blocks is None else deflated_frame(blocks)

    return Forms(plain, deflated)


def enveloping(event: Event, topic: str) -> tuple[bytes, bytes]:
    """
    Wrap an event into ``{"event","id","at","data"}``, for where there is no framing to carry its id and kind.

    With ``"encoding":"base64"`` before ``data`` if that is bytes; a bare SSE event has no place that could say so.
    """
    head: dict[str, str] = {"event": event.kind}
    if event.id is not None:
        head["id"] = event.id
    head["at"] = timestamp(event.at)
    if event.encoding is not None:
        head["encoding"] = event.encoding
    return encode(head)[:-1] + b',"data":', b"}"


def envelope(event: Event) -> bytes:
    head, tail = enveloping(event, "")
    return head + event.data + tail


def _named(event: Event, topic: str) -> tuple[bytes, bytes]:
    lines = f"event: {event.kind}\ndata: "
    return (lines if event.id is None else f"id: {event.id}\n{lines}").encode(), b"\n\n"


def _unnamed(event: Event, topic: str) -> tuple[bytes, bytes]:
    head, tail = enveloping(event, topic)
    line = b"data: " if event.id is None else f"id: {event.id}\ndata: ".encode()
    return line + head, tail + b"\n\n"


# An event as a named SSE event whose data is nothing but the data; as an unnamed SSE message (for ``onmessage``) whose
# data is the envelope; as a WebSocket message with the envelope.
BLOCKS: Final = block_forms(_named)
MESSAGES: Final = block_forms(_unnamed)
FRAMES: Final = frame_forms(enveloping)

sse_block, sse_message, websocket_frame = BLOCKS.plain, MESSAGES.plain, FRAMES.plain


def sse_retry(delay: float) -> bytes:
    """Return the line that tells an EventSource how long to wait before it reconnects; goes in front of a block."""
    return f"retry: {round(delay * 1000)}\n".encode()


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked, final text frame (RFC 6455 section 5.2)."""
    return _frame(0x81, payload)


def deflated_frame(blocks: bytes) -> bytes:
    """
    Return the same around raw deflate that ends on a byte.

    Whoever reads it adds four bytes, with which an empty stored block ends; it is to end with that block's first byte
    (RFC 7692 section 7.2). RSV1 says that it is compressed.
    """
    return _frame(0xC1, blocks + b"\x00")


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def long_poll_body(
    cursor: str | None, events: Iterable[tuple[Event, str]], wrapping: Wrapping = enveloping
) -> list[Parcel | bytes]:
    """Return ``{"cursor","events"}`` in pieces, of events and the names of their topics; what is large is shared."""
    shown = b"null" if cursor is None else f'"{cursor}"'.encode()
    pieces: list[Parcel | bytes] = [b'{"cursor":' + shown + b',"events":[']
    for number, (event, topic) in enumerate(events):
        head, tail = wrapping(event, topic)
        pieces += (b"," + head if number else head, event.parcel or event.data, tail)
    return [*pieces, b"]}"]


class Frames:
    """What the events of a topic are in each form; the whole document is framed once, since many join at once."""

    __slots__ = ("_topic", "_whole")

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._whole: dict[Form, tuple[Event, bytes]] = {}

    def clear(self) -> None:
        """There is another document now."""
        self._whole.clear()

    def of(self, events: Iterable[Event], form: Form) -> list[tuple[Event, bytes]]:
        return [(event, self._frame(event, form)) for event in events]

    def _frame(self, event: Event, form: Form) -> bytes:
        framed, data = self._whole.get(form, (None, b""))
        if framed is not event:
            data = form(event, self._topic)
            if event.kind in ("snapshot", "gone"):
                self._whole[form] = event, data
        return data


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


def expiring_event(ends_at: float, *, at: float) -> Event:
    """Return the announcement that the client's credentials end; times are seconds since the epoch."""
    return Event("expiring", None, at, encode({"at": timestamp(ends_at)}))


def problem_event(refusal: Refusal, *, at: float) -> Event:
    return Event("problem", None, at, encode({"code": refusal.code, "message": refusal.message}))


def ack_message(*, ref: Json, at: float, **more: Json) -> bytes:
    """Return the answer to a WebSocket client's message; ``ref`` is whatever the client called it."""
    return encode({"event": "ack", "ref": ref, "at": timestamp(at), **more})


def problem_message(refusal: Refusal, *, ref: Json, at: float, topic: str | None = None) -> bytes:
    """Return the refusal of a WebSocket client's message, with the topic that it named."""
    problem = {"event": "problem", "ref": ref, "code": refusal.code, "message": refusal.message, "at": timestamp(at)}
    if isinstance(refusal, UpstreamRefused):
        problem |= {"status": refusal.status, **refusal.shown}
    return encode(problem if topic is None else {**problem, "topic": topic})


def problem_body(refusal: Refusal, request_id: str | None = None) -> bytes:
    """Return a refusal as ``application/problem+json`` (RFC 9457), with the id by which the log has it."""
    problem = {
        "type": f"urn:pushgate:problem:{refusal.code}",
        "title": refusal.code.replace("_", " "),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    return encode(problem if request_id is None else {**problem, "request_id": request_id})


def http_date(at: float) -> str:
    """Return a moment, in seconds since the epoch, as header fields give it (RFC 9110 section 5.6.7)."""
    return _date_of(int(at))


@lru_cache(maxsize=2)  # thousands of answers may be given within one second, or around its end
def _date_of(second: int) -> str:
    return formatdate(second, usegmt=True)


def http_head(status_line: str, fields: Mapping[str, str]) -> bytes:
    """Return the head of an HTTP/1.1 answer; the caller owes that no field holds a line break."""
    lines = [f"HTTP/1.1 {status_line}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _optional(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
