"""
The composition root: from a configuration to a running gateway, and back to nothing.

Everything that the other modules take as an argument is made here and introduced to each other. ``Gateway.run`` lasts
until it is told to stop; then it drains, and the process is left as it was found.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import structlog

from .adapters.admin.health import Health, probes_of
from .adapters.admin.house import House
from .adapters.admin.listener import Admin
from .adapters.admin.lookout import Lookout
from .adapters.authority import Inquiries
from .adapters.downstream.access import AccessLog
from .adapters.downstream.certificates import Certificates
from .adapters.downstream.desk import Desk
from .adapters.downstream.door import Door
from .adapters.downstream.front import Front
from .adapters.downstream.handover import listen
from .adapters.downstream.heads import Server
from .adapters.downstream.listening import serve
from .adapters.downstream.lobby import Lobby
from .adapters.downstream.poking import Poking
from .adapters.downstream.proxying.passage import Passage
from .adapters.downstream.serving import Serving
from .adapters.downstream.sharing import Sharing
from .adapters.downstream.tables import Host
from .adapters.downstream.ticketing import TicketOffice
from .adapters.downstream.tls import Handshakes
from .adapters.downstream.writing import Writer
from .adapters.upstream.budget import Gate
from .adapters.upstream.fetch import HttpFetch
from .adapters.upstream.formats import decoder_for
from .adapters.upstream.sources import Sources
from .adapters.workshop.process import Workshop
from .auth.keeper import Keeper
from .auth.roster import Roster
from .auth.tickets import Tickets
from .changeover import Changeover, show_limits
from .clock import Clock
from .config.addresses import Address
from .config.gateway import Gateway as Config
from .correlation import RequestIds
from .departures import Departures
from .generation import Generation
from .hub import Hub
from .metrics import Metrics
from .pauses import Pauses
from .poller import Means
from .reload import Reloads, Source
from .standstill import Standstill
from .store.memory import MemoryStore
from .succession import Tally, begin, open_standing
from .switchboard import switchboard
from .tracing import NOBODY, Tracer
from .vitals import Vitals

log = structlog.get_logger()

# An idle keep-alive connection is closed after this; longer than the 60 s that most proxies keep theirs.
KEEP_ALIVE = 75.0


class Gateway:
    """
    One running gateway. ``address`` and ``admin_address`` are (host, port) once ``run`` has bound them.

    ``source``: where the configuration was read from, if it can be read again while the gateway runs.
    """

    def __init__(
        self, config: Config, *, clock: Clock | None = None, source: Source | None = None, tracer: Tracer = NOBODY
    ) -> None:
        self._generation = Generation(config)
        self._source = source
        self._tracer = tracer
        self._pauses = Pauses()
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.certificates = Certificates()
        self.metrics.watch_certificates(lambda: self.certificates.expiries)
        self.address: tuple[str, int] | None = None
        self.admin_address: tuple[str, int] | None = None
        self.vitals = Vitals(self.clock, self.metrics.loop_lagged)
        self.departures: Departures | None = None  # while it serves
        self.reloads: Reloads | None = None  # likewise
        self._ages: list[asyncio.Task[None]] = []  # none, if streams may grow as old as they like

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._generation.config

    def ask_reload(self) -> None:
        """Take over soon what the file says; what comes of it, the log tells."""
        if self.reloads is not None:
            self.reloads.ask()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then drain; raises what ``serving`` raises."""
        async with self.serving():
            await stop.wait()  # no timeout: a gateway runs until it is told to stop
            drain = self.config.server.drain
            assert self.departures is not None, "it serves"
            await self.departures.finish(window=drain.window, grace=drain.grace)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        """
        Serve as long as the context is open.

        Raises OSError if an address cannot be bound, and ConfigError if the certificate cannot be used.

        Whoever is still here when it closes is told to leave at once.
        """
        server = self.config.server
        self.certificates.begin(self.config)
        self.vitals.is_configured = True
        async with AsyncExitStack() as stack:
            public, private = (_bind(stack, at, server.heartbeat) for at in (server.listen, server.admin.listen))
            gates, http = await self._reach_upstreams(stack)
            inquiries = await stack.enter_async_context(Inquiries(self.clock))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            hub, store = self._open_hub(stack, tasks, gates, http)
            roster = Roster(inquiries, self.clock, self.metrics, tasks)
            stack.callback(roster.stop)
            keeper = Keeper(roster.call(self.config.auth), self.clock, self.metrics)
            door, departures = self._open_door(hub, tasks)
            front = self._open_front(hub, tasks, http, keeper, door)
            parts = Changeover(
                *(gates, http, store, hub, roster, keeper, door, front, public, self.certificates),
                *(Standstill(self._pauses, hub, gates, http, self._generation, self.clock), self.metrics, self.clock),
            )
            reloads = self._prepare_reloads(parts, departures, tasks)
            admin = self._admin(stack, tasks, parts, departures, reloads)
            await self._listen(stack, tasks, front, public, admin, private)
            background = [
                tasks.create_task(self.vitals.watch_loop(), name="loop watch"),
                tasks.create_task(self._beat(hub), name="heartbeats"),
                tasks.create_task(reloads.obey(), name="reloads"),
                tasks.create_task(reloads.watch(), name="file watch"),
            ]
            self.vitals.rely_on(*background)
            self._watch_ages(departures, tasks)
            begin(open_standing(hub, self._generation), chance=self.clock.chance())
            try:
                yield self
            finally:
                self.vitals.is_ending = True
                reloads.end()
                for task in [*background, *self._ages]:
                    task.cancel()
                await departures.close()

    def _open_hub(
        self, stack: AsyncExitStack, tasks: asyncio.TaskGroup, gates: dict[str, Gate], http: HttpFetch
    ) -> tuple[Hub, MemoryStore]:
        """Return the publishing half and what it keeps; it ends with the stack."""
        server = self.config.server
        store = MemoryStore(self.clock.token(), limit=server.limits.memory)
        self.vitals.is_store_reached = True
        sources = Sources(http, gates, self.clock, tasks)
        workshop = Workshop(tasks)
        means = Means(
            self.clock, sources, decoder_for, store, tasks, self.metrics, workshop, self._pauses, self._tracer
        )
        hub = Hub(means, max_topics=server.limits.topics, heartbeat=server.heartbeat)
        self.metrics.watch_upstreams(gates.values(), hub.polled_upstreams)
        self.metrics.watch_memory(store.usage)
        for stop in (workshop.stop, sources.stop, hub.close):
            stack.callback(stop)  # once no request is under way any more: a write that is cut off still polls
        return hub, store

    def _open_front(self, hub: Hub, tasks: asyncio.TaskGroup, http: HttpFetch, keeper: Keeper, door: Door) -> Front:
        """Return the handler of public requests, and all that it needs."""
        config, entries, clock = self.config, self._generation.entries.values(), self.clock
        host = Host(self._generation.router, hub, keeper)
        desk = Desk(tasks, keeper, door, host, Writer(http, entries, hub), RequestIds(clock.token()))
        lobby = Lobby(config.server, entries, keeper)
        tickets = TicketOffice(Tickets(clock), lobby, host, config.server, config.auth)
        serving = Serving(hub, clock, door, lobby, desk, tickets)
        poking = Poking(hub, config.server, entries)
        passage = Passage(http, hub, lobby, self.metrics)
        sharing = Sharing(hub, clock, desk)
        access = AccessLog(hub, lobby, clock.now)
        parts = (desk, lobby, serving, sharing, tickets, poking, passage)
        front = Front(config.server, clock, *parts, self.metrics, access)
        front.revise(self._generation)
        return front

    async def _reach_upstreams(self, stack: AsyncExitStack) -> tuple[dict[str, Gate], HttpFetch]:
        """Return what it takes to ask the upstreams, for as long as the stack lasts."""
        upstreams, metrics = self.config.upstreams, self.metrics
        gates = {name: Gate(name, upstream, self.clock, metrics, self._pauses) for name, upstream in upstreams.items()}
        http = HttpFetch(upstreams, self.clock, gates=gates, refreshed=metrics.credentials_refreshed)
        return gates, await stack.enter_async_context(http)

    async def _listen(
        self,
        stack: AsyncExitStack,
        tasks: asyncio.TaskGroup,
        front: Front,
        public: socket.socket,
        admin: Admin,
        private: socket.socket,
    ) -> None:
        server = Server(
            front,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE,
            auto_decompress=False,  # what is passed on is passed on as it came
            tcp_keepalive=False,  # every connection inherits it from the listener
        )
        front.serve_on(server)
        is_secure = self.certificates.context is not None
        handshakes = Handshakes(server, self.certificates, tasks) if is_secure else None
        self.address = await serve(stack, server, public, handshakes)
        # What is ordered is done, whoever has left meanwhile.
        operating = Server(admin, access_log=None, handler_cancellation=False, is_guarded=True)
        self.admin_address = await serve(stack, operating, private)
        self.vitals.is_listening = True
        log.info("gateway.listening", address=self.address, admin=self.admin_address)

    def _admin(
        self,
        stack: AsyncExitStack,
        tasks: asyncio.TaskGroup,
        parts: Changeover,
        departures: Departures,
        reloads: Reloads,
    ) -> Admin:
        """Return the handler of what operators ask; the dashboard ends with the stack."""
        resolve, standstill = parts.front.resolve, parts.standstill
        switches = switchboard(lambda: self._generation, parts.hub, resolve, standstill, departures, reloads)
        house = House(lambda: self._generation, parts, departures, reloads)
        lookout = Lookout(house, parts.front, tasks)
        stack.push_async_callback(lookout.close)
        health = Health(probes_of(self.vitals, departures))
        return Admin(self.metrics, health, {**switches, **lookout.switches})

    async def _beat(self, hub: Hub) -> None:
        due = self.clock.now()
        while True:
            now = self.clock.now()
            due = max(due + hub.wheel.tick, now)  # by the clock, however long a turn takes
            await self.clock.sleep(due - now)
            self.vitals.feel("heartbeats")
            for _ in hub.turn_wheel():
                await self.clock.sleep(0)

    def _watch_ages(self, departures: Departures, tasks: asyncio.TaskGroup) -> None:
        """Have streams leave at their age, if the configuration in force gives them one."""
        while self._ages:
            self._ages.pop().cancel()
        limit = self.config.server.max_connection_age
        if limit is not None:
            self._ages.append(tasks.create_task(departures.watch_ages(limit), name="ages"))

    def _prepare_reloads(self, changeover: Changeover, departures: Departures, tasks: asyncio.TaskGroup) -> Reloads:
        def take_over(generation: Generation) -> Tally:
            before, self._generation = self.config, generation
            if before.server.max_connection_age != self.config.server.max_connection_age:
                self._watch_ages(departures, tasks)
            return changeover.take_over(generation)

        self.reloads = Reloads(
            self._source,
            self._generation,
            check=changeover.check,
            take_over=take_over,
            tidy=changeover.http.close_retired,
            metrics=self.metrics,
            clock=self.clock,
        )
        return self.reloads

    def _open_door(self, hub: Hub, tasks: asyncio.TaskGroup) -> tuple[Door, Departures]:
        """Return who lets clients in, and who sees them off; each has to know the other."""
        limits, metrics = self.config.server.limits, self.metrics
        door = Door(hub, self.clock, metrics, limits)
        departures = Departures(hub, self.clock, tasks, retry=lambda: door.retry)
        door.departures = self.departures = departures
        hub.topic_ration.most = limits.topics_per_principal
        show_limits(metrics, limits)
        metrics.watch_draining(lambda: departures.is_draining)
        return door, departures


def _bind(stack: AsyncExitStack, at: Address, heartbeat: float) -> socket.socket:
    return stack.enter_context(closing(listen(at.host, at.port, heartbeat=heartbeat)))
