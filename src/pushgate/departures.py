"""
How clients leave: all of them when the gateway goes away (a drain), each at its age, and those of somebody whom an
operator sends away.

Rule 1: nobody is cut who can be told when to come back, and they are told one after the other, evenly over a while.
Rule 2: a drain changes nothing else: polls go on, whoever is still here gets every change, and it can be undone until
the process has been told to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from .clock import Clock
from .errors import NotAuthenticated
from .hub import Hub
from .subscriber import Stream
from .values import Principal

log = structlog.get_logger()

# How often it is looked who is to leave: fine enough that a hundredth of all is the most that leave at once.
TICK = 0.05

# How long the last words to streams may take to be written, and requests to be answered, if nothing else is said.
GRACE = 2.0

# A stream ends at its greatest age, give or take this part of it; it is looked at so often in that time.
AGE_SPREAD = 0.2
LOOKS = 50


class Departures:
    """Who is to leave, and when. ``retry`` says after how many seconds the next client shall come back."""

    def __init__(self, hub: Hub, clock: Clock, tasks: asyncio.TaskGroup, retry: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self._tasks = tasks
        self._retry = retry
        self._drain: asyncio.Task[None] | None = None
        self.is_draining = False  # nothing that lasts is let in
        self.is_final = False  # the process ends when nobody is left
        self.requests = 0  # being answered just now; whoever answers counts them

    @property
    def connections(self) -> int:
        """Streams and parked long polls that are still here."""
        return self._hub.connections

    def begin(self, *, window: float) -> None:
        """Let nothing in that lasts, answer who waits, and tell streams one after the other to leave, if not begun."""
        if self.is_draining:
            return
        self.is_draining = True
        log.info("drain.began", connections=self._hub.connections, window=window)
        self._hub.finish_waiting()
        self._drain = self._tasks.create_task(self._see_off(window), name="drain")

    def undo(self) -> bool:
        """Let streams in again, and keep those that are still here; False if the process is ending."""
        if self.is_final:
            return False
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
            log.info("drain.undone", connections=self._hub.connections)
        self.is_draining = False
        return True

    async def finish(self, *, window: float, grace: float) -> None:
        """Drain for good; return as soon as nobody is left, and at the latest after ``window`` and ``grace``."""
        self.is_final = True
        self.begin(window=window)
        await self._wait(window + grace)

    async def close(self) -> None:
        """Tell whoever is still here to leave now, and cut who does not take it in time: no time, after ``finish``."""
        patience = 0.0 if self.is_final else GRACE
        self.is_draining = self.is_final = True
        if self._drain is not None:
            self._drain.cancel()
        self._hub.finish_waiting()
        for subscriber in self._hub.everyone():
            subscriber.farewell(retry_after=self._retry())
        await self._wait(patience)
        for subscriber in self._hub.everyone():
            subscriber.abort()

    def dismiss(self, subject: str, *, auth: str | None, issuer: str | None) -> int:
        """End what somebody follows, by an entry of ``auth:`` and an issuer if they are given; return how many left."""

        def is_meant(principal: Principal) -> bool:
            named = principal.subject == subject and auth in (None, principal.auth)
            return named and issuer in (None, principal.issuer)

        refusal = NotAuthenticated("credentials_revoked", "these credentials do not count any more")
        streams = [(stream, stream.stay) for stream in self._hub.everyone() if stream.stay is not None]
        ended = 0
        for stream, stay in streams:
            meant = [*filter(is_meant, stay.visitor.principals.values())]
            ended += bool(meant)
            for principal in meant:
                stay.forget(principal)
                stream.revoke(principal, refusal)
        askers = [asker for asker in self._hub.parked.everyone() if any(map(is_meant, asker.principals))]
        for asker in askers:
            asker.finish()
        return ended + len(askers)

    async def _wait(self, patience: float) -> None:
        deadline = self._clock.now() + patience
        while (self._hub.connections or self.requests) and self._clock.now() < deadline:
            self._hub.finish_waiting()  # a request that was under way may have come to nothing but a wait
            await self._clock.sleep(0.02)

    async def _see_off(self, window: float) -> None:
        leaving = sorted(self._hub.everyone(), key=lambda _: self._clock.chance())
        began = self._clock.now()
        told = 0
        while (elapsed := self._clock.now() - began) < window:
            due = min(len(leaving), int(len(leaving) * elapsed / window) + 1)
            self._tell(leaving[told:due])
            told = due
            await self._clock.sleep(min(TICK, window))
        before = set(leaving[:told])
        self._tell([one for one in self._hub.everyone() if one not in before])  # and who came in at the last moment

    def _tell(self, leaving: list[Stream]) -> None:
        for subscriber in leaving:
            subscriber.farewell(retry_after=self._retry())

    async def watch_ages(self, limit: float) -> None:
        """Tell every stream to leave when it is about so old, so that clients spread over all replicas again."""
        leaves_at: dict[Stream, float] = {}
        while True:
            await self._clock.sleep(max(limit / LOOKS, TICK))
            now = self._clock.now()
            known, leaves_at = leaves_at, {}
            for subscriber in self._hub.everyone():
                at = known.get(subscriber) or now + self._age(limit)
                if at > now:
                    leaves_at[subscriber] = at
                else:
                    subscriber.farewell(retry_after=self._retry())

    def _age(self, limit: float) -> float:
        return limit * (1 - AGE_SPREAD + 2 * AGE_SPREAD * self._clock.chance())
