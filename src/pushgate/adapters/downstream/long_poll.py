"""
Long poll: what happened after the client's cursor, as soon as there is something, or ``204`` when the wait is over.

Whoever has to wait is parked (``parking.py``). As long as a client goes on asking in words that are known by heart
(``recognition.py``), its connection is not given back to aiohttp in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aiohttp import web

from ...channel import Channel
from ...errors import Refusal
from ...hub import Hub
from ...leases import patience
from ...values import Mode, Principal
from ...wire import long_poll_body
from .handover import TakenOver, has_more, may_go_on, server_of, take_over
from .inquiry import Inquiry, LongPolls, Question
from .parking import ParkedConnection
from .replies import JSON, Reply, identified, mention, topic_fields, whole
from .short_poll import refusal_for
from .trails import id_of

# How long a connection is kept that was answered and has not asked again; then aiohttp has it, and closes it in time.
MAX_IDLE = 20.0


class Parked(ParkedConnection):
    """One client that waits for news of one topic, or between two such waits."""

    __slots__ = ("_idle", "_inquiry", "_polls", "_question", "_request_id", "principal")

    def __init__(
        self,
        polls: LongPolls,
        inquiry: Inquiry,
        question: Question,
        hub: Hub,
        server: web.Server,
        *,
        keep_alive: bool,
        principal: Principal | None,
        request_id: str,
    ) -> None:
        super().__init__(hub, server, keep_alive=keep_alive)
        self.principal = principal
        self._polls = polls
        self._inquiry = inquiry
        self._question = question
        self._request_id: str | None = request_id  # None: nobody knows one yet
        self._idle: asyncio.Transport | None = None  # while it is answered and has not asked again

    @property
    def channel(self) -> Channel:
        return self._question.channel

    @property
    def mode(self) -> Mode | None:
        return None if self._question.ask.is_document else self._question.ask.mode

    @property
    def followed(self) -> Collection[Channel]:
        return (self.channel,) if self.is_waiting else ()

    @property
    def principals(self) -> Collection[Principal]:
        return () if self.principal is None else (self.principal,)

    @property
    def address(self) -> str:
        return self.channel.route.name

    def hold(self, transport: asyncio.Transport, wait: float) -> None:
        super().hold(transport, patience(wait, self.principal, now=self._question.clock.wall()))
        self.channel.wait(self)

    def let_go(self) -> None:
        super().let_go()
        self.channel.stop_waiting(self)

    def wake(self) -> None:
        """Look again whether there is something to say."""
        if self._keep_alive and not self._question.ask.is_document:
            answer = self._inquiry.answer(self._question, is_over=False)
        else:
            answer = self._question.written_answer(is_over=False, keep_alive=self._keep_alive)
        if answer is not None:
            self.write(answer, woken_at=self._question.clock.wall())
        else:
            self._question = self._inquiry.at_head(self._question)

    def time_out(self) -> None:
        if self._idle is not None:
            self._give_back(self._idle)
            return
        reply = self._question.answer(is_over=True)
        assert reply is not None, "a wait that is over has an answer"
        self.send(reply)

    def finish(self) -> None:
        if self._idle is not None:
            self._give_back(self._idle)
        else:
            super().finish()

    def refuse(self, refusal: Refusal) -> None:
        self.send(self._question.refuse(refusal))

    def emit(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write what many get, with this one's own id in it."""
        request_id, self._request_id = self._request_id or self._polls.ids(), None
        transport.writelines(identified(answer, request_id))

    # Between two questions.

    def go_on(self, transport: asyncio.Transport) -> None:
        """Wait for the next question, which is probably the same; aiohttp reads it if it is not."""
        if not self._inquiry.is_known:
            self._give_back(transport)
            return
        self._idle = transport
        self._alarm = self._hub.parked.set(self, MAX_IDLE)
        if self._pending:
            request, self._pending = self._pending, b""
            self.data_received(request)

    def data_received(self, data: bytes) -> None:
        if self._idle is None:
            super().data_received(data)
            return
        transport = self._idle
        recognised = None if self._is_full else self._polls.recognise(data)
        if recognised is None:
            self._pending = data
            self._give_back(transport)
            return
        self._rouse()
        self._inquiry, self._question = recognised
        self._ask_again(transport)

    def _ask_again(self, transport: asyncio.Transport) -> None:
        inquiry, question = self._inquiry, self._question
        wait = question.ask.wait or 0.0
        answer = inquiry.answer(question, is_over=wait == 0)
        if answer is None:
            self._question = inquiry.at_head(question)
            self.hold(transport, wait)
        else:
            question.channel.feed.touch()
            self.emit(transport, answer.data)
            self.count(answer)
            self.go_on(transport)

    def _give_back(self, transport: asyncio.Transport) -> None:
        self._rouse()
        self._polls.door.remember(transport)
        super().go_on(transport)

    def _rouse(self) -> None:
        self._idle = None
        self._hub.parked.drop(self, self._alarm)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._rouse()
            self.count_loss(exc)
        super().connection_lost(exc)


def answer(
    request: web.BaseRequest,
    question: Question,
    hub: Hub,
    polls: LongPolls,
    *,
    principal: Principal | None = None,
) -> web.StreamResponse:
    """Answer a long poll now, or park it; who has no position was kept until there is a first answer, if there is."""
    ask = question.ask
    wait = ask.wait or 0.0
    question.channel.feed.touch()
    if ask.cursor is None and not ask.is_document:
        return _first(question).told("long_poll")
    if ask.cursor == "now":
        question = question.at_head()
    elif not ask.is_document and question.channel.has_document:
        hub.metrics.resumed("long_poll", question.channel.replay(ask.cursor, ask.mode).result)
    reply = question.answer(is_over=wait == 0 or has_more(request))
    if reply is not None:
        return reply.told("long_poll")
    inquiry = polls.learn(request, question)
    keep_alive, server = may_go_on(request), server_of(request)
    at_head, request_id = inquiry.at_head(question), id_of(request)
    parked = Parked(
        polls, inquiry, at_head, hub, server, keep_alive=keep_alive, principal=principal, request_id=request_id
    )
    transport = take_over(request, parked, is_parked=True)
    if transport is not None:
        polls.door.trust(transport)
        parked.hold(transport, wait)
    return TakenOver()


def _first(question: Question) -> Reply:
    """Answer somebody who has no cursor yet: the whole document; raises a Refusal if there is none."""
    channel, now = question.channel, question.clock.wall()
    is_waiting = channel.denial() is None and channel.feed.topic.is_polling
    if not channel.has_document and is_waiting:  # the wait was shorter than the poll
        return Reply(204, {**topic_fields(channel), **question.fields, "Cache-Control": "no-store"})
    if refusal := refusal_for(channel, now=now):
        raise refusal
    event = channel.history.first()
    head = event.id
    assert head is not None, "every event of a history has an id"
    fields = topic_fields(channel) | {"Cache-Control": "no-store", "Pushgate-Cursor": head}
    fields |= {**question.fields, "Content-Type": JSON}
    body, mentions = long_poll_body(head, [(event, "")]), (mention(channel, event),)
    return whole(fields, body, takes_gzip=question.ask.takes_gzip, mentions=mentions)
