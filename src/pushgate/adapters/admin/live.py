"""
What the dashboard follows: documents about the gateway itself, published as any backend's are.

Rule 1: this is pushgate in front of pushgate. The upstream is this process, asked by a call; all that follows (the
difference, the history, cursors, heartbeats, one poll for all who look) is what every client gets.
Rule 2: nothing is polled while nobody looks, and nothing of it is counted among the gateway's own numbers; the
log tells of it only what goes wrong.
Rule 3: everybody who asks is looked at each time, and only who may be told about topics is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from aiohttp import web

from ...answers import NO_VALIDATORS, Answer
from ...channel import Channel
from ...clock import Clock
from ...config.gateway import Gateway as Config
from ...config.server import Limits
from ...correlation import RequestIds
from ...departures import Departures
from ...documents.changes import encode
from ...errors import BadRequest, MethodNotAllowed, Overloaded
from ...hub import Hub
from ...metrics import Metrics
from ...naming import RESERVED_QUERY, Router, decode_query, origin_form
from ...negotiation import Ask, check_offered, negotiate
from ...poller import Means
from ...routes import Route, TopicName
from ...store.memory import MemoryStore
from ...values import UpstreamRequest, Validators
from ..downstream import long_poll, sse
from ..downstream.door import Door
from ..downstream.inquiry import LongPolls, Question
from ..downstream.short_poll import document_reply, settle
from ..downstream.trails import identify
from ..upstream.formats import decoder_for
from .operators import Operators

BELOW: Final = "/-/live/"

# What the dashboard follows, and how; a tab that is reloaded is back within the linger.
_POLL: Final = {"every": "1s", "jitter": "0%", "linger": "3s", "respect_cache": False}
_ROUTE: Final[dict[str, Any]] = {
    "upstream": "gateway",
    "poll": _POLL,
    "guards": {"empty": "accept", "type": "accept"},
    "transports": ["short_poll", "long_poll", "sse"],
    "history": {"events": 120, "bytes": "2MB", "age": "2m"},
}
_CONFIG: Final[dict[str, Any]] = {
    "version": 1,
    "upstreams": {"gateway": {"url": "http://localhost"}},
    "routes": {
        f"{BELOW}overview": {**_ROUTE, "emit": ["merge", "snapshot"]},
        f"{BELOW}route": {
            **_ROUTE,
            "query": {"route": ".{1,500}", "look": ".{1,4000}"},
            "emit": ["patch", "snapshot"],
            "key": {"/topics": "topic", "/shown/changes": "number"},
        },
    },
}

# Streams of the dashboard, of all who look, and what they look at; a page has two.
MOST_STREAMS: Final = 200
MOST_TOPICS: Final = 200
HEARTBEAT: Final = 5.0

# How long the first document may take, in seconds: it is asked of this process.
PATIENCE: Final = 5.0

# Says what there is to say about the parameters of a topic; None: there is no such thing.
Teller: TypeAlias = Callable[[Mapping[str, str]], "dict[str, Any] | None"]


class _Itself:
    """The upstream: ``tellers`` by route."""

    def __init__(self, tellers: Mapping[str, Teller], clock: Clock) -> None:
        self._tellers = tellers
        self._clock = clock

    async def __call__(self, route: Route, name: TopicName, request: UpstreamRequest, validators: Validators) -> Answer:
        told = self._tellers[route.name](name.values)
        status, body = (404, b"") if told is None else (200, encode(told))
        return Answer(status, "application/json", body, NO_VALIDATORS, at=self._clock.wall())


class Live:
    """Answers below ``/-/live/``. ``tellers``: what is told there, by the rest of the path."""

    def __init__(
        self, tellers: Mapping[str, Teller], operators: Operators, clock: Clock, tasks: asyncio.TaskGroup
    ) -> None:
        config, metrics = Config.model_validate(_CONFIG), Metrics()
        fetch = _Itself({f"{BELOW}{name}": teller for name, teller in tellers.items()}, clock)
        means = Means(clock, fetch, decoder_for, MemoryStore(clock.token()), tasks, metrics, are_turns_told=False)
        self.hub = Hub(means, max_topics=MOST_TOPICS, heartbeat=HEARTBEAT)
        self._router = Router((route.template, route) for route in _routes(config))
        self._operators = operators
        self._clock = clock
        self._ids = RequestIds("-")  # which nobody is told
        self._door = Door(self.hub, clock, metrics, Limits())
        self._departures = Departures(self.hub, clock, tasks, retry=lambda: 1.0)
        self._door.departures = self._departures
        self._polls = LongPolls(self.hub, self._door, self._ids)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer by the transport that is asked for; raises Refusal."""
        self._operators.check_reader(request)
        identify(request, self._ids)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("this can only be read", headers={"Allow": "GET, HEAD"})
        path, _, query = origin_form(request.raw_path).partition("?")
        route, values = self._router.resolve(path)
        rest = decode_query(query)
        controls = {name: rest.pop(name) for name in RESERVED_QUERY & rest.keys()}
        ask = negotiate(request.headers, controls, modes=route.modes, is_head=request.method == "HEAD")
        check_offered(ask.transport, route.transports)
        if ask.transport != "short_poll" and self.hub.connections >= MOST_STREAMS:
            raise Overloaded(f"{MOST_STREAMS} streams look already", retry_after=10.0)
        return await self._serve(request, self.hub.channel(route, route.topic(values, rest)), ask)

    async def _serve(self, request: web.BaseRequest, channel: Channel, ask: Ask) -> web.StreamResponse:
        hub, clock = self.hub, self._clock
        match ask.transport:
            case "sse":
                stream = sse.EventStream(hub, channel, ask)
                return sse.open_stream(request, stream, channel, ask, fields={}, now=clock.wall(), retry=1.0)
            case "long_poll":
                await settle(channel, timeout=PATIENCE)
                return long_poll.answer(request, Question(channel, ask, clock, {}), hub, self._polls)
            case "short_poll":
                await settle(channel, timeout=PATIENCE)
                is_head = request.method == "HEAD"
                return document_reply(channel, ask, now=clock.wall(), is_head=is_head).to_response()
            case "websocket":
                raise BadRequest("this is followed by SSE or long poll")

    def send_away(self) -> None:
        """End all streams: who may look may be somebody else now, and has to ask again."""
        for stream in self.hub.everyone():
            stream.farewell(retry_after=1.0)
        self.hub.finish_waiting()

    async def beat(self) -> None:
        """Give signs of life for as long as the gateway runs."""
        while True:
            await self._clock.sleep(self.hub.wheel.tick)
            for _ in self.hub.turn_wheel():
                await self._clock.sleep(0)

    async def close(self) -> None:
        """Let everybody go, without waiting for anybody, and end all polling."""
        self._departures.is_final = True
        await self._departures.close()
        self.hub.close()


def _routes(config: Config) -> Iterator[Route]:
    for path, section in config.routes.items():
        yield Route(path, section, config.upstreams)
