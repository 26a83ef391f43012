"""
The public listener: from a request to a topic, and from what it asks for to the transport that answers.

Every refusal, whoever raises it, becomes an answer here, in the form that its client can see.
"""

from __future__ import annotations

from aiohttp import web

from ...channel import Channel
from ...clock import Clock
from ...config.server import Server
from ...errors import Draining, MethodNotAllowed, NoSuchTopic, OriginForbidden, Overloaded, Refusal
from ...hub import Hub
from ...naming import RESERVED_QUERY, Router, decode_path, decode_query, origin_form
from ...negotiation import Ask, check_offered, negotiate
from ...routes import Route
from . import long_poll, short_poll, sse, websocket
from .replies import METHODS, Reply, cors_fields, preflight, refusal_reply

# Within this time an EventSource reconnects, each after a moment of its own, so that a restart is no stampede.
MIN_RETRY, MAX_RETRY = 1.0, 4.0


class Front:
    """The handler of every public request."""

    def __init__(self, settings: Server, router: Router[Route], hub: Hub, clock: Clock) -> None:
        self._settings = settings
        self._router = router
        self._hub = hub
        self._clock = clock
        self.server: web.Server | None = None  # who parses the next request of a connection that is given back
        self.is_draining = False

    @property
    def retry(self) -> float:
        """When this client shall come back, in seconds; every one is told something else."""
        return MIN_RETRY + (MAX_RETRY - MIN_RETRY) * self._clock.chance()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        cors = cors_fields(request.headers.get("Origin"), self._settings.cors)
        ask: Ask | None = None
        try:
            if request.method == "OPTIONS":
                return preflight(request.headers.get("Origin"), self._settings.cors).to_response()
            route, values, query = self._find(request)
            controls = {name: query.pop(name) for name in RESERVED_QUERY & query.keys()}
            ask = negotiate(request.headers, controls, modes=route.modes, is_head=request.method == "HEAD")
            check_offered(ask.transport, route.transports)
            self._check_admission(request, ask)
            channel = self._hub.channel(route, route.topic(values, query))
            return await self._answer(request, channel, ask, cors)
        except Refusal as refusal:
            return self._refuse(request, refusal, ask, cors)

    def _find(self, request: web.BaseRequest) -> tuple[Route, dict[str, str], dict[str, str]]:
        """Return the route of a request, its path parameters and its query."""
        path, _, query = origin_form(request.raw_path).partition("?")
        base = self._settings.base_path
        if not path.startswith(base + "/"):
            raise NoSuchTopic(f"everything is under {base}/")
        found = self._router.find(decode_path(path.removeprefix(base)))
        if found is None:
            raise NoSuchTopic("no route fits this path")
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"topics are read with {METHODS}", headers={"Allow": METHODS})
        return *found, decode_query(query)

    def _check_admission(self, request: web.BaseRequest, ask: Ask) -> None:
        """Refuse what cannot be served now, and a WebSocket that another site's page opens with our cookies."""
        if self.is_draining:
            raise Draining("the gateway is going away", retry_after=self.retry)
        is_lasting = ask.transport != "short_poll"
        if is_lasting and self._hub.connections >= self._settings.limits.connections:
            raise Overloaded("there are as many connections as may be (server.limits.connections)", retry_after=5.0)
        if ask.transport == "websocket" and "Cookie" in request.headers and not self._is_allowed_origin(request):
            raise OriginForbidden("this origin may not open a WebSocket with cookies (server.cors.origins)")

    def _is_allowed_origin(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get("Origin")
        own = {f"http://{request.host}", f"https://{request.host}"}
        return origin is None or origin in own or origin in self._settings.cors.origins

    async def _answer(
        self, request: web.BaseRequest, channel: Channel, ask: Ask, cors: dict[str, str]
    ) -> web.StreamResponse:
        hub, clock = self._hub, self._clock
        match ask.transport:
            case "websocket":
                return websocket.open_stream(request, hub, channel, ask, clock=clock)
            case "sse":
                return sse.open_stream(request, hub, channel, ask, fields=cors, now=clock.wall(), retry=self.retry)
            case "long_poll":
                assert self.server is not None, "the gateway sets it before it listens"
                return await long_poll.answer(request, long_poll.Question(channel, ask, clock, cors), hub, self.server)
            case "short_poll":
                reply = await short_poll.answer(channel, ask, clock, is_head=request.method == "HEAD")
                return reply.with_fields(cors).to_response()

    def _refuse(
        self, request: web.BaseRequest, refusal: Refusal, ask: Ask | None, cors: dict[str, str]
    ) -> web.StreamResponse:
        is_upgrade = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        if is_upgrade and websocket.is_browser(request) and not isinstance(refusal, OriginForbidden):
            try:
                return websocket.refuse(request, refusal)
            except Refusal as worse:  # not even a handshake
                refusal = worse
        if ask is not None and ask.is_reconnect and refusal.retry_after is not None:
            reply: Reply = sse.refuse_reconnect(refusal, ask, at=self._clock.wall(), retry=refusal.retry_after)
        else:
            reply = refusal_reply(refusal)
        return reply.with_fields(cors).to_response()
