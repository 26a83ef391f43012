"""
The composition root: from a configuration to a running gateway, and back to nothing.

Everything that the other modules take as an argument is made here and introduced to each other. ``Gateway.run`` lasts
until it is told to stop; then no connection is accepted any more, every stream is told when to come back, every parked
long poll is answered, and the process is left as it was found.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import structlog
from aiohttp import web

from .adapters.admin import Admin
from .adapters.downstream.front import Front
from .adapters.downstream.handover import listen
from .adapters.downstream.writing import Writer
from .adapters.upstream.budget import Gate
from .adapters.upstream.fetch import HttpFetch
from .adapters.upstream.formats import decoder_for
from .adapters.upstream.sources import Sources
from .adapters.workshop.process import Workshop
from .budgeting import start_delays
from .clock import Clock
from .config.addresses import Address
from .config.gateway import Gateway as Config
from .hub import WHEEL_TURNS, Hub
from .metrics import Metrics
from .naming import Router
from .poller import Means
from .routes import Route, TopicName
from .store.memory import MemoryStore
from .views import ViewRoute

log = structlog.get_logger()

# An idle keep-alive connection is closed after this; longer than the 60 s that most proxies keep theirs.
KEEP_ALIVE = 75.0

# A request line holds at most a path, a query and a cursor.
MAX_LINE_BYTES = 16 * 1024

# How long the last words to streams may take to be written before the connections are cut.
GRACE = 2.0


class Gateway:
    """One running gateway. ``address`` and ``admin_address`` are (host, port) once ``run`` has bound them."""

    def __init__(self, config: Config, *, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.address: tuple[str, int] | None = None
        self.admin_address: tuple[str, int] | None = None
        self.is_ready = False
        shown = {view.from_ for view in config.views.values()}
        routes = {
            path: Route(path, route, config.upstreams, has_views=path in shown) for path, route in config.routes.items()
        }
        views = [ViewRoute(path, view, routes[view.from_]) for path, view in config.views.items()]
        self._routes = [*routes.values()]
        self._entries: list[Route | ViewRoute] = [*self._routes, *views]
        self._router = Router((entry.template, entry) for entry in self._entries)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; raises what ``serving`` raises."""
        async with self.serving():
            await stop.wait()  # no timeout: a gateway runs until it is told to stop

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        """Serve as long as the context is open; raises OSError if an address cannot be bound."""
        server = self.config.server
        async with AsyncExitStack() as stack:
            public = stack.enter_context(
                closing(listen(server.listen.host, server.listen.port, heartbeat=server.heartbeat))
            )
            private = stack.enter_context(closing(_bind(server.admin.listen)))
            gates = {
                name: Gate(name, upstream, self.clock, self.metrics) for name, upstream in self.config.upstreams.items()
            }
            http = await stack.enter_async_context(
                HttpFetch(self.config.upstreams, self.clock, gates=gates, refreshed=self.metrics.credentials_refreshed)
            )
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            store = MemoryStore(self.clock.token(), limit=server.limits.memory)
            sources = Sources(http, gates, self.clock, tasks)
            workshop = Workshop(tasks)
            means = Means(self.clock, sources, decoder_for, store, tasks, self.metrics, workshop)
            hub = Hub(means, max_topics=server.limits.topics)
            self.metrics.watch_upstreams(gates.values(), hub.polled_upstreams)
            self.metrics.watch_memory(store.usage)
            front = Front(server, self._router, hub, self.clock)
            front.writer = Writer(http, self._entries, hub)
            await self._listen(stack, front, hub, public, private)
            background = tasks.create_task(self._beat(hub), name="heartbeats")
            self._start_standing(hub)
            self.is_ready = True
            try:
                yield self
            finally:
                self.is_ready = False
                front.is_draining = True
                background.cancel()
                await self._say_farewell(hub, front)
                hub.close()
                sources.stop()
                workshop.stop()

    async def _listen(
        self, stack: AsyncExitStack, front: Front, hub: Hub, public: socket.socket, private: socket.socket
    ) -> None:
        front.server = web.Server(
            front,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE,
            max_line_size=MAX_LINE_BYTES,
            handler_cancellation=True,
            tcp_keepalive=False,  # every connection inherits it from the listener
        )
        self.address = await _serve(stack, front.server, public)
        admin = web.Server(Admin(self.metrics, lambda: self.is_ready, hub.topics), access_log=None)
        self.admin_address = await _serve(stack, admin, private)
        log.info("gateway.listening", address=self.address, admin=self.admin_address)

    async def _beat(self, hub: Hub) -> None:
        while True:
            await self.clock.sleep(self.config.server.heartbeat / WHEEL_TURNS)
            hub.turn_wheel()

    def _start_standing(self, hub: Hub) -> None:
        """Begin to poll what is polled by itself: no stampede, but one after the other of each upstream's topics."""
        standing: dict[str, list[tuple[Route, TopicName]]] = {}
        for route in self._routes:
            for name in sorted(route.standing, key=lambda name: name.text):
                standing.setdefault(route.upstream_of(name), []).append((route, name))
        for topics in standing.values():
            delays = start_delays([route.pace for route, _ in topics], chance=self.clock.chance())
            for (route, name), delay in zip(topics, delays, strict=True):
                hub.channel(route, name).feed.start(delay=delay)

    async def _say_farewell(self, hub: Hub, front: Front) -> None:
        """Tell every stream when to come back, each at a moment of its own; cut whoever does not take it in time."""
        hub.finish_waiting()
        for subscriber in hub.everyone():
            subscriber.farewell(retry_after=front.retry)
        deadline = self.clock.now() + GRACE
        while hub.connections and self.clock.now() < deadline:
            await self.clock.sleep(0.02)
        for subscriber in hub.everyone():
            subscriber.abort()


async def _serve(stack: AsyncExitStack, server: web.Server, listener: socket.socket) -> tuple[str, int]:
    runner = web.ServerRunner(server, shutdown_timeout=GRACE)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, backlog=4096).start()
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


def _bind(at: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    return socket.create_server((at.host, at.port), family=family)
