"""
All parts of a running gateway that go by the configuration, told of a new one in one step.

Rule: nothing here awaits or can fail. What can, ``check`` has tried before.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from .adapters.downstream.certificates import Certificates
from .adapters.downstream.door import Door
from .adapters.downstream.front import Front
from .adapters.downstream.handover import tune
from .adapters.upstream.budget import Gate
from .adapters.upstream.fetch import HttpFetch
from .adapters.upstream.tls import complaint
from .auth.keeper import Keeper
from .auth.roster import Roster
from .clock import Clock
from .config.finding import Finding
from .config.server import Limits
from .config.upstreams import Upstream
from .errors import ConfigError
from .generation import Generation
from .hub import Hub
from .metrics import Metrics
from .standstill import Standstill
from .store.memory import MemoryStore
from .succession import Succession, Tally


@dataclass(frozen=True, slots=True)
class Changeover:
    """What has to be told. ``gates`` is shared with all who ask upstreams, and changed in place."""

    gates: dict[str, Gate]
    http: HttpFetch
    store: MemoryStore
    hub: Hub
    roster: Roster
    keeper: Keeper
    door: Door
    front: Front
    listener: socket.socket
    certificates: Certificates
    standstill: Standstill
    metrics: Metrics
    clock: Clock

    def check(self, generation: Generation) -> None:
        """Try what the new configuration needs of this machine; raises ConfigError."""
        config = generation.config
        report = config.origin.blank()
        for finding in self.certificates.check(config):
            report.add_finding(finding)
        for name, upstream in config.upstreams.items():
            if not self.http.has(name, upstream) and (message := complaint(upstream.tls)):
                report.add_finding(Finding(("upstreams", name, "tls"), message, at_key=True))
        if problems := report.problems():
            raise ConfigError(problems)

    def take_over(self, generation: Generation) -> Tally:
        """Go by the new configuration from now on; return what became of topics and clients."""
        server = generation.config.server
        self.standstill.revise(generation)
        self._revise_gates(generation.config.upstreams)
        self.http.revise(generation.config.upstreams)
        self.store.revise(limit=server.limits.memory)
        self.hub.max_topics = server.limits.topics
        self.hub.topic_ration.most = server.limits.topics_per_principal
        self.hub.wheel.retune(server.heartbeat)
        self.keeper.revise(self.roster.call(generation.config.auth))
        self.door.revise(server.limits)
        show_limits(self.metrics, server.limits)
        self.front.revise(generation)
        self.certificates.take_over()
        tune(self.listener, heartbeat=server.heartbeat)
        return Succession(self.hub, generation, self.keeper, chance=self.clock.chance()).run()

    def _revise_gates(self, upstreams: Mapping[str, Upstream]) -> None:
        """Keep what is known of every backend that is still the same: budget, breaker, and who waits for a turn."""
        before = dict(self.gates)
        self.gates.clear()
        for name, upstream in upstreams.items():
            gate = before.get(name)
            if gate is not None and gate.is_for(upstream):
                gate.revise(upstream)
            else:
                gate = Gate(name, upstream, self.clock, self.metrics, self.standstill.pauses)
            self.gates[name] = gate


def show_limits(metrics: Metrics, limits: Limits) -> None:
    """Show in the metrics what there may be at most."""
    metrics.limit("accept_rate", None if limits.accept_rate is None else limits.accept_rate.per_second)
    metrics.limit("connections", limits.connections)
    metrics.limit("memory", limits.memory)
    metrics.limit("per_address", limits.per_address)
    metrics.limit("per_principal", limits.per_principal)
    metrics.limit("topics", limits.topics)
    metrics.limit("topics_per_principal", limits.topics_per_principal)
