"""
Views: what 700 of them, each followed by somebody, add to a change of the document that they are parts of.

To the same change without a view: decode, diff, proof, and one client of the whole document. Everything runs in this
process, without sockets, so that nothing but the work itself is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from statistics import median
from time import process_time
from typing import Any, ClassVar

import structlog
from msgspec.json import encode

from pushgate.adapters.upstream.formats import decoder_for
from pushgate.answers import Answer
from pushgate.channel import Channel
from pushgate.clock import Clock
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.routes import View
from pushgate.config.upstreams import Upstream
from pushgate.happenings import Poked
from pushgate.hub import Hub
from pushgate.metrics import Metrics
from pushgate.poller import Means
from pushgate.routes import Route, TopicName
from pushgate.store.memory import MemoryStore
from pushgate.subscriber import Subscriber
from pushgate.values import Json, Transport, UpstreamRequest, Validators
from pushgate.views import ViewRoute
from pushgate.wire import websocket_frame

from .table import Figure, Finding

MAX_TIMES_ALONE = 2.0

VIEWS, ROWS, EDITS, CHANGES = 700, 5_000, 50, 30
UPSTREAMS = {"u": Upstream.model_validate({"url": "http://u.example"})}
ROUTE = {"upstream": "u", "key": "id", "poll": {"every": "1h"}}

# How the views find their part; all show the same rows.
KINDS: dict[str, dict[str, Any]] = {"item": {"item": "r{n}"}, "pointer": {"pointer": "/{n}"}}


def _forget(data: bytes) -> None:
    """Where events go that nobody reads."""


class Listener(Subscriber):
    """A client that costs nothing."""

    transport_name: ClassVar[Transport] = "websocket"
    __slots__ = ()

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, mode="patch", form=websocket_frame, send=_forget)
        channel.join(self, None, opening=b"")


def measure() -> Iterator[Finding]:
    structlog.configure(processors=[], wrapper_class=structlog.make_filtering_bound_logger(50))
    alone = asyncio.run(_change(None))
    for kind, part in KINDS.items():
        seconds = asyncio.run(_change(part))
        note = f"{seconds * 1e3:.1f} ms to {alone * 1e3:.1f} ms; {EDITS} of {ROWS} rows change"
        yield Figure("views", f"{VIEWS} views by {kind}, to none", seconds / alone, "x", MAX_TIMES_ALONE, note)


async def _change(part: dict[str, Any] | None) -> float:
    """Return the CPU seconds that a change takes from the answer to the last client."""
    bodies = [encode(_rows(step)) for step in range(CHANGES + 1)]
    polls = iter(bodies)

    async def fetch(route: Route, name: TopicName, request: UpstreamRequest, validators: Validators) -> Answer:
        return Answer(200, "application/json", next(polls), Validators(), 1e9)

    async with asyncio.TaskGroup() as tasks:
        means = Means(Clock(), fetch, decoder_for, MemoryStore("E"), tasks, Metrics())
        hub = Hub(means, max_topics=2 * VIEWS, heartbeat=15.0)
        route = Route("/rows", RouteConfig.model_validate(ROUTE), UPSTREAMS)
        parent = hub.channel(route, route.topic({}, {}))
        Listener(parent)
        if part is not None:
            view = ViewRoute("/rows/{n}", View.model_validate({"from": "/rows", **part}), route)
            for n in range(VIEWS):
                Listener(hub.channel(view, view.topic({"n": str(n * ROWS // VIEWS)}, {})))
        times = [await _timed(parent.settlement, lambda: parent.feed.tell(Poked())) for _ in bodies[1:]]
        hub.close()
    return median(times[3:])


async def _timed(settlement: Callable[[], asyncio.Future[None]], poke: Callable[[], None]) -> float:
    settled = settlement()
    begin = process_time()
    poke()
    await settled
    return process_time() - begin


def _rows(step: int) -> list[Json]:
    rows: list[Json] = [
        {"id": f"r{n}", "name": f"Quai {n}", "bikes": {"free": 0, "ebikes": n % 5}, "at": {"lat": 48.8, "lon": 2.3}}
        for n in range(ROWS)
    ]
    for n in range(0, ROWS, ROWS // EDITS):
        rows[n] = {**_row(n), "bikes": {"free": step, "ebikes": 0}}
    return rows


def _row(n: int) -> dict[str, Json]:
    return {"id": f"r{n}", "name": f"Quai {n}", "at": {"lat": 48.8, "lon": 2.3}}
