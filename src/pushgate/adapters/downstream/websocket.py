"""
WebSocket (RFC 6455): the same events, one envelope per text message, and a few words from the client.

What the server says to all is a frame made once for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, assert_never

from aiohttp import web
from websockets.frames import CloseCode

from ...auth.permission import auth_names
from ...auth.visitor import Visitor
from ...channel import Channel
from ...clock import Clock
from ...errors import BadRequest, Refusal
from ...hub import Hub
from ...leases import Stay
from ...negotiation import Ask, clean_cursor, read_mode
from ...subscriber import Subscriber, pace_of, parting_of
from ...values import Parting, Transport
from ...wire import FRAMES, ack_message, problem_message, text_frame
from ...wishes import Wish
from . import pulse
from .conversation import Conversation
from .desk import Desk
from .extensions import accepted_extension
from .handover import TakenOver, take_over_upgraded
from .inbox import Inbox, Work
from .messages import Auth, Message, Ping, Send, Subscribe, Unsubscribe
from .newcomers import Newcomer
from .replies import topic_fields
from .sending import send
from .tables import Seat
from .upgrade import accept_head, reason_of


class WebSocketStream(Subscriber):
    """One WebSocket client; the protocol of its socket."""

    __slots__ = ("_clock", "_conversation", "_desk", "_hub", "_inbox", "_is_subscribed", "stay")

    transport_name: ClassVar[Transport] = "websocket"

    def __init__(self, hub: Hub, seat: Seat, ask: Ask, clock: Clock, desk: Desk, conversation: Conversation) -> None:
        form = FRAMES.choose(is_deflated=conversation.is_deflated)
        super().__init__(seat.channel, mode=seat.mode, form=form, send=_not_yet, pace=pace_of(ask.throttle))
        self.heartbeat = ask.heartbeat
        self.principal = seat.principal
        self.stay: Stay | None = None  # it does not matter who it is
        self._hub = hub
        self._clock = clock
        self._desk = desk
        self._inbox: Inbox | None = None  # until the client says something
        self._conversation = conversation
        self._is_subscribed = False

    def begin(self, transport: asyncio.Transport, cursor: str | None, opening: bytes, tail: bytes = b"") -> None:
        """Start the stream; ``tail`` is what the client sent right behind its handshake."""
        self._conversation.transport = transport
        self.send = transport.write
        self._hub.enter(self)
        self._join(cursor, opening=opening)
        if tail:
            self.data_received(tail)

    def beat(self) -> None:
        """Give a sign of life to whoever gives them too, or never said that it would."""
        if self._conversation.has_fallen_silent():
            self._close(CloseCode.POLICY_VIOLATION, "no ping", parting="no_ping")
        else:
            super().beat()

    def check(self, silence: float) -> None:
        pulse.check(self, self._conversation.transport, silence)

    def abort(self) -> None:
        self._conversation.abort()

    def farewell(self, *, retry_after: float) -> None:
        self._close(CloseCode.SERVICE_RESTART, f"retry_after_ms={round(retry_after * 1000)}", parting="drained")

    def finish(self) -> None:
        self._close(CloseCode.NORMAL_CLOSURE, "end", parting="ended")

    def refuse(self, refusal: Refusal) -> None:
        self._close(refusal.close_code, reason_of(refusal), parting=parting_of(refusal))

    # What the transport says.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._conversation.pause_reading("writing")

    def resume_writing(self) -> None:
        self._conversation.resume_reading("writing")
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        for message in self._conversation.receive(data):
            self.inbox.take(message)
        if not self._conversation.is_open:
            self._fall_silent()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation.transport is not None:
            self._conversation.end()
            self._hub.exit(self)
            self._leave()
            if self._inbox is not None:
                self._inbox.stop()

    # What the client says.

    @property
    def inbox(self) -> Inbox:
        if self._inbox is None:
            self._inbox = Inbox(self, self._conversation, self._desk.tasks)
        return self._inbox

    def inherit(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def hear_on(self) -> None:
        self.data_received(b"")

    def crash(self) -> None:
        self._close(CloseCode.INTERNAL_ERROR, "this failed, and that is no fault of yours", parting="refused")

    def obey(self, message: Message) -> Work | None:
        match message:
            case Ping():
                self._acknowledge(message)
            case Subscribe():
                self._check_topic(message.topic)
                route = self.channel.route
                mode = read_mode(message.emit, route.modes)
                self._visitor.check_mode(self.principal, mode, route.modes[0])
                # It may have been forgotten.
                channel = self._hub.channel(route, self.channel.name, principal=self.principal)
                self._leave()
                self.channel = channel
                self.mode = mode
                self._acknowledge(message)
                self._join(clean_cursor(message.cursor), opening=b"")
            case Unsubscribe():
                self._check_topic(message.topic)
                self.cursor = self.channel.position(self)  # heartbeats go on, and move it nowhere
                self._leave()
                self._acknowledge(message)
            case Auth():
                return self._renew(message)
            case Send():
                self._check_topic(message.topic)
                return send(message, self, self._visitor, self._desk, self._clock)
            case _:
                assert_never(message)
        return None

    @property
    def _visitor(self) -> Visitor:
        return Visitor() if self.stay is None else self.stay.visitor

    async def _renew(self, message: Auth) -> None:
        """Go on as whom the client has proved to be now, or as before if it has proved nothing."""
        desk, names = self._desk, auth_names(self.channel.route)
        if self.stay is None or not names:
            raise BadRequest("nobody is asked here who they are")
        visitor = await desk.keeper.hear(self.stay.visitor, names, message.token, is_renewal=True)
        if not self._conversation.is_open:
            return
        try:
            before = self.channel.name
            seat = desk.host.seat(Wish(before.text, emit=self.mode), "websocket", visitor, instead_of=before)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        assert seat.principal is not None, "a route that asks who clients are shows its topics to somebody"
        desk.door.charge_owner(self, [seat.principal])
        self.stay.renew(self, visitor.only(seat.principal))
        self.principal = seat.principal
        self._acknowledge(message)
        self._move(seat.channel)

    def _move(self, channel: Channel) -> None:
        """Follow the same topic as it is for somebody else, if the client is that now."""
        before = self.channel
        if channel.name.key == before.name.key:
            return
        channel.joined()  # before the other one is let go
        is_subscribed = self._is_subscribed
        self._leave()
        self.channel, self.cursor = channel, None
        if is_subscribed:
            self._join(None, opening=b"")
        channel.left()
        self._hub.vacated(before.name)

    def _check_topic(self, topic: str) -> None:
        if topic != self.channel.name.text:
            raise BadRequest(f"this connection follows {self.channel.name.text} and no other topic")

    def decline(self, message: Message, refusal: Refusal) -> None:
        self.say(problem_message(refusal, ref=message.ref, at=self._clock.wall()))

    def _acknowledge(self, message: Subscribe | Unsubscribe | Ping | Auth) -> None:
        self.say(ack_message(ref=message.ref, at=self._clock.wall()))

    def say(self, message: bytes) -> None:
        self.send(text_frame(message))

    def _join(self, cursor: str | None, *, opening: bytes) -> None:
        self._is_subscribed = True
        self.channel.join(self, cursor, opening=opening)

    def _leave(self) -> None:
        if self._is_subscribed:
            self._is_subscribed = False
            self.channel.leave(self)

    def _close(self, code: int, reason: str, *, parting: Parting = "client") -> None:
        if self._conversation.is_open:
            self.parting = parting
        self._fall_silent()
        self._conversation.close(code, reason)

    def _fall_silent(self) -> None:
        """A close frame is the last that an endpoint sends (RFC 6455 section 5.5.1); heartbeats go on until the end."""
        self._leave()
        self.send = _nothing_more


def _nothing_more(data: bytes) -> None:
    """Where events go after a close frame."""


def _not_yet(data: bytes) -> None:
    raise AssertionError("nothing is sent before the socket is ours")


def open_stream(
    request: web.BaseRequest,
    hub: Hub,
    seat: Seat,
    ask: Ask,
    desk: Desk,
    *,
    clock: Clock,
    stay: Stay | None,
    fields: Mapping[str, str],
) -> web.StreamResponse:
    """Answer the handshake, take the socket over and start the stream."""
    extension = accepted_extension(request.headers)
    head = accept_head(request, {**topic_fields(seat.channel), **fields}, extension=extension)
    conversation = Conversation(is_deflated=extension is not None)
    stream = WebSocketStream(hub, seat, ask, clock, desk, conversation)
    stream.stay = stay
    transport, tail = take_over_upgraded(request, stream)
    if transport is not None:
        stream.begin(transport, seat.cursor, head, tail)
    return TakenOver(101)


def succeed(newcomer: Newcomer, visitor: Visitor, opening: bytes, *, hub: Hub, topic: str, ask: Ask) -> WebSocketStream:
    """Start the stream of a client that has said who it is; raises the refusal of one that may not have the topic."""
    desk = newcomer.desk
    seat = desk.host.seat(Wish(topic, ask.cursor, ask.mode), "websocket", visitor)
    stream = WebSocketStream(hub, seat, ask, newcomer.clock, desk, newcomer.conversation)
    if seat.principal is not None:
        stream.stay = Stay(hub.leases, visitor.only(seat.principal))
    stream.begin(newcomer.hand_over(stream), seat.cursor, opening)
    return stream
