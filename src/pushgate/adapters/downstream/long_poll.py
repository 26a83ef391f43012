"""
Long poll: what happened after the client's cursor, as soon as there is something, or ``204`` when the wait is over.

Whoever has to wait is parked: the socket is taken over from aiohttp, so that a parked client is a small object and a
timer, and is given back with the answer, so that the connection serves the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from aiohttp import web

from ...channel import Channel
from ...clock import Clock
from ...errors import Refusal
from ...hub import Hub
from ...negotiation import Ask
from ...values import Transport
from ...wire import long_poll_body
from .handover import TakenOver, give_back, has_more, take_over
from .replies import JSON, Reply, refusal_reply, topic_fields
from .short_poll import document_reply, refusal_for, settle

# What a parked client may send ahead (its next requests) before it is cut off.
MAX_PENDING_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Question:
    """A long poll, and how to answer it at any moment."""

    channel: Channel
    ask: Ask
    clock: Clock
    fields: Mapping[str, str]  # for every answer to this client: CORS

    def answer(self, *, is_over: bool) -> Reply | None:
        """Return the answer if there is one by now; there always is when the wait is over."""
        try:
            reply = self._document(is_over) if self.ask.is_document else self._events(is_over)
        except Refusal as refusal:
            return self.refuse(refusal)
        return reply and reply.with_fields(self.fields)

    def refuse(self, refusal: Refusal) -> Reply:
        return refusal_reply(refusal).with_fields(self.fields)

    def at_head(self) -> Question:
        """
        Return the question as of now: nothing has happened since the client's cursor, so the present is where it is.

        Its own cursor may be from before a restart, and would be a gap after the next change.
        """
        if not self.channel.has_document:
            return self
        return replace(self, ask=replace(self.ask, cursor=self.channel.history.head(self.ask.mode)))

    def _document(self, is_over: bool) -> Reply | None:
        reply = document_reply(self.channel, self.ask, now=self.clock.wall())
        return reply if is_over or reply.status != 304 or self.channel.history.is_ended else None

    def _events(self, is_over: bool) -> Reply | None:
        channel, ask = self.channel, self.ask
        fields = topic_fields(channel) | {"Cache-Control": "no-store"}
        if not channel.has_document:
            if not is_over:
                return None
            return Reply(204, fields | ({"Pushgate-Cursor": ask.cursor} if ask.cursor else {}))
        assert ask.cursor is not None, "who has no cursor was answered before"
        replay = channel.replay(ask.cursor, ask.mode)
        head = replay.events[-1].id if replay.events else channel.history.head(ask.mode)
        assert head is not None, "every event of a history has an id"
        fields["Pushgate-Cursor"] = head
        if replay.events:
            return Reply(200, fields | {"Content-Type": JSON}, long_poll_body(head, replay.events))
        return Reply(204, fields) if is_over or channel.history.is_ended else None


class Parked:
    """One client that waits for its answer; the protocol of its socket meanwhile."""

    __slots__ = (
        "_hub",
        "_is_full",
        "_keep_alive",
        "_pending",
        "_question",
        "_server",
        "_timer",
        "_transport",
        "channel",
    )

    transport_name: ClassVar[Transport] = "long_poll"

    def __init__(self, question: Question, hub: Hub, server: web.Server, *, keep_alive: bool) -> None:
        self._question = question
        self._hub = hub
        self.channel = question.channel
        self._server = server
        self._keep_alive = keep_alive
        self._pending = b""
        self._is_full = False  # the answer is larger than what the transport takes at once
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def park(self, transport: asyncio.Transport, wait: float) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(wait, self.finish)
        self._hub.park(self)
        self.channel.wait(self)

    def wake(self) -> None:
        """Look again whether there is something to say."""
        reply = self._question.answer(is_over=False)
        if reply is not None:
            self._send(reply)
        else:
            self._question = self._question.at_head()

    def finish(self) -> None:
        """Answer now, with whatever there is to say."""
        reply = self._question.answer(is_over=True)
        assert reply is not None, "a wait that is over has an answer"
        self._send(reply)

    def refuse(self, refusal: Refusal) -> None:
        self._send(self._question.refuse(refusal))

    def _send(self, reply: Reply) -> None:
        transport = self._transport
        assert transport is not None, "an answer is sent once"
        self._leave()
        transport.set_write_buffer_limits()
        transport.write(reply.to_bytes(keep_alive=self._keep_alive))
        if self._keep_alive:
            give_back(transport, self._server, self._pending, is_full=self._is_full)
        else:
            transport.close()

    def _leave(self) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._hub.unpark(self)
        self.channel.stop_waiting(self)

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > MAX_PENDING_BYTES and self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._leave()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False


async def answer(request: web.BaseRequest, question: Question, hub: Hub, server: web.Server) -> web.StreamResponse:
    """Answer a long poll now, or park it until there is an answer."""
    channel, ask = question.channel, question.ask
    wait = ask.wait or 0.0
    channel.feed.touch()
    if ask.cursor == "now":
        question = question.at_head()
    if ask.cursor is None or ask.is_document:
        await settle(channel, timeout=min(wait or channel.route.timeout, 55.0))
        if not ask.is_document:
            return _first(question).to_response()
    reply = question.answer(is_over=wait == 0 or has_more(request))
    if reply is not None:
        return reply.to_response()
    parked = Parked(question.at_head(), hub, server, keep_alive=request.keep_alive)
    transport = take_over(request, parked)
    if transport is not None:
        parked.park(transport, wait)
    return TakenOver()


def _first(question: Question) -> Reply:
    """Answer somebody who has no cursor yet: the whole document; raises a Refusal if there is none."""
    channel, now = question.channel, question.clock.wall()
    if not channel.has_document and channel.feed.topic.is_polling:  # the wait was shorter than the poll
        return Reply(204, {**topic_fields(channel), **question.fields, "Cache-Control": "no-store"})
    if refusal := refusal_for(channel, now=now):
        raise refusal
    event = channel.history.first()
    head = channel.history.head("snapshot")
    fields = topic_fields(channel) | {"Cache-Control": "no-store", "Pushgate-Cursor": head}
    return Reply(200, {**fields, **question.fields, "Content-Type": JSON}, long_poll_body(head, [event]))
