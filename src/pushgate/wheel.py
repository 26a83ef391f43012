"""
The wheel that gives every stream its heartbeat, at whatever interval it asked for.

Rule 1: the wheel is turned every ``tick`` seconds, and a stream's interval is a number of turns; so many streams never
get theirs at once, but as they came.
Rule 2: one turn before its heartbeat it is looked whether the client is still there: what it was sent a whole interval
ago, but for that turn, must have arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Generic, Protocol, TypeVar

# Into at least so many turns the server's interval is cut, and no turn is longer, so that short intervals can be kept.
MIN_TURNS = 16
MAX_TICK = 0.5

# So many are served before it is others' turn: half a millisecond's work.
STEP = 25


class Beating(Protocol):
    """What stands on the wheel."""

    turn: int  # at which it is due
    heartbeat: float | None  # the interval that it asked for, in seconds; None: the server's

    def beat(self) -> None: ...

    def check(self, silence: float) -> None:
        """Cut the connection if nothing has arrived on the other side for so many seconds."""


B = TypeVar("B", bound=Beating)


class Wheel(Generic[B]):
    """All streams, by the turn at which they get their next heartbeat. ``interval``: the server's, in seconds."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._next = 0
        self._due: dict[int, dict[B, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def everyone(self) -> list[B]:
        return [stream for streams in self._due.values() for stream in streams]

    @property
    def tick(self) -> float:
        """Seconds from turn to turn."""
        return self.interval / max(MIN_TURNS, ceil(self.interval / MAX_TICK))

    def enter(self, stream: B) -> None:
        """Take a stream in; its first heartbeat comes within an interval from now."""
        self._count += 1
        self._place(stream, self._next - 1)

    def exit(self, stream: B) -> None:
        """Let a stream go; nothing if it has gone."""
        if stream in self._due.get(stream.turn, ()):
            del self._due[stream.turn][stream]
            self._count -= 1

    def turn(self) -> Iterator[None]:
        """Give a heartbeat to whoever is due, and look at those who are next; a few between two yields."""
        now, self._next = self._next, self._next + 1
        due = self._due.get(now, {})
        while due:  # a heartbeat may show that its client has gone, and others with it
            for _ in range(min(STEP, len(due))):
                self._beat(due, now)
            yield
        self._due.pop(now, None)
        yield from self._look_at(list(self._due.get(now + 1, ())))

    def _beat(self, due: dict[B, None], now: int) -> None:
        if due:
            stream, _ = due.popitem()
            self._place(stream, now)
            stream.beat()

    def _look_at(self, streams: list[B]) -> Iterator[None]:
        for first in range(0, len(streams), STEP):
            for stream in streams[first : first + STEP]:
                stream.check((stream.heartbeat or self.interval) - self.tick)
            yield

    def retune(self, interval: float) -> None:
        """Go by another interval from now on; nobody waits longer than its own, and not all get theirs at once."""
        streams = self.everyone()
        for due in self._due.values():
            due.clear()  # also of whoever is in the middle of a turn
        self._due.clear()
        self.interval = interval
        for stream in streams:
            self._place(stream, self._next - 1 - stream.turn % self._turns(stream))

    def _turns(self, stream: B) -> int:
        return max(2, int((stream.heartbeat or self.interval) / self.tick + 0.001))

    def _place(self, stream: B, last: int) -> None:
        """Let it have its next heartbeat an interval after a turn."""
        stream.turn = last + self._turns(stream)
        self._due.setdefault(stream.turn, {})[stream] = None
