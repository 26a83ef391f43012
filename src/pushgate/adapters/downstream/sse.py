"""
Server-sent events (WHATWG HTML, section 9.2): one stream, one direction, and the browser resumes it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from typing import ClassVar

from aiohttp import web

from ...channel import Channel
from ...errors import Refusal
from ...hub import Hub
from ...negotiation import Ask
from ...subscriber import Subscriber
from ...values import Transport
from ...wire import Form, http_head, problem_event, sse_block, sse_message, sse_retry
from .handover import TakenOver, take_over
from .replies import VARY, Reply, topic_fields

FIELDS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Vary": VARY,
    "Connection": "close",  # the end of the stream is the end of the connection
}


def form_of(ask: Ask) -> Form:
    return sse_message if ask.framing == "message" else sse_block


class EventStream(Subscriber):
    """One SSE client; the protocol of its socket."""

    __slots__ = ("_hub", "_transport")

    transport_name: ClassVar[Transport] = "sse"

    def __init__(self, hub: Hub, channel: Channel, ask: Ask) -> None:
        super().__init__(channel, mode=ask.mode, form=form_of(ask), send=_not_yet)
        self._hub = hub
        self._transport: asyncio.Transport | None = None

    def begin(self, transport: asyncio.Transport, cursor: str | None, opening: bytes) -> None:
        self._transport = transport
        self.send = transport.write
        self._hub.enter(self)
        self.channel.join(self, cursor, opening=opening)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def farewell(self, *, retry_after: float) -> None:
        if self._transport is not None:
            self.channel.beat(self, opening=sse_retry(retry_after))
            self._transport.close()

    def finish(self) -> None:
        if self._transport is not None:
            self._transport.close()  # what was written still goes out

    def refuse(self, refusal: Refusal) -> None:
        if self._transport is not None:
            self.send(self.form(self.channel.problem(refusal), self.channel.name.text))
            self._transport.close()

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


def _not_yet(data: bytes) -> None:
    raise AssertionError("nothing is sent before the socket is ours")


def open_stream(
    request: web.BaseRequest,
    hub: Hub,
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
    stream = EventStream(hub, channel, ask)
    transport = take_over(request, stream)
    if transport is not None:
        head = http_head("200 OK", {**FIELDS, **topic_fields(channel), **fields, "Date": formatdate(now, usegmt=True)})
        stream.begin(transport, ask.cursor, head + sse_retry(retry))
    return TakenOver()


def refuse_reconnect(refusal: Refusal, ask: Ask, *, at: float, retry: float) -> Reply:
    """Refuse an EventSource so that it comes back: it never does after another status than 200."""
    return Reply(200, FIELDS, sse_retry(retry) + form_of(ask)(problem_event(refusal, at=at), ""))
