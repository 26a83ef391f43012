"""
A change on its way to many, a few of them at a time, so that nobody else has to wait until all of them have it.

Rule 1: whoever has not been told yet stands where it stood before, and says so in its heartbeats.
Rule 2: a change is told to all before the next one is, so nobody is told them in another order.
Rule 3: to a handful it is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from .documents.changes import Version
from .subscriber import Subscriber, Waiter

# So many are told before it is others' turn, which takes about half a millisecond; fewer, if it is much to write.
STEP = 50
STEP_BYTES = 1_000_000


T = TypeVar("T")


def step_for(data: bytes) -> int:
    """Return to how many this much is written before it is others' turn."""
    return max(1, min(STEP, STEP_BYTES // (len(data) or 1)))


def in_steps(work: Callable[[], bool]) -> None:
    """
    Do the first step now, and the others each in a turn of the loop of its own; ``work`` says if there is more.

    A step that fails does not keep the others from theirs.
    """
    is_more = True
    try:
        is_more = work()
    finally:
        if is_more:
            asyncio.get_running_loop().call_soon(in_steps, work)


def one_by_one(many: Iterable[T], serve: Callable[[T], None]) -> None:
    """Serve each in its turn; who comes late may find that there is nothing left to do."""
    queue = list(many)
    queue.reverse()

    def step() -> bool:
        for _ in range(min(STEP, len(queue))):
            serve(queue.pop())
        return bool(queue)

    in_steps(step)


def wake(waiters: dict[Waiter, None]) -> None:
    """Have all look again who wait now; whoever has left before it is its turn is let be."""

    def look(waiter: Waiter) -> None:
        if waiter in waiters:
            waiter.wake()

    one_by_one(waiters, look)


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """What all of a lane are told; ``told`` hears each time how many have been, which may be none."""

    data: bytes
    told: Callable[[int], None]


class Wave:
    """The latest change of a topic, and those live subscribers that have not been told of it yet."""

    __slots__ = ("_after", "_before", "_over", "_waiting")

    def __init__(self) -> None:
        self._before: Version | None = None
        self._after: Version | None = None
        self._waiting: dict[Subscriber, Errand] = {}
        self._over: list[Callable[[], None]] = []  # to be called when nobody waits any more

    def version_of(self, subscriber: Subscriber) -> Version | None:
        """Return which version a live subscriber holds."""
        return self._before if subscriber in self._waiting else self._after

    def begin(self, before: Version | None, after: Version | None) -> None:
        """Tell all who are still waiting of the change before; from now on it is about this one."""
        self.finish()
        self._before, self._after = before, after

    def reach(self, version: Version | None) -> None:
        """Take note that somebody has been told of everything up to this version, the latest."""
        self._after = version

    def roll(self, lanes: Sequence[tuple[Collection[Subscriber], Errand]], *, is_patient: bool = True) -> None:
        """
        Let each of a lane be told the same; they may leave or fall behind before it is their turn, if they may wait.

        Nobody is told before all of them are known to wait, since one that is told may make another fall behind.
        """
        for lane, errand in lanes:
            self._waiting.update(dict.fromkeys(lane, errand))
        for lane, errand in lanes:
            queue = list(lane)
            queue.reverse()
            may_wait = is_patient and all(subscriber.is_patient for subscriber in queue[:1])  # a lane is of one kind
            step = step_for(errand.data) if may_wait else len(queue)
            in_steps(partial(self._step, queue, errand, step))

    def when_over(self, call: Callable[[], None]) -> None:
        """Call this when everybody has been told, or does not wait any more; at once if that is so."""
        self._over.append(call)
        self._look()

    def _look(self) -> None:
        while self._over and not self._waiting:
            self._over.pop()()

    def drop(self, subscriber: Subscriber) -> None:
        """Do not tell this one; it has left, or will catch up by itself."""
        self._waiting.pop(subscriber, None)
        self._look()

    def hurry(self, subscriber: Subscriber) -> None:
        """Tell this one now, if it is waiting."""
        self._tell(subscriber)

    def finish(self) -> None:
        """Tell all who are waiting now."""
        for subscriber in list(self._waiting):
            self._tell(subscriber)

    def _step(self, queue: list[Subscriber], errand: Errand, count: int) -> bool:
        waiting, data, told = self._waiting, errand.data, 0
        try:
            for _ in range(min(count, len(queue))):
                subscriber = queue.pop()
                awaited = waiting.pop(subscriber, None)
                if awaited is errand:  # this is where most of a gateway's time goes
                    told += 1
                    subscriber.send(data)
                elif awaited is not None:  # the next change has begun meanwhile
                    awaited.told(1)
                    subscriber.send(awaited.data)
        finally:
            errand.told(told)
            self._look()
        return bool(queue) and bool(waiting)

    def _tell(self, subscriber: Subscriber) -> None:
        errand = self._waiting.pop(subscriber, None)  # first, because it may fall behind while it is written to
        if errand is not None:
            errand.told(1)
            subscriber.send(errand.data)
            self._look()
