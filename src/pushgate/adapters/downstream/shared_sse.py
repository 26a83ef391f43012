"""
``/-/events``: server-sent events of many topics on one connection, with one position for all of them.

Rule 1: what the topics have to say in one turn of the loop is written together, and only its last change carries the
``id:``, the position after all of it. So a change that several of them share is told whole, and so is a catch-up.
Rule 2: a client that is cut off before that line comes back with the position before, and is told all of it again.
Rule 3: the bytes of an event are shared with everybody who follows its topic; the ``id:`` line is this client's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import ClassVar

from aiohttp import web

from ...auth.visitor import ended
from ...clock import Clock
from ...documents.changes import encode, timestamp
from ...errors import Refusal
from ...hub import Hub
from ...leases import Stay
from ...negotiation import Ask
from ...packing import FLUSH, stored
from ...sets import Position, Standing
from ...subscriber import MAX_MISSED_BEATS, Subscriber, parting_of
from ...values import Event, Parting, Principal, Transport
from ...wire import envelope, http_date, http_head, problem_event, sse_retry
from . import pulse
from .handover import TakenOver, take_over
from .replies import VARY, Reply
from .shared import SHARED_BLOCKS, SHARED_MESSAGES, Judgement
from .shared_subscription import Subscription
from .sse import FIELDS, opening_bytes, opening_fields
from .tables import Table


class EventConnection:
    """One SSE client that follows many topics; the protocol of its socket."""

    __slots__ = (
        *("_clock", "_form", "_hub", "_is_deflated", "_is_named", "_is_paused", "_judgement", "_rest_alarm"),
        *("_last_change", "_loop", "_missed_beats", "_pieces", "_position", "_subscriptions", "_table", "_throttle"),
        *("_transport", "heartbeat", "parting", "stay", "turn"),
    )

    transport_name: ClassVar[Transport] = "sse"

    def __init__(self, hub: Hub, clock: Clock, table: Table, ask: Ask, stay: Stay | None) -> None:
        self._hub = hub
        self._clock = clock
        self._table = table
        self._is_named = ask.framing == "event"
        self._is_deflated = ask.takes_gzip
        self._form = (SHARED_BLOCKS if self._is_named else SHARED_MESSAGES).choose(is_deflated=ask.takes_gzip)
        epoch = table.seats[0].channel.history.epoch
        self._position = Position(epoch, table.scope, None if ask.cursor == "now" else ask.cursor)
        self._judgement: Judgement | None = None  # while it is not clear where the topics continue
        self._subscriptions: dict[Subscription, None] = {}  # those that have not ended
        self._pieces: list[bytes] = []  # to be written in one go
        self._last_change: int | None = None  # the index of that piece
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._is_paused = False
        self._rest_alarm: asyncio.TimerHandle | None = None  # while the next change has to wait, since it was just told
        self._throttle = ask.throttle
        self._missed_beats = 0
        self.heartbeat = ask.heartbeat
        self.stay = stay
        self.turn = 0  # its place on the heartbeat wheel
        self.parting: Parting = "client"

    @property
    def subscriptions(self) -> Collection[Subscriber]:
        return self._subscriptions.keys()

    def begin(
        self, transport: asyncio.Transport, judgement: Judgement, standings: list[Standing] | None, opening: bytes
    ) -> None:
        """Start the stream; without ``standings`` the judgement goes on, and ends in ``join``."""
        self._transport = transport
        self._hub.enter(self)
        for declined in self._table.declined:
            event = problem_event(declined.refusal, at=self._clock.wall())
            self.collect(self._form(event, declined.topic), is_change=False)
        if standings is None:
            self._judgement = judgement
        else:
            self.join(standings)
        if not self._pieces:
            self._pieces.append(self._sign_of_life())
        self._flush(opening)

    def join(self, standings: list[Standing]) -> None:
        """Follow every topic from where it stands."""
        refusals = {} if self._judgement is None else self._judgement.refusals  # since it came
        self._judgement, now = None, self._clock.wall()
        for at, (seat, standing) in enumerate(zip(self._table.seats, standings, strict=True)):
            if refusal := refusals.get(at) or seat.channel.denial() or ended(seat.principal, now=now):
                self.collect(self._form(seat.channel.problem(refusal), seat.channel.name.text), is_change=False)
                continue
            self._position.move(0, standing.weight, standing.number)
            if standing.is_over:
                continue
            subscription = Subscription(self, seat, self._form, standing.weight)
            subscription.is_terse = self._throttle is not None
            subscription.is_paused = self._is_paused or self._rest_alarm is not None
            self._subscriptions[subscription] = None
            seat.channel.join(subscription, standing.cursor, opening=b"")
            subscription.passed()

    # What the subscriptions say.

    def collect(self, data: bytes, *, is_change: bool) -> None:
        """Write this before the loop turns to anybody else, together with what else there is by then."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        if is_change:
            self._last_change = len(self._pieces)
        self._pieces.append(data)

    def moved(self, before: int, after: int, number: int) -> None:
        self._position.move(before, after, number)

    def redefined(self) -> None:
        """A topic is made differently now, so this is another set."""
        self._position.scope = self._table.scope

    def turn_away(self, subscription: Subscription, refusal: Refusal) -> None:
        """Let go of a topic that the client may not follow any more, and forget that it has a document."""
        channel = subscription.channel
        self.collect(self._form(channel.problem(refusal), channel.name.text), is_change=False)
        self._position.move(subscription.weight, 0, 0)
        subscription.weight = 0
        self.end(subscription)

    def end(self, subscription: Subscription) -> None:
        """Let go of a topic that has told everything."""
        if subscription in self._subscriptions:
            del self._subscriptions[subscription]
            subscription.leave()
        if not self._pieces:
            self._loop.call_soon(self._flush)  # which ends the stream if that was the last

    def _flush(self, opening: bytes = b"") -> None:
        """Write what was collected."""
        transport, pieces = self._transport, self._pieces
        if transport is None or transport.is_closing():
            return
        if pieces or opening:
            if self._last_change is not None:
                pieces.insert(self._last_change, self._id_line())
                self._rest()
            self._pieces, self._last_change = [], None
            transport.write(opening + b"".join(pieces))
        if not self._subscriptions and self._judgement is None:
            self.parting = "ended" if self.parting == "client" else self.parting
            transport.close()  # what was written still goes out

    def _rest(self) -> None:
        """Leave the topics alone for as long as the client wants; they have one position, so they rest together."""
        if self._throttle is not None and self._rest_alarm is None:
            self._rest_alarm = self._loop.call_later(self._throttle, self._rouse)
            self._pause_all()

    def _rouse(self) -> None:
        self._rest_alarm = None
        if not self._is_paused:
            self._resume_all()

    def _pause_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.pause_writing()

    def _resume_all(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.resume_writing()
        self._flush()

    def _id_line(self) -> bytes:
        position = self._position.text
        return b"" if position is None else self._own(f"id: {position}\n".encode())

    def _own(self, lines: bytes) -> bytes:
        """Return what only this client gets as it is written on its stream."""
        return stored(lines) + FLUSH if self._is_deflated else lines

    # Signs of life, and the end.

    def beat(self) -> None:
        """Give a sign of life, or count it as missed and give the client up in the end."""
        if not self._is_paused:
            self._flush(self._sign_of_life() if not self._pieces else b"")
            return
        self._missed_beats += 1
        if self._missed_beats >= MAX_MISSED_BEATS:
            self.parting = "slow"
            self.abort()

    def _sign_of_life(self) -> bytes:
        at = self._clock.wall()
        event = Event("heartbeat", None, at, encode({"at": timestamp(at)}))
        return self._id_line() + self._own(_block(event, is_named=self._is_named))

    def check(self, silence: float) -> None:
        pulse.check(self, self._transport, silence)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def farewell(self, *, retry_after: float) -> None:
        """End the stream because the gateway goes away; the client shall come back after so many seconds."""
        if self._transport is not None:
            self._flush()
            self._transport.write(self._own(sse_retry(retry_after)) + self._sign_of_life())
            self.parting = "drained"
            self._transport.close()

    def warn(self, expiring: Event) -> None:
        """Tell the client that credentials end; what ends with them, it will be told topic by topic."""
        self.collect(self._own(_block(expiring, is_named=self._is_named)), is_change=False)

    def revoke(self, principal: Principal, refusal: Refusal) -> None:
        """End the topics that the client may follow as this principal only."""
        if self._judgement is not None:
            self._judgement.deny(principal, refusal)
        for subscription in [one for one in self._subscriptions if one.principal is principal]:
            subscription.refuse(refusal)
        self.parting = self.parting if self._subscriptions else parting_of(refusal)

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        """Nothing that an SSE client sends after its request means anything."""

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_paused = True
        self._pause_all()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._missed_beats = 0
        if self._rest_alarm is None:
            self._resume_all()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._hub.exit(self)
        if self._rest_alarm is not None:
            self._rest_alarm.cancel()
        if self._judgement is not None:
            self._judgement.stop()
            self._judgement = None
        for subscription in list(self._subscriptions):
            subscription.leave()
        self._subscriptions.clear()


def open_stream(
    request: web.BaseRequest,
    hub: Hub,
    table: Table,
    ask: Ask,
    clock: Clock,
    *,
    fields: Mapping[str, str],
    retry: float,
    stay: Stay | None,
) -> web.StreamResponse:
    """Take the socket over and start the stream; 204, which ends an EventSource for good, if all topics are over."""
    connection = EventConnection(hub, clock, table, ask, stay)
    judgement = Judgement(table, ask, clock, connection.join, "sse")
    standings = judgement.begin()
    if standings is not None and all(standing.is_over for standing in standings):
        return Reply(204, {"Vary": VARY, **fields, "Cache-Control": "no-store"}).to_response()
    if (transport := take_over(request, connection)) is None:
        judgement.stop()
        return TakenOver()
    head = http_head("200 OK", {**opening_fields(ask), **fields, "Date": http_date(clock.wall())})
    connection.begin(transport, judgement, standings, head + opening_bytes(ask, sse_retry(retry)))
    return TakenOver(200)


def _block(event: Event, *, is_named: bool) -> bytes:
    """Return an event that is about no topic, as one of a topic is written."""
    name = f"event: {event.kind}\n".encode() if is_named else b""
    return name + b"data: " + envelope(event) + b"\n\n"


def refuse_reconnect(refusal: Refusal, ask: Ask, *, at: float, retry: float) -> Reply:
    """Refuse an EventSource so that it comes back: it never does after another status than 200."""
    event = problem_event(refusal, at=at)
    return Reply(200, FIELDS, sse_retry(retry) + _block(event, is_named=ask.framing == "event"))
