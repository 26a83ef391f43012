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

from websockets.frames import CloseCode

from ...auth.visitor import Visitor
from ...clock import Clock
from ...documents.changes import encode, timestamp
from ...errors import BadRequest, Refusal
from ...hub import Hub
from ...leases import Stay
from ...negotiation import Ask, clean_cursor
from ...subscriber import MAX_MISSED_BEATS, Subscriber, pace_of, parting_of
from ...values import Event, Parting, Principal, Transport
from ...wire import ack_message, envelope, problem_event, problem_message, text_frame
from ...wishes import MAX_TOPICS, Wish
from . import pulse
from .conversation import Conversation
from .desk import Desk
from .inbox import Inbox, Work
from .messages import Auth, Message, Ping, Send, Subscribe, Unsubscribe
from .sending import send
from .shared import SHARED_FRAMES
from .shared_subscription import SocketSubscription
from .tables import Seat, Table
from .upgrade import reason_of


class SharedSocket:
    """One WebSocket client that follows many topics; the protocol of its socket."""

    __slots__ = (
        *("_clock", "_conversation", "_desk", "_form", "_hub", "_inbox", "_is_paused", "_missed_beats", "_send"),
        *("_subscriptions", "_throttle", "heartbeat", "parting", "stay", "turn"),
    )

    transport_name: ClassVar[Transport] = "websocket"

    def __init__(self, hub: Hub, clock: Clock, desk: Desk, ask: Ask, stay: Stay, conversation: Conversation) -> None:
        self._hub = hub
        self._clock = clock
        self._desk = desk
        self._inbox: Inbox | None = None  # until the client says something
        self._form = SHARED_FRAMES.choose(is_deflated=conversation.is_deflated)
        self._conversation = conversation
        self._subscriptions: dict[str, SocketSubscription] = {}  # by key, who has waited longest first
        self._send: Callable[[bytes], None] = _nothing_more
        self._is_paused = False
        self._missed_beats = 0
        self._throttle = ask.throttle  # of each topic
        self.heartbeat = ask.heartbeat
        self.stay: Stay | None = stay
        self.turn = 0  # its place on the heartbeat wheel
        self.parting: Parting = "client"

    @property
    def subscriptions(self) -> Collection[Subscriber]:
        return self._subscriptions.values()

    def begin(self, transport: asyncio.Transport, table: Table, opening: bytes, tail: bytes = b"") -> None:
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
        if self._conversation.has_fallen_silent():
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
        self._conversation.pause_reading("writing")

    def resume_writing(self) -> None:
        self._conversation.resume_reading("writing")
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
            self.inbox.take(message)
        if not self._conversation.is_open:
            self._fall_silent()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation.transport is not None:
            self._conversation.end()
            self._hub.exit(self)
            self._fall_silent()
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
                self._subscribe(message)
            case Unsubscribe():
                self._unsubscribe(message)
            case Auth():
                return self._renew(message)
            case Send():
                return send(message, self, self._stay.visitor, self._desk, self._clock)
            case _:
                assert_never(message)
        return None

    def _subscribe(self, message: Subscribe) -> None:
        wish = Wish(message.topic, clean_cursor(message.cursor), message.emit)
        seat = self._desk.host.seat(wish, self.transport_name, self._stay.visitor)
        known = self._subscriptions.get(seat.channel.name.key)
        if known is None and len(self._subscriptions) >= MAX_TOPICS:
            raise BadRequest(f"a connection has at most {MAX_TOPICS} topics")
        if known is not None:
            self.drop(known)
        self._acknowledge(message)
        self._follow(seat)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        topic = self._desk.host.name_of(message.topic)
        known = next((one for one in self._subscriptions.values() if one.channel.name.text == topic), None)
        if known is None:
            raise BadRequest("this connection does not follow that topic")
        self.drop(known)
        self._acknowledge(message)

    def decline(self, message: Message, refusal: Refusal) -> None:
        topic = message.topic if isinstance(message, Subscribe | Unsubscribe | Send) else None
        self.say(problem_message(refusal, ref=message.ref, at=self._clock.wall(), topic=topic))

    async def _renew(self, message: Auth) -> None:
        """Go on as whom the client has proved to be now, too, with each topic by itself."""
        desk, stay = self._desk, self._stay
        if not desk.keeper.names:
            raise BadRequest("nobody is asked here who they are")
        is_known = bool(stay.visitor.principals)
        visitor = await desk.keeper.hear(stay.visitor, desk.keeper.names, message.token, is_renewal=is_known)
        desk.door.charge_owner(self, visitor.principals.values())
        if self._conversation.is_open:
            stay.renew(self, visitor)
            self._acknowledge(message)
            for subscription in list(self._subscriptions.values()):
                self._follow_as(subscription, visitor)

    def _follow_as(self, subscription: SocketSubscription, visitor: Visitor) -> None:
        """Go on with a topic as it is for a visitor who has proved something else, or end it."""
        before = subscription.channel.name
        wish = Wish(before.text, emit=subscription.mode)
        try:
            seat = self._desk.host.seat(wish, self.transport_name, visitor, instead_of=before)
        except Refusal as refusal:
            subscription.refuse(refusal)
            return
        subscription.principal = seat.principal
        if seat.channel.name.key != subscription.key:
            seat.channel.joined()  # before the other one is let go
            self.drop(subscription)
            self._follow(seat)
            seat.channel.left()
            self._hub.vacated(before)

    def warn(self, expiring: Event) -> None:
        """Tell the client that credentials end; what ends with them, it will be told topic by topic."""
        self._send(text_frame(envelope(expiring)))

    def revoke(self, principal: Principal, refusal: Refusal) -> None:
        """End the topics that the client may follow as this principal only, and the connection if it is nobody else."""
        self._stay.forget(principal)
        for subscription in [one for one in self._subscriptions.values() if one.principal is principal]:
            subscription.refuse(refusal)
        if not self._subscriptions and not self._stay.visitor.principals:
            self._close(refusal.close_code, reason_of(refusal), parting=parting_of(refusal))

    @property
    def _stay(self) -> Stay:
        assert self.stay is not None, "here it may always turn out who somebody is"
        return self.stay

    def _acknowledge(self, message: Subscribe | Unsubscribe | Ping | Auth) -> None:
        self.say(ack_message(ref=message.ref, at=self._clock.wall()))

    def say(self, message: bytes) -> None:
        self._send(text_frame(message))


def _nothing_more(data: bytes) -> None:
    """Where events go after a close frame, and those of a topic that is no longer followed."""
