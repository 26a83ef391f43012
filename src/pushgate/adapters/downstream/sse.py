"""
Server-sent events (WHATWG HTML, section 9.2): one stream, one direction, and the browser resumes it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from aiohttp import web

from ...channel import Channel
from ...errors import Refusal
from ...hub import Hub
from ...leases import Stay
from ...negotiation import Ask
from ...packing import GZIP_HEADER, stored
from ...subscriber import Subscriber, pace_of, parting_of
from ...values import Principal, Transport
from ...wire import BLOCKS, MESSAGES, Forms, http_date, http_head, problem_event, sse_retry
from . import pulse
from .handover import TakenOver, take_over
from .replies import VARY, Reply, topic_fields

FIELDS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Vary": VARY,
    "Connection": "close",  # the end of the stream is the end of the connection
}


def forms_of(ask: Ask) -> Forms:
    return MESSAGES if ask.framing == "message" else BLOCKS


def opening_fields(ask: Ask) -> dict[str, str]:
    """Return what the head of a stream says of itself."""
    return FIELDS | {"Content-Encoding": "gzip"} if ask.takes_gzip else FIELDS


def opening_bytes(ask: Ask, lines: bytes) -> bytes:
    """Return the beginning of a stream, right behind its head."""
    return GZIP_HEADER + stored(lines) if ask.takes_gzip else lines


class EventStream(Subscriber):
    """One SSE client; the protocol of its socket."""

    __slots__ = ("_hub", "_is_deflated", "_transport", "stay")

    transport_name: ClassVar[Transport] = "sse"

    def __init__(
        self, hub: Hub, channel: Channel, ask: Ask, stay: Stay | None = None, principal: Principal | None = None
    ) -> None:
        form = forms_of(ask).choose(is_deflated=ask.takes_gzip)
        super().__init__(channel, mode=ask.mode, form=form, send=_not_yet, pace=pace_of(ask.throttle))
        self.heartbeat = ask.heartbeat
        self._hub = hub
        self._is_deflated = ask.takes_gzip
        self._transport: asyncio.Transport | None = None
        self.stay = stay
        self.principal = principal

    def begin(self, transport: asyncio.Transport, cursor: str | None, opening: bytes) -> None:
        self._transport = transport
        self.send = transport.write
        self._hub.enter(self)
        self.channel.join(self, cursor, opening=opening)

    def check(self, silence: float) -> None:
        pulse.check(self, self._transport, silence)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def farewell(self, *, retry_after: float) -> None:
        if self._transport is not None:
            line = sse_retry(retry_after)
            self.channel.beat(self, opening=stored(line) if self._is_deflated else line)
            self.parting = "drained"
            self._transport.close()

    def finish(self) -> None:
        if self._transport is not None:
            self.parting = "ended"
            self._transport.close()  # what was written still goes out

    def refuse(self, refusal: Refusal) -> None:
        if self._transport is not None:
            self.send(self.form(self.channel.problem(refusal), self.channel.name.text))
            self.parting = parting_of(refusal)
            self._transport.close()
            self.send = _nothing_more  # a client that reads late would be told what came after

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        """Nothing that an SSE client sends after its request means anything."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._hub.exit(self)
            self.channel.leave(self)


def _nothing_more(data: bytes) -> None:
    """Where events go that the client may not have any more."""


def _not_yet(data: bytes) -> None:
    raise AssertionError("nothing is sent before the socket is ours")


def open_stream(
    request: web.BaseRequest,
    stream: EventStream,
    channel: Channel,
    ask: Ask,
    *,
    fields: Mapping[str, str],
    now: float,
    retry: float,
) -> web.StreamResponse:
    """
    Take the socket over and start the stream; ``now`` is in seconds since the epoch.

    The first block is written at once and carries ``retry`` beside a real event: clients exist that turn a block with
    nothing but ``retry`` into an empty message.
    """
    if channel.history.is_over(ask.cursor, ask.mode):
        return Reply(204, {**topic_fields(channel), **fields, "Cache-Control": "no-store"}).to_response()
    transport = take_over(request, stream)
    if transport is not None:
        own = opening_fields(ask)
        head = http_head("200 OK", {**own, **topic_fields(channel), **fields, "Date": http_date(now)})
        stream.begin(transport, ask.cursor, head + opening_bytes(ask, sse_retry(retry)))
    return TakenOver(200)


def refuse_reconnect(refusal: Refusal, ask: Ask, *, at: float, retry: float) -> Reply:
    """Refuse an EventSource so that it comes back: it never does after another status than 200."""
    return Reply(200, FIELDS, sse_retry(retry) + forms_of(ask).plain(problem_event(refusal, at=at), ""))
