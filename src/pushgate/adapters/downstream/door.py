"""
Who is let in: not more connections than may be, not faster than they may come, not more of one client than is its
share, and none that lasts during a drain.

Short polls always are; they take no room.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ...admission import Admission, retry_delay
from ...clock import Clock
from ...config.server import Limits
from ...departures import Departures
from ...errors import Draining, Overloaded, Refusal, TooMany
from ...hub import Hub
from ...metrics import Metrics
from ...negotiation import Ask
from ...rations import Charge, Ration, key_of
from ...values import Principal, Transport
from .handover import connection_of
from .lobby import Lobby

# Whoever finds the house full comes back after this time, each after a moment of its own.
MIN_FULL, MAX_FULL = 5.0, 10.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request that was let in, until it is clear whether its connection lasts."""

    transport: asyncio.BaseTransport
    charge: Charge


class Door:
    """Lets clients in, or tells them when to come back. ``departures`` is set by whoever makes both."""

    departures: Departures

    def __init__(self, hub: Hub, clock: Clock, metrics: Metrics, limits: Limits) -> None:
        self._hub = hub
        self._clock = clock
        self._metrics = metrics
        self._max_connections = limits.connections
        self._admission = Admission(limits.accept_rate)
        self._per_address = Ration("per_address", limits.per_address)
        self._per_principal = Ration("per_principal", limits.per_principal)
        self._arrivals: dict[web.RequestHandler, _Arrival] = {}  # none while nobody has a share
        # Connections that have asked a long poll: their next one is no new connection.
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def revise(self, limits: Limits) -> None:
        """Go by other limits from now on; nobody who is in has to leave."""
        self._max_connections = limits.connections
        self._per_address.most, self._per_principal.most = limits.per_address, limits.per_principal
        if limits.accept_rate != self._admission.rate:
            self._admission = Admission(limits.accept_rate)

    @property
    def retry(self) -> float:
        """When a client that loses its stream shall come back, in seconds; every one is told something else."""
        return retry_delay(self._admission.rate, connections=self._hub.connections, chance=self._clock.chance())

    @property
    def is_draining(self) -> bool:
        return self.departures.is_draining

    def admit(self, request: web.BaseRequest, ask: Ask, lobby: Lobby) -> None:
        """
        Count a connection that is going to last.

        Raises Draining or Overloaded if it cannot be served now, and TooMany if its address has its share; the caller
        calls ``charge`` when it knows whose it is, and ``settle`` in the end, also if this raises.
        """
        if ask.transport == "short_poll" or ask.wait == 0:
            return
        if self.is_draining:
            raise Draining("the gateway is going away", retry_after=self.retry)
        if self._hub.connections >= self._max_connections:
            complaint = "there are as many connections as may be (server.limits.connections)"
            raise Overloaded(complaint, limit="connections", retry_after=self._when_full)
        transport = request.transport
        if transport is None:
            return
        self._begin_charge(request, transport, lobby)
        if connection_of(transport) in self._known:
            return
        if wait := self._admission.admit(self._clock.now(), chance=self._clock.chance()):
            complaint = "connections come faster than they may (server.limits.accept_rate)"
            raise Overloaded(complaint, limit="accept_rate", retry_after=wait)
        if ask.transport == "long_poll":
            self._known.add(connection_of(transport))

    @property
    def _when_full(self) -> float:
        return MIN_FULL + (MAX_FULL - MIN_FULL) * self._clock.chance()

    # Shares.

    def _begin_charge(self, request: web.BaseRequest, transport: asyncio.BaseTransport, lobby: Lobby) -> None:
        if self._per_address.most is None and self._per_principal.most is None:
            return
        charge = Charge()
        self._arrivals[request.protocol] = _Arrival(transport, charge)
        if self._per_address.most is not None and (at := lobby.client(request).counted_as) is not None:
            charge.add(self._per_address, at, retry_after=self._when_full)

    def charge(self, request: web.BaseRequest, principals: Iterable[Principal]) -> None:
        """Count a connection that is going to last against the shares of those whose it is; raises TooMany."""
        if self._arrivals and (arrival := self._arrivals.get(request.protocol)) is not None:
            self._add(arrival.charge, principals)

    def charge_owner(self, owner: object, principals: Iterable[Principal]) -> None:
        """Likewise for a connection that lasts already, by the protocol of its socket; raises TooMany."""
        if (charge := self._hub.charges.get(owner)) is not None:
            self._add(charge, principals)

    def _add(self, charge: Charge, principals: Iterable[Principal]) -> None:
        for principal in principals:
            charge.add(self._per_principal, key_of(principal), retry_after=self._when_full)

    def settle(self, request: web.BaseRequest) -> None:
        """
        Hand what a request was charged to over to whoever has its socket now, or give it back.

        Called once it has been answered, before anything is waited for: until then its new owner cannot lose it.
        """
        arrival = self._arrivals.pop(request.protocol, None) if self._arrivals else None
        if arrival is None:
            return
        owner = arrival.transport.get_protocol()
        if owner is request.protocol or owner is None:
            arrival.charge.lift()
        else:
            self._hub.charges[owner] = arrival.charge

    def remember(self, transport: asyncio.BaseTransport) -> None:
        """Take note that a connection has been let in: aiohttp reads its next request, and shall not count it again."""
        self._known.add(connection_of(transport))

    def trust(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection that was let in, for as long as it belongs to somebody who knows that; it takes room."""
        self._known.discard(connection_of(transport))

    def turned_away(self, request: web.BaseRequest, transport: Transport, refusal: Refusal) -> None:
        """Count somebody who wanted to stay and was not let in, for whatever reason."""
        if (arrival := self._arrivals.pop(request.protocol, None)) is not None:
            arrival.charge.lift()
        self.sent_away(transport, refusal)

    def sent_away(self, transport: Transport, refusal: Refusal) -> None:
        """Count somebody who was let in only to be told that."""
        if transport != "short_poll":
            limit = refusal.limit if isinstance(refusal, Overloaded | TooMany) else None
            reason = limit or refusal.code
            self._metrics.refused(transport, reason)
