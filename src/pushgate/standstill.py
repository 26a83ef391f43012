"""
Standing still because operators want it so: what they have paused, and everybody who has to heed that.

Rule 1: a name counts from the moment that it is given: its gate is shut, whoever waits there is turned away, and topics
that come to life are paused. Those that live already are told a few at a time, so that nobody else has to wait.
Rule 2: who is told goes by what is paused then, so orders that overlap come to what the last one says.
Rule 3: what is resumed does not storm its upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from .clock import Clock
from .generation import Generation
from .hub import Hub
from .pauses import Kind, Pauses
from .polled import PolledChannel
from .succession import staggered

log = structlog.get_logger()

# So many topics are told before it is others' turn.
STEP = 50


class Gate(Protocol):
    """Where those wait who want to ask an upstream."""

    def turn_away(self) -> None:
        """Refuse everybody who waits."""


class Lines(Protocol):
    """The connections to all upstreams."""

    def hang_up(self, name: str) -> None:
        """End what is passed on to an upstream and would never end by itself."""


class Standstill:
    """Pauses and resumes; ``gates`` are those of all upstreams, by name, and go by ``pauses`` themselves."""

    def __init__(
        self, pauses: Pauses, hub: Hub, gates: Mapping[str, Gate], lines: Lines, generation: Generation, clock: Clock
    ) -> None:
        self.pauses = pauses
        self._hub = hub
        self._gates = gates
        self._lines = lines
        self._generation = generation
        self._clock = clock

    async def pause(self, kind: Kind, name: str) -> None:
        """Stop polls of a route, or all requests to an upstream; raises the Refusal of a name that there is not."""
        self._generation.check_known(kind, name)
        if name not in self.pauses.of(kind):
            log.warning("pause.began", **{kind: name})
        self.pauses.of(kind).add(name)
        if kind == "upstream":
            self._gates[name].turn_away()
            self._lines.hang_up(name)
        await self._heed()

    async def resume(self, kind: Kind, name: str) -> None:
        """Undo it; raises the Refusal of a name that there is not."""
        self._generation.check_known(kind, name)
        if name in self.pauses.of(kind):
            log.warning("pause.ended", **{kind: name})
        self.pauses.of(kind).discard(name)
        await self._heed()

    # What a new configuration makes of it.

    def revise(self, generation: Generation) -> None:
        """Forget what another configuration no longer has; before its topics are handed over."""
        self._generation = generation
        for name in self.pauses.keep(routes=generation.routes, upstreams=generation.config.upstreams):
            log.warning("pause.forgotten", name=name)

    # Telling topics.

    async def _heed(self) -> None:
        topics, resumed = self._hub.topics(), list[PolledChannel]()
        for begin in range(0, len(topics), STEP):
            resumed += self._awake(topics[begin : begin + STEP])
            await self._clock.sleep(0)
        now = self._clock.now()
        wanted = [channel for channel in resumed if channel.feed.topic.is_wanted(now)]
        delays = dict(staggered(wanted, chance=self._clock.chance()))
        for begin in range(0, len(resumed), STEP):
            for channel in self._awake(resumed[begin : begin + STEP]):
                channel.resume(delay=delays.get(channel, 0.0))
            await self._clock.sleep(0)

    def _awake(self, topics: list[PolledChannel]) -> list[PolledChannel]:
        """Pause those of them that are to be paused, and return those that are no longer."""
        found = []
        for channel in topics:
            if self._hub.find(channel.name) is not channel:
                continue  # it is no more
            is_paused = channel.feed.topic.is_paused_by_operator
            if channel.feed.shall_pause and not is_paused:
                channel.pause()
            elif is_paused and not channel.feed.shall_pause:
                found.append(channel)
        return found
