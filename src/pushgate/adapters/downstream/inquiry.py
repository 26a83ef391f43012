"""
What clients ask who poll long, and how it is answered at any moment.

Those who ask in the same words share what there is to find out, and the bytes of their answers.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import HttpVersion11, web

from ...channel import Channel
from ...clock import Clock
from ...correlation import RequestIds
from ...errors import Paused, Refusal
from ...hub import Hub
from ...negotiation import Ask
from ...values import State
from ...wire import long_poll_body
from .door import Door
from .handover import server_of
from .heads import Server
from .recognition import Recognition, without_cursor, words_of
from .replies import JSON, Reply, Written, mention, refusal_reply, topic_fields, whole
from .short_poll import PAUSED, document_reply


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Question:
    """A long poll, and how to answer it at any moment."""

    channel: Channel
    ask: Ask
    clock: Clock
    fields: Mapping[str, str]  # for every answer to who asks the same: CORS

    def answer(self, *, is_over: bool) -> Reply | None:
        """Return the answer if there is one by now; there always is when the wait is over."""
        try:
            reply = self._document(is_over) if self.ask.is_document else self._events(is_over)
        except Refusal as refusal:
            return self.refuse(refusal)
        return reply and reply.with_fields(self.fields)

    def written_answer(self, *, is_over: bool, keep_alive: bool = True) -> Written | None:
        reply = self.answer(is_over=is_over)
        return None if reply is None else reply.written(keep_alive=keep_alive)

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
            if channel.feed.topic.is_paused_by_operator:
                raise Paused(PAUSED, headers={"Pushgate-State": channel.state})
            if not is_over:
                return None
            return Reply(204, fields | ({"Pushgate-Cursor": ask.cursor} if ask.cursor else {}))
        assert ask.cursor is not None, "who has no cursor was answered before"
        replay = channel.replay(ask.cursor, ask.mode, as_one=ask.throttle is not None)
        head = replay.events[-1].id if replay.events else channel.history.head(ask.mode)
        assert head is not None, "every event of a history has an id"
        fields["Pushgate-Cursor"] = head
        if replay.events:
            body = long_poll_body(head, [(event, "") for event in replay.events])
            mentions = tuple(mention(channel, event) for event in replay.events)
            return whole(fields | {"Content-Type": JSON}, body, takes_gzip=ask.takes_gzip, mentions=mentions)
        return Reply(204, fields) if is_over or channel.history.is_ended else None


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to say to a question at a moment; None: nothing yet."""

    question: Question
    moment: tuple[int | None, State, bool]  # the change, the state, and whether the wait is over
    answer: Written | None


class Inquiry:
    """
    What many clients ask in the same words, but for their cursors. ``is_known``: the words are known by heart.

    It outlives those who ask, so it keeps neither a topic nor an answer: a topic that is forgotten is free.
    """

    __slots__ = ("_ask", "_clock", "_fields", "_found", "_last", "is_known", "name", "route")

    def __init__(self, question: Question, *, is_known: bool) -> None:
        self.route, self.name = question.channel.route, question.channel.name
        self._ask, self._clock, self._fields = question.ask, question.clock, question.fields
        self._last = weakref.ref(question)
        self._found: Found | None = None  # as long as the loop does not turn
        self.is_known = is_known

    def question(self, channel: Channel, cursor: str | None) -> Question:
        """Return the question at a cursor; who was answered the same asks the same."""
        last = self._last()
        if last is None or last.ask.cursor != cursor or last.channel is not channel:
            last = Question(channel, replace(self._ask, cursor=cursor), self._clock, self._fields)
            self._last = weakref.ref(last)
        return last

    def at_head(self, question: Question) -> Question:
        """Return the question as of now, as ``Question.at_head`` does."""
        channel, ask = question.channel, question.ask
        if not channel.has_document:
            return question
        return self.question(channel, channel.history.head(ask.mode))

    def answer(self, question: Question, *, is_over: bool) -> Written | None:
        """Return the answer on a connection that is kept, if there is one by now; those who ask at once share it."""
        channel, latest = question.channel, question.channel.history.latest
        number = None if latest is None else latest.number
        moment = (number, channel.state, is_over)
        found = self._found
        if found is None:
            asyncio.get_running_loop().call_soon(self._forget)
        if found is None or found.question is not question or found.moment != moment:
            found = self._found = Found(question, moment, question.written_answer(is_over=is_over))
        return found.answer

    def _forget(self) -> None:
        self._found = None


class LongPolls:
    """What is known by heart of all who poll."""

    def __init__(self, hub: Hub, door: Door, ids: RequestIds) -> None:
        self._hub = hub
        self.door = door
        self.ids = ids
        self.are_all_read = False  # somebody writes each of them down
        self._known: Recognition[Inquiry] = Recognition()

    def learn(self, request: web.BaseRequest, question: Question) -> Inquiry:
        """Return what a request asks, and know it by heart if everybody who asks so is shown the same."""
        words, server = None, server_of(request)
        is_guarded = isinstance(server, Server) and server.is_guarded
        is_same_for_all = question.channel.route.is_open and not is_guarded and not question.ask.is_document
        if is_same_for_all and request.version == HttpVersion11 and not self.are_all_read:
            words = words_of(request.raw_path, request.raw_headers)
        parts = without_cursor(words) if words else None
        if parts is None:
            return Inquiry(question, is_known=False)
        inquiry = self._known.recall(parts[0])
        if inquiry is None:
            inquiry = Inquiry(question, is_known=True)
            self._known.learn(parts[0], inquiry)
        return inquiry

    def recognise(self, request: bytes) -> tuple[Inquiry, Question] | None:
        """Return what a request asks whose words are known; None for one that must be read, or is refused."""
        parts = without_cursor(request)
        inquiry = self._known.recall(parts[0]) if parts else None
        if parts is None or inquiry is None or parts[1] == "now" or self.door.is_draining:
            return None
        try:
            channel = self._hub.channel(inquiry.route, inquiry.name)
        except Refusal:
            return None
        return None if channel.denial() else (inquiry, inquiry.question(channel, parts[1]))

    def forget(self) -> None:
        """Know nothing any more: the configuration is another one."""
        self._known.forget()
