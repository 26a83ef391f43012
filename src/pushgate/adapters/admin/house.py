"""The living objects that the dashboard tells of, and the little that it needs to know of each."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ...clock import Clock
from ...departures import Departures
from ...generation import Generation
from ...hub import Hub
from ...ledger import Ledger
from ...metrics import Metrics
from ...pauses import Pauses
from ...tides import Figures
from ..upstream.budget import Gate


class Memory(Protocol):
    """Where documents and histories are kept."""

    @property
    def size(self) -> int:
        """What all of them take, in bytes."""


class Standing(Protocol):
    """What stands still because an operator wants it so."""

    @property
    def pauses(self) -> Pauses: ...


class Parts(Protocol):
    """What the gateway is made of."""

    @property
    def hub(self) -> Hub: ...

    @property
    def gates(self) -> Mapping[str, Gate]: ...

    @property
    def store(self) -> Memory: ...

    @property
    def listener(self) -> socket.socket:
        """Where clients connect."""

    @property
    def standstill(self) -> Standing: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def clock(self) -> Clock: ...


class Reloading(Protocol):
    """How reading the configuration went."""

    is_good: bool  # whether what was read last is in force
    taken_over_at: float  # what is in force, since the epoch


@dataclass(frozen=True, slots=True)
class House:
    """What there is to tell of."""

    generation: Callable[[], Generation]
    parts: Parts
    departures: Departures
    reloading: Reloading

    @property
    def hub(self) -> Hub:
        return self.parts.hub

    @property
    def clock(self) -> Clock:
        return self.parts.clock

    @property
    def gates(self) -> Mapping[str, Gate]:
        return self.parts.gates

    @property
    def public_port(self) -> int:
        """Where clients connect."""
        return int(self.parts.listener.getsockname()[1])

    @property
    def memory(self) -> int:
        """What documents and histories take, in bytes."""
        return self.parts.store.size

    @property
    def pauses(self) -> Pauses:
        """What an operator has paused."""
        return self.parts.standstill.pauses

    def ledger(self, route: str) -> Ledger:
        """Return what is counted of a route."""
        return self.parts.metrics.ledger(route)

    def figures(self, route: str) -> Figures:
        """Return the same, as the series of the latest minutes need it."""
        ledger = self.ledger(route)
        return Figures(
            polls=ledger.polls.total() - ledger.polls["skipped"],
            changes=ledger.changes,
            failures=ledger.failures.total(),
            requests_saved=ledger.requests_saved.saved,
            bytes_saved=ledger.bytes_saved.saved,
            subscribers=ledger.subscribers.total(),
            delays=tuple(ledger.delays.cumulated()),
        )
