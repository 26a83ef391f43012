"""
Who is let in: not more connections than may be, not faster than they may come, and none that lasts during a drain.

Short polls always are; they take no room.
"""

from __future__ import annotations

import asyncio
import weakref

from aiohttp import web

from ...admission import Admission, retry_delay
from ...clock import Clock
from ...config.server import Limits
from ...departures import Departures
from ...errors import Draining, Overloaded, Refusal
from ...hub import Hub
from ...metrics import Metrics
from ...negotiation import Ask
from ...values import Transport

# Whoever finds the house full comes back after this time, each after a moment of its own.
MIN_FULL, MAX_FULL = 5.0, 10.0


class Door:
    """Lets clients in, or tells them when to come back. ``departures`` is set by whoever makes both."""

    departures: Departures

    def __init__(self, hub: Hub, clock: Clock, metrics: Metrics, *, max_connections: int, admission: Admission) -> None:
        self._hub = hub
        self._clock = clock
        self._metrics = metrics
        self._max_connections = max_connections
        self._admission = admission
        # Connections that have asked a long poll: their next one is no new connection.
        self._known: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    def revise(self, limits: Limits) -> None:
        """Go by other limits from now on; nobody who is in has to leave."""
        self._max_connections = limits.connections
        if limits.accept_rate != self._admission.rate:
            self._admission = Admission(limits.accept_rate)

    @property
    def retry(self) -> float:
        """When a client that loses its stream shall come back, in seconds; every one is told something else."""
        return retry_delay(self._admission.rate, connections=self._hub.connections, chance=self._clock.chance())

    @property
    def is_draining(self) -> bool:
        return self.departures.is_draining

    def admit(self, request: web.BaseRequest, ask: Ask) -> None:
        """Count a connection that is going to last; raises Draining or Overloaded if it cannot be served now."""
        if ask.transport == "short_poll" or ask.wait == 0:
            return
        if self.is_draining:
            raise Draining("the gateway is going away", retry_after=self.retry)
        chance = self._clock.chance()
        if self._hub.connections >= self._max_connections:
            raise Overloaded(
                "there are as many connections as may be (server.limits.connections)",
                limit="connections",
                retry_after=MIN_FULL + (MAX_FULL - MIN_FULL) * chance,
            )
        transport = request.transport
        if transport is None or transport in self._known:
            return
        if wait := self._admission.admit(self._clock.now(), chance=chance):
            complaint = "connections come faster than they may (server.limits.accept_rate)"
            raise Overloaded(complaint, limit="accept_rate", retry_after=wait)
        if ask.transport == "long_poll":
            self._known.add(transport)

    def remember(self, transport: asyncio.BaseTransport) -> None:
        """Take note that a connection has been let in: aiohttp reads its next request, and shall not count it again."""
        self._known.add(transport)

    def trust(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection that was let in, for as long as it belongs to somebody who knows that; it takes room."""
        self._known.discard(transport)

    def turned_away(self, transport: Transport, refusal: Refusal) -> None:
        """Count somebody who wanted to stay and was not let in, for whatever reason."""
        if transport != "short_poll":
            reason = refusal.limit if isinstance(refusal, Overloaded) and refusal.limit else refusal.code
            self._metrics.refused(transport, reason)
