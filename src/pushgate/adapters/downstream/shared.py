"""
Many topics on one connection: who follows what, and from where.

Rule 1: a subscription on a shared connection is a subscriber of its topic's channel like any other; what is shared is
the socket, the signs of life and, but for WebSockets, the position (``sets.py``).
Rule 2: topics are let in one by one (``tables.py``). What one of them is refused for is a ``problem`` of that topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ...clock import Clock
from ...documents.changes import encode
from ...documents.cursors import Cursor
from ...errors import Refusal
from ...negotiation import Ask
from ...sets import Recognition, Standing, continued, resume
from ...values import Event, Mode, Principal, Transport
from ...wire import block_forms, enveloping, frame_forms
from .tables import Seat, Table

# How long a topic that has no document yet is waited for, counted from when it was first asked for, before a cursor of
# a set is judged without it: longer than most upstreams may take to answer.
RECOGNITION_PATIENCE = 15.0


class Watch:
    """Waits at one topic for whoever waits at several."""

    __slots__ = ("_refused", "_woken", "channel", "index", "mode", "principal", "transport_name")

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
        self.principal = seat.principal
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
    polled and none is forgotten. ``refusals``: what the client may not have any more, by the places of topics.
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
        self.refusals: dict[int, Refusal] = {}

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

    def deny(self, principal: Principal, refusal: Refusal) -> None:
        """Take note that the client may not have any more what it may have as this principal only."""
        self.refusals |= {at: refusal for at, seat in enumerate(self._seats) if seat.principal is principal}

    def _patience(self, seat: Seat) -> float:
        """How long a topic may take to get its first document; one that is paused would keep the others waiting."""
        if seat.channel.feed.topic.is_paused_by_operator:
            return 0.0
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
        """A topic that this client is not shown after all is not waited for; it is told when others are joined."""
        self.refusals[watch.index] = refusal
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
