"""
``/-/ws``: a WebSocket on which a client follows as many topics as it likes, and says so while it is open.

Rule 1: there is no position of all topics here; each event carries its topic's own, which resumes that topic anywhere.
Rule 2: topics share nothing but the socket: when it takes nothing more, each falls behind by itself, and when it does
again, they catch up in turn, whoever has waited longest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import ClassVar, assert_never

from aiohttp import web
from websockets.frames import CloseCode

from ...clock import Clock
from ...documents.changes import encode, timestamp
from ...errors import BadRequest, Refusal
from ...hub import Hub
from ...negotiation import Ask, clean_cursor
from ...subscriber import MAX_MISSED_BEATS, Pace, Subscriber, pace_of
from ...values import Caller, Event, Parting, Transport
from ...wire import Form, ack_message, envelope, problem_event, problem_message, text_frame
from ...wishes import MAX_TOPICS, Wish, Wishes
from . import pulse
from .conversation import Conversation
from .extensions import accepted_extension
from .handover import TakenOver, take_over_upgraded
from .messages import Auth, Message, Ping, Send, Subscribe, Unsubscribe
from .shared import SHARED_FRAMES, Host, Seat, Table
from .websocket import accept_head


class SocketSubscription(Subscriber):
    """One topic of one connection."""

    __slots__ = ("_connection", "key")

    transport_name: ClassVar[Transport] = "websocket"
    is_beating = False

    def __init__(
        self, connection: SharedSocket, seat: Seat, form: Form, send: Callable[[bytes], None], pace: Pace | None
    ) -> None:
        super().__init__(seat.channel, mode=seat.mode, form=form, send=send, pace=pace)
        self._connection = connection
        self.key = seat.channel.name.key

    def finish(self) -> None:
        self._connection.drop(self)

    def refuse(self, refusal: Refusal) -> None:
        self.send(self.form(self.channel.problem(refusal), self.channel.name.text))
        self._connection.drop(self)

    def abort(self) -> None:
        self._connection.abort()

    def farewell(self, *, retry_after: float) -> None:
        self._connection.farewell(retry_after=retry_after)


class SharedSocket:
    """One WebSocket client that follows many topics; the protocol of its socket."""

    __slots__ = (
        "_caller",
        "_clock",
        "_conversation",
        "_form",
        "_host",
        "_hub",
        "_is_paused",
        "_missed_beats",
        "_send",
        "_subscriptions",
        "_throttle",
        "heartbeat",
        "parting",
        "turn",
    )

    transport_name: ClassVar[Transport] = "websocket"

    def __init__(self, hub: Hub, host: Host, caller: Caller, clock: Clock, ask: Ask, *, is_deflated: bool) -> None:
        self._hub = hub
        self._host = host
        self._caller = caller
        self._clock = clock
        self._form = SHARED_FRAMES.choose(is_deflated=is_deflated)
        self._conversation = Conversation(is_deflated=is_deflated)
        self._subscriptions: dict[str, SocketSubscription] = {}  # by key, who has waited longest first
        self._send: Callable[[bytes], None] = _nothing_more
        self._is_paused = False
        self._missed_beats = 0
        self._throttle = ask.throttle  # of each topic
        self.heartbeat = ask.heartbeat
        self.turn = 0  # its place on the heartbeat wheel
        self.parting: Parting = "client"

    @property
    def subscriptions(self) -> Collection[Subscriber]:
        return self._subscriptions.values()

    def begin(self, transport: asyncio.Transport, table: Table, opening: bytes, tail: bytes) -> None:
        """Start; ``tail`` is what the client sent right behind its handshake."""
        self._conversation.transport = transport
        self._hub.enter(self)
        first: list[bytes] = [opening]  # written in one go
        self._send = first.append
        for declined in table.declined:
            self._send(self._form(problem_event(declined.refusal, at=self._clock.wall()), declined.topic))
        for seat in table.seats:
            self._follow(seat)
        self._send = transport.write
        for subscription in self._subscriptions.values():
            subscription.send = transport.write
        transport.write(b"".join(first))
        if tail:
            self.data_received(tail)

    def _follow(self, seat: Seat) -> None:
        subscription = SocketSubscription(self, seat, self._form, self._send, pace_of(self._throttle))
        subscription.is_paused = self._is_paused
        self._subscriptions[subscription.key] = subscription
        seat.channel.join(subscription, seat.cursor, opening=b"")

    def drop(self, subscription: SocketSubscription) -> None:
        """Let go of a topic."""
        if self._subscriptions.get(subscription.key) is subscription:
            del self._subscriptions[subscription.key]
            subscription.channel.leave(subscription)
            subscription.send = _nothing_more

    # Signs of life, and the end.

    def beat(self) -> None:
        """Give a sign of life, or count it as missed and give the client up in the end."""
        if self._conversation.has_fallen_silent(is_listening=not self._is_paused):
            self._close(CloseCode.POLICY_VIOLATION, "no ping", parting="no_ping")
        elif not self._is_paused:
            at = self._clock.wall()
            self._send(text_frame(envelope(Event("heartbeat", None, at, encode({"at": timestamp(at)})))))
        else:
            self._missed_beats += 1
            if self._missed_beats >= MAX_MISSED_BEATS:
                self.parting = "slow"
                self.abort()

    def check(self, silence: float) -> None:
        pulse.check(self, self._conversation.transport, silence)

    def abort(self) -> None:
        self._conversation.abort()

    def farewell(self, *, retry_after: float) -> None:
        """End the stream because the gateway goes away; the client shall come back after so many seconds."""
        self._close(CloseCode.SERVICE_RESTART, f"retry_after_ms={round(retry_after * 1000)}", parting="drained")

    def _close(self, code: int, reason: str, *, parting: Parting = "client") -> None:
        if self._conversation.is_open:
            self.parting = parting
        self._fall_silent()
        self._conversation.close(code, reason)

    def _fall_silent(self) -> None:
        """A close frame is the last that an endpoint sends (RFC 6455 section 5.5.1)."""
        for subscription in list(self._subscriptions.values()):
            self.drop(subscription)
        self._send = _nothing_more

    # What the transport says.

    def pause_writing(self) -> None:
        self._is_paused = True
        for subscription in self._subscriptions.values():
            subscription.pause_writing()
        self._conversation.pause_reading()

    def resume_writing(self) -> None:
        self._conversation.resume_reading()
        self._is_paused = False
        self._missed_beats = 0
        for subscription in self._subscriptions.values():
            subscription.is_paused = False
        for key, subscription in list(self._subscriptions.items()):
            if self._is_paused:  # again: the others go first next time
                return
            if self._subscriptions.pop(key, None) is not None:
                self._subscriptions[key] = subscription
                subscription.resume_writing()

    def data_received(self, data: bytes) -> None:
        for message in self._conversation.receive(data):
            try:
                self._obey(message)
            except Refusal as refusal:
                self._decline(message, refusal)
        if not self._conversation.is_open:
            self._fall_silent()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation.transport is not None:
            self._conversation.end()
            self._hub.exit(self)
            self._fall_silent()

    # What the client says.

    def _obey(self, message: Message) -> None:
        match message:
            case Ping():
                self._acknowledge(message)
            case Subscribe():
                self._subscribe(message)
            case Unsubscribe():
                self._unsubscribe(message)
            case Auth() | Send():
                raise BadRequest(f"{message.op!r} is not offered here")
            case _:
                assert_never(message)

    def _subscribe(self, message: Subscribe) -> None:
        wish = Wish(message.topic, clean_cursor(message.cursor), message.emit)
        seat = self._host.seat(wish, self.transport_name, self._caller)
        known = self._subscriptions.get(seat.channel.name.key)
        if known is None and len(self._subscriptions) >= MAX_TOPICS:
            raise BadRequest(f"a connection has at most {MAX_TOPICS} topics")
        if known is not None:
            self.drop(known)
        self._acknowledge(message)
        self._follow(seat)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        known = self._subscriptions.get(self._host.key_of(message.topic, self._caller))
        if known is None:
            raise BadRequest("this connection does not follow that topic")
        self.drop(known)
        self._acknowledge(message)

    def _decline(self, message: Message, refusal: Refusal) -> None:
        topic = message.topic if isinstance(message, Subscribe | Unsubscribe | Send) else None
        self._send(text_frame(problem_message(refusal, ref=message.ref, at=self._clock.wall(), topic=topic)))

    def _acknowledge(self, message: Subscribe | Unsubscribe | Ping) -> None:
        self._send(text_frame(ack_message(ref=message.ref, at=self._clock.wall())))


def _nothing_more(data: bytes) -> None:
    """Where events go after a close frame, and those of a topic that is no longer followed."""


def open_stream(
    request: web.BaseRequest, hub: Hub, host: Host, wishes: Wishes, caller: Caller, clock: Clock
) -> web.StreamResponse:
    """Answer the handshake, take the socket over and start; raises a Refusal if all topics named are refused."""
    extension = accepted_extension(request.headers)
    head = accept_head(request, {}, extension=extension)
    with host.lay(wishes, caller) as table:
        connection = SharedSocket(hub, host, caller, clock, wishes.ask, is_deflated=extension is not None)
        transport, tail = take_over_upgraded(request, connection)
        if transport is not None:
            connection.begin(transport, table, head, tail)
    return TakenOver()
