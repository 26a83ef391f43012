"""
Many topics on one connection: who follows what, and from where.

Rule 1: a subscription on a shared connection is a subscriber of its topic's channel like any other; what is shared is
the socket, the signs of life and, but for WebSockets, the position (``sets.py``).
Rule 2: topics are let in one by one. What one of them is refused for is a ``problem`` of that topic; only if all are
refused, the request is, with the first refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ...channel import Channel
from ...clock import Clock
from ...documents.changes import encode
from ...documents.cursors import Cursor, family_of, scope_of
from ...errors import BadRequest, Refusal
from ...hub import Hub
from ...naming import RESERVED_QUERY, Router, decode_query
from ...negotiation import Ask, check_offered, read_mode
from ...routes import Route, TopicName
from ...sets import Member, Recognition, Standing, continued, resume, scope_of_set
from ...values import ANYBODY, Caller, Event, Mode, Transport
from ...views import ViewRoute
from ...wire import block_forms, enveloping, frame_forms
from ...wishes import Wish, Wishes

# How long a topic that has no document yet is waited for, counted from when it was first asked for, before a cursor of
# a set is judged without it: longer than most upstreams may take to answer.
RECOGNITION_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Seat:
    """One topic of a shared connection: how it is followed, and from where; None: from the beginning."""

    channel: Channel
    mode: Mode
    cursor: str | None = None

    @property
    def member(self) -> Member:
        return self.channel.history, self.mode


@dataclass(frozen=True, slots=True)
class Declined:
    """One topic that the client does not get; ``topic`` as it is called, or as the client called it."""

    topic: str
    refusal: Refusal
    scope: str  # what its cursors would be for


@dataclass(frozen=True, slots=True)
class Table:
    """The topics of one request."""

    seats: tuple[Seat, ...]
    declined: tuple[Declined, ...]

    @property
    def scope(self) -> str:
        """What the cursor of exactly these topics is for, those that are declined for now included."""
        own = [seat.channel.history.scope(seat.mode) for seat in self.seats]
        return scope_of_set([*own, *(one.scope for one in self.declined)])


class Host:
    """Finds the topics that somebody wishes to follow."""

    def __init__(self, router: Router[Route | ViewRoute], hub: Hub) -> None:
        self.router = router  # a new configuration brings another
        self._hub = hub

    def seat(self, wish: Wish, transport: Transport, caller: Caller) -> Seat:
        """Return a topic that can be followed now; raises the Refusal of one that cannot."""
        route, name = self._find(wish.topic, caller)
        return self._admit(route, name, wish, transport)

    def key_of(self, topic: str, caller: Caller) -> str:
        """Return what tells a topic apart, whatever its spelling; raises the Refusal of one that there cannot be."""
        return self._find(topic, caller)[1].key

    @contextmanager
    def lay(self, wishes: Wishes, caller: Caller) -> Iterator[Table]:
        """
        Return all topics of a request, each once however often and in what spellings it is named.

        They are listened to as long as the context is open: otherwise one could be forgotten to make room for the next.
        """
        seats: dict[str, Seat] = {}
        try:
            yield self._lay(wishes, caller, seats)
        finally:
            for seat in seats.values():
                seat.channel.left()

    def _lay(self, wishes: Wishes, caller: Caller, seats: dict[str, Seat]) -> Table:
        declined: dict[str, Declined] = {}
        for wish in wishes.topics:
            try:
                route, name = self._find(wish.topic, caller)
            except Refusal as refusal:
                declined.setdefault(wish.topic, Declined(wish.topic, refusal, f"declined {wish.topic}"))
                continue
            if name.key in seats:
                continue
            try:
                seats[name.key] = self._admit(route, name, wish, wishes.ask.transport)
                seats[name.key].channel.joined()
            except Refusal as refusal:
                family = family_of("items" if wish.emit == "items" else route.modes[0])
                scope = scope_of(family, f"{name.key}\n{route.definition}")
                declined.setdefault(name.key, Declined(name.text, refusal, scope))
        if not seats and declined:
            raise next(iter(declined.values())).refusal
        return Table((*seats.values(),), (*declined.values(),))

    def _find(self, topic: str, caller: Caller) -> tuple[Route | ViewRoute, TopicName]:
        path, _, query = topic.partition("?")
        route, values = self.router.resolve(path)
        controls = decode_query(query)
        for reserved in sorted(RESERVED_QUERY & controls.keys()):
            raise BadRequest(f"{reserved!r} is no part of a topic's name; it is said beside it")
        return route, route.topic(values, controls, ANYBODY if route.is_public else caller)

    def _admit(self, route: Route | ViewRoute, name: TopicName, wish: Wish, transport: Transport) -> Seat:
        mode = read_mode(wish.emit, route.modes)
        check_offered(transport, route.transports)
        channel = self._hub.channel(route, name)
        if refusal := channel.denial():
            raise refusal
        return Seat(channel, mode, wish.cursor)


class Watch:
    """Waits at one topic for whoever waits at several."""

    __slots__ = ("_refused", "_woken", "channel", "index", "mode", "transport_name")

    def __init__(
        self,
        seat: Seat,
        index: int,
        transport_name: Transport,
        *,
        woken: Callable[[Watch], None],
        refused: Callable[[Watch, Refusal], None],
    ) -> None:
        self.channel = seat.channel
        self.mode: Mode | None = seat.mode
        self.index = index
        self.transport_name: Transport = transport_name  # of whoever waits
        self._woken = woken
        self._refused = refused

    def wake(self) -> None:
        self._woken(self)

    def finish(self) -> None:
        """Nobody parks it: who goes away finishes the connection, not its parts."""

    def refuse(self, refusal: Refusal) -> None:
        self._refused(self, refusal)


class Judgement:
    """
    Finds out where the topics of a set continue, which may take until they have documents.

    ``then`` is told; not before ``begin`` has returned None. Meanwhile it listens to all of them, so that they are
    polled and none is forgotten.
    """

    def __init__(
        self, table: Table, ask: Ask, clock: Clock, then: Callable[[list[Standing]], None], transport_name: Transport
    ) -> None:
        self._seats = table.seats
        self._scope = table.scope
        self._ask = ask
        self._clock = clock
        self._then = then
        self._transport_name: Transport = transport_name
        self._watches: list[Watch] = []
        self._recognition: Recognition | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> list[Standing] | None:
        """Return where each topic continues if that is clear; otherwise begin to wait."""
        cursor = Cursor.parse(self._ask.cursor or "")
        members = [seat.member for seat in self._seats]
        if cursor is None or cursor.scope != self._scope:
            return self._own()
        if (known := resume(cursor, members)) is not None:
            return known
        patience = {index: self._patience(seat) for index, seat in enumerate(self._seats)}
        hopeless = [index for index, left in patience.items() if left <= 0]
        recognition = self._recognition = Recognition(cursor, members, hopeless=hopeless)
        if recognition.verdict is not None:
            return self._concluded(recognition.verdict)
        left = max(patience[index] for index in recognition.missing)
        self._timer = asyncio.get_running_loop().call_later(left, self._give_up)
        for index, seat in enumerate(self._seats):
            watch = Watch(seat, index, self._transport_name, woken=self._woken, refused=self._refused)
            self._watches.append(watch)
            seat.channel.wait(watch)
        return None

    def stop(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for watch in self._watches:
            watch.channel.stop_waiting(watch)
        self._watches.clear()

    def _patience(self, seat: Seat) -> float:
        """How long a topic may take to get its first document."""
        return seat.channel.status.since + RECOGNITION_PATIENCE - self._clock.wall()

    def _own(self) -> list[Standing]:
        """Return where topics continue by their own cursors; a single topic's may have come as if it were the set's."""
        if self._ask.cursor == "now" or (len(self._seats) == 1 and self._ask.cursor):
            return [continued(self._ask.cursor, seat.member) for seat in self._seats]
        return [continued(seat.cursor, seat.member) for seat in self._seats]

    def _concluded(self, verdict: list[Standing]) -> list[Standing]:
        """A gap is one of the set; topics' own cursors may be better."""
        return verdict if any(standing.cursor for standing in verdict) else self._own()

    def _woken(self, watch: Watch) -> None:
        assert self._recognition is not None, "somebody waits"
        self._recognition.add(watch.index)
        self._look()

    def _refused(self, watch: Watch, refusal: Refusal) -> None:
        """A topic that the upstream does not show after all is not waited for; who joins it is told."""
        watch.channel.stop_waiting(watch)
        self._woken(watch)

    def _give_up(self) -> None:
        assert self._recognition is not None, "somebody waits"
        self._recognition.give_up()
        self._look()

    def _look(self) -> None:
        """Conclude when the loop turns: a view may not have looked yet at what its parent has just published."""
        assert self._recognition is not None, "somebody waits"
        if self._recognition.verdict is not None:
            asyncio.get_running_loop().call_soon(self._conclude)

    def _conclude(self) -> None:
        assert self._recognition is not None, "somebody waits"
        verdict = self._recognition.verdict
        if verdict is not None and self._watches:
            self.stop()
            self._then(self._concluded(verdict))


# How events are written where they may be of several topics.


def addressed(event: Event, topic: str) -> tuple[bytes, bytes]:
    """Wrap an event into the envelope that it has everywhere, with the name of its topic."""
    head, tail = enveloping(event, topic)
    kind, _, rest = head.partition(b",")
    return kind + b',"topic":' + encode(topic) + b"," + rest, tail


def _named(event: Event, topic: str) -> tuple[bytes, bytes]:
    head, tail = addressed(event, topic)
    return f"event: {event.kind}\ndata: ".encode() + head, tail + b"\n\n"


def _unnamed(event: Event, topic: str) -> tuple[bytes, bytes]:
    head, tail = addressed(event, topic)
    return b"data: " + head, tail + b"\n\n"


# An event as an SSE event, named or not, whose data is the envelope, without an id: whoever writes it knows the
# position; and as a WebSocket message.
SHARED_BLOCKS: Final = block_forms(_named)
SHARED_MESSAGES: Final = block_forms(_unnamed)
SHARED_FRAMES: Final = frame_forms(addressed)
