"""
The public listener: from a request to a topic, and from what it asks for to the transport that answers.

Every refusal, whoever raises it, becomes an answer here, in the form that its client can see.
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from ...channel import Channel
from ...clock import Clock
from ...config.server import Server
from ...errors import MethodNotAllowed, NoSuchTopic, OriginForbidden, Refusal
from ...hub import Hub
from ...identity import cookies_of
from ...naming import RESERVED_QUERY, Router, decode_query, origin_form
from ...negotiation import Ask, check_offered, negotiate
from ...routes import Route
from ...values import ANYBODY, Caller
from ...views import ViewRoute
from ...wishes import Wishes
from . import long_poll, shared_sse, short_poll, sse, websocket
from .door import Door
from .inquiry import LongPolls, Question
from .replies import EXPOSED, EXPOSED_BY_WRITES, READING, Reply, cors_fields, methods_text, preflight, refusal_reply
from .shared import Host
from .sharing import Sharing, endpoint_of, preflight_of, wishes_of
from .writing import Writer, check_origin


class Front:
    """The handler of every public request."""

    def __init__(self, settings: Server, router: Router[Route | ViewRoute], hub: Hub, clock: Clock, door: Door) -> None:
        self._settings = settings
        self._router = router
        self._hub = hub
        self._clock = clock
        self._door = door
        self._polls = LongPolls(hub, door)
        self.writer: Writer | None = None
        self._host = Host(router, hub)
        self._sharing = Sharing(self._host, hub, clock)
        self.server: web.Server | None = None  # who parses the next request of a connection that is given back

    def revise(
        self, settings: Server, router: Router[Route | ViewRoute], entries: Collection[Route | ViewRoute]
    ) -> None:
        """Go by another configuration from now on."""
        self._settings, self._router = settings, router
        self._polls.forget()
        self._host.router = router
        if self.writer is not None:
            self.writer.entries = entries

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, and let go of the connection if the gateway is going away."""
        departures = self._door.departures
        departures.requests += 1
        try:
            response = await self._respond(request)
        finally:
            departures.requests -= 1
        if departures.is_draining:
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        is_reading = request.method in READING
        exposed = EXPOSED if is_reading else EXPOSED_BY_WRITES
        cors = cors_fields(request.headers.get("Origin"), self._settings.cors, exposed=exposed)
        ask: Ask | None = None
        try:
            if (endpoint := endpoint_of(request, self._settings)) is not None:
                if request.method == "OPTIONS":
                    return preflight_of(request, endpoint, self._settings).to_response()
                wishes = await wishes_of(request, endpoint)
                ask = wishes.ask
                return await self._share(request, wishes, cors)
            if request.method == "OPTIONS":
                return self._preflight(request).to_response()
            route, values, query = self._find(request)
            if isinstance(route, Route) and not is_reading:
                reply = await self._write(request, route, values, query)
                return reply.with_fields(cors).to_response()
            controls = {name: query.pop(name) for name in RESERVED_QUERY & query.keys()}
            ask = negotiate(request.headers, controls, modes=route.modes, is_head=request.method == "HEAD")
            check_offered(ask.transport, route.transports)
            self._check_admission(request, ask)
            caller = ANYBODY if route.is_public else _caller(request)
            channel = self._hub.channel(route, route.topic(values, query, caller))
            return await self._answer(request, channel, ask, cors)
        except Refusal as refusal:
            return self._refuse(request, refusal, ask, cors)

    async def _share(self, request: web.BaseRequest, wishes: Wishes, cors: dict[str, str]) -> web.StreamResponse:
        assert self.server is not None, "the gateway sets it before it listens"
        self._check_admission(request, wishes.ask)
        retry = self._door.retry
        return await self._sharing.answer(request, self.server, wishes, _caller(request), fields=cors, retry=retry)

    def _find(self, request: web.BaseRequest) -> tuple[Route | ViewRoute, dict[str, str], dict[str, str]]:
        """Return the route of a request, its path parameters and its query."""
        path, _, query = origin_form(request.raw_path).partition("?")
        route, values = self._match(path)
        writing = _writing(route)
        if request.method not in (*READING, *writing):
            methods = methods_text(writing)
            raise MethodNotAllowed(f"this topic takes {methods}", headers={"Allow": methods})
        return route, values, decode_query(query)

    def _match(self, path: str) -> tuple[Route | ViewRoute, dict[str, str]]:
        base = self._settings.base_path
        if not path.startswith(base + "/"):
            raise NoSuchTopic(f"everything is under {base}/")
        return self._router.resolve(path.removeprefix(base))

    def _preflight(self, request: web.BaseRequest) -> Reply:
        try:
            route, _ = self._match(origin_form(request.raw_path).partition("?")[0])
            writing = _writing(route)
        except NoSuchTopic:  # which the request itself will be told
            writing = ()
        return preflight(request.headers.get("Origin"), self._settings.cors, writing=writing)

    async def _write(
        self, request: web.BaseRequest, route: Route, values: dict[str, str], query: dict[str, str]
    ) -> Reply:
        assert self.writer is not None, "the gateway sets it before it listens"
        check_origin(request, is_allowed=self._is_allowed_origin(request))
        caller = _caller(request)
        return await self.writer.answer(request, route, route.topic(values, query, caller), caller)

    def _check_admission(self, request: web.BaseRequest, ask: Ask) -> None:
        """Refuse what cannot be served now, and a WebSocket that another site's page opens with our cookies."""
        if ask.transport == "websocket" and "Cookie" in request.headers and not self._is_allowed_origin(request):
            raise OriginForbidden("this origin may not open a WebSocket with cookies (server.cors.origins)")
        self._door.admit(request, ask)

    def _is_allowed_origin(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get("Origin")
        own = {f"http://{request.host}", f"https://{request.host}"}
        return origin is None or origin in own or origin in self._settings.cors.origins

    async def _answer(
        self, request: web.BaseRequest, channel: Channel, ask: Ask, cors: dict[str, str]
    ) -> web.StreamResponse:
        hub, clock = self._hub, self._clock
        if refusal := channel.denial():
            raise refusal
        match ask.transport:
            case "websocket":
                return websocket.open_stream(request, hub, channel, ask, clock=clock)
            case "sse":
                retry = self._door.retry
                return sse.open_stream(request, hub, channel, ask, fields=cors, now=clock.wall(), retry=retry)
            case "long_poll":
                assert self.server is not None, "the gateway sets it before it listens"
                question = Question(channel, ask, clock, cors)
                return await long_poll.answer(request, question, hub, self.server, self._polls)
            case "short_poll":
                reply = await short_poll.answer(channel, ask, clock, is_head=request.method == "HEAD")
                return reply.with_fields(cors).to_response()

    def _refuse(
        self, request: web.BaseRequest, refusal: Refusal, ask: Ask | None, cors: dict[str, str]
    ) -> web.StreamResponse:
        if ask is not None:
            self._door.turned_away(ask.transport, refusal)
        is_upgrade = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        if is_upgrade and websocket.is_browser(request) and not isinstance(refusal, OriginForbidden):
            try:
                return websocket.refuse(request, refusal)
            except Refusal as worse:  # not even a handshake
                refusal = worse
        if ask is not None and ask.is_reconnect and refusal.retry_after is not None:
            is_shared = endpoint_of(request, self._settings) is not None
            refuse = shared_sse.refuse_reconnect if is_shared else sse.refuse_reconnect
            reply: Reply = refuse(refusal, ask, at=self._clock.wall(), retry=refusal.retry_after)
        else:
            reply = refusal_reply(refusal)
        return reply.with_fields(cors).to_response()


def _writing(route: Route | ViewRoute) -> tuple[str, ...]:
    """Return the methods that write; a view is written to where its document is."""
    return (*route.writes,) if isinstance(route, Route) else ()


def _caller(request: web.BaseRequest) -> Caller:
    """Return on whose behalf something is asked for."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Caller(None, headers, cookies_of(headers.get("cookie", "")))
