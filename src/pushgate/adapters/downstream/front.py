"""
The public listener: from a request to a topic, and from what it asks for to the transport that answers.

Every refusal, whoever raises it, becomes an answer here, in the form that its client can see.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from ...auth.permission import route_of
from ...clock import Clock
from ...config.server import Server as Settings
from ...correlation import REQUEST_ID
from ...errors import MethodNotAllowed, NoSuchTopic, OriginForbidden, Refusal, Reloaded
from ...generation import Generation
from ...metrics import Metrics
from ...naming import RESERVED_QUERY, decode_query, origin_form
from ...negotiation import Ask, check_offered, negotiate
from ...routes import Route
from ...views import ViewRoute
from ...wishes import Wishes
from . import shared_sse, sse
from .access import AccessLog
from .desk import Desk
from .handover import TakenOver, server_of
from .heads import Server
from .lobby import Lobby
from .poking import Poking
from .proxying.download import Passed
from .proxying.passage import Passage
from .proxying.ways import Way
from .replies import EXPOSED, EXPOSED_BY_WRITES, READING, Reply, cors_fields, methods_text, preflight, refusal_reply
from .serving import Serving, Target
from .sharing import ENDPOINTS, Sharing, preflight_of, wishes_of
from .ticketing import TicketOffice, wants_of
from .trails import id_of, identify
from .upgrade import is_browser, refuse


class Front:
    """The handler of every public request."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        desk: Desk,
        lobby: Lobby,
        serving: Serving,
        sharing: Sharing,
        tickets: TicketOffice,
        poking: Poking,
        passage: Passage,
        metrics: Metrics,
        access: AccessLog,
    ) -> None:
        self._settings = settings
        self._below = f"{settings.base_path}{settings.prefix}"  # where pushgate's own addresses are
        self._clock = clock
        self._desk = desk
        self._door = desk.door
        self._lobby = lobby
        self._serving = serving
        self._sharing = sharing
        self._tickets = tickets
        self._poking = poking
        self._passage = passage  # for what no route is there for
        self._metrics = metrics
        self.access = access

    def revise(self, generation: Generation) -> None:
        """Go by another configuration from now on."""
        config, entries = generation.config, generation.entries.values()
        self._settings = config.server
        self._below = f"{config.server.base_path}{config.server.prefix}"
        self._metrics.open_ledgers(generation.entries)
        self._lobby.revise(config.server, entries)
        self._serving.polls.forget()
        self.access.is_on = self._serving.polls.are_all_read = config.server.access_log
        self._desk.host.router = generation.router
        self._desk.writer.entries = entries
        self._tickets.revise(config.server, config.auth)
        self._poking.revise(config.server, entries)
        self._passage.revise(config, entries)

    def resolve(self, topic: str) -> Target:
        """Return where a topic leads that is named as on shared connections; raises Refusal."""
        return self._desk.host.resolve(topic)

    def serve_on(self, server: Server) -> None:
        """Have the requests that this one reads get ids of ours."""
        server.ids = self._desk.ids

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, and let go of the connection if the gateway is going away."""
        departures = self._door.departures
        departures.requests += 1
        request_id = identify(request, self._desk.ids)
        record = self.access.begin(request) if self.access.is_on else None
        try:
            response = await self._respond(request, request_id)
        finally:
            departures.requests -= 1
            self._door.settle(request)
        if departures.is_draining:
            response.force_close()
        if not isinstance(response, TakenOver | Passed):  # which have been written
            response.headers[REQUEST_ID] = request_id
        if record is not None:
            self.access.settle(request, record, response)
        return response

    async def _respond(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        exposed = EXPOSED if request.method in READING else EXPOSED_BY_WRITES
        cors = cors_fields(request.headers.get("Origin"), self._settings.cors, exposed=exposed)
        cors[REQUEST_ID] = request_id
        path, _, query = origin_form(request.raw_path).partition("?")
        try:
            own = self._own_of(path)
            if own is not None and (answer := await self._answer_own(request, own, cors)) is not None:
                return answer
            try:
                found = self._match(path)
            except NoSuchTopic as unknown:
                return await self._pass_on(request, unknown)
            return await self._answer_topic(request, found, query, cors)
        except Refusal as refusal:
            return self._refuse(request, refusal, None, cors)

    def _own_of(self, path: str) -> str | None:
        """Return what a path is called below pushgate's own prefix; None if it is not there."""
        return path.removeprefix(self._below) if path.startswith(self._below) else None

    async def _answer_own(self, request: web.BaseRequest, own: str, cors: dict[str, str]) -> web.StreamResponse | None:
        """Answer at an address of pushgate's own; None if there is no such thing."""
        if own == "tickets":
            return (await self._tickets.answer(request)).with_fields(cors).to_response()
        if own == "poke":
            return (await self._poking.answer(request)).to_response()
        endpoint = ENDPOINTS.get(own)
        if endpoint is None:
            return None
        if request.method == "OPTIONS":
            return preflight_of(request, endpoint, self._settings).to_response()
        ask = None
        try:
            wishes = await wishes_of(request, endpoint)
            ask = wishes.ask
            answer = await self._share(request, wishes, cors)
        except Refusal as refusal:
            answer = self._refuse(request, refusal, ask, cors)
        return self._counted(request, answer, "", endpoint.transport)

    async def _answer_topic(
        self,
        request: web.BaseRequest,
        found: tuple[Route | ViewRoute, dict[str, str]],
        raw_query: str,
        cors: dict[str, str],
    ) -> web.StreamResponse:
        """Answer at the address of a topic; ``found``: its route, and the parameters of its path."""
        route, values = found
        writing, method = _writing(route), request.method
        if method == "OPTIONS":
            return preflight(request.headers.get("Origin"), self._settings.cors, writing=writing).to_response()
        ask, is_writing = None, isinstance(route, Route) and method in writing
        try:
            if method not in READING and not is_writing:
                methods = methods_text(writing)
                raise MethodNotAllowed(f"this topic takes {methods}", headers={"Allow": methods})
            query = decode_query(raw_query)
            if is_writing:
                answer: web.StreamResponse = await self._write(request, (route, values, query), cors)
            else:
                controls = {name: query.pop(name) for name in RESERVED_QUERY & query.keys()}
                ask = negotiate(request.headers, controls, modes=route.modes, is_head=method == "HEAD")
                answer = await self._serve(request, (route, values, query), controls, ask, cors)
        except Refusal as refusal:
            answer = self._refuse(request, refusal, ask, cors)
        transport = "write" if is_writing else "short_poll" if ask is None else ask.transport
        return self._counted(request, answer, route.name, transport)

    async def _write(self, request: web.BaseRequest, target: Target, cors: dict[str, str]) -> web.StreamResponse:
        route, values, query = target
        assert isinstance(route, Route), "a view is written to where its document is"
        return (await self._serving.write(request, route, values, query)).with_fields(cors).to_response()

    def _counted(
        self, request: web.BaseRequest, answer: web.StreamResponse, route: str, transport: str
    ) -> web.StreamResponse:
        """Count an answer, unless it is still to come; whoever gives it then will."""
        code = answer.code if isinstance(answer, TakenOver) else answer.status
        if code is not None:
            self._metrics.answered(route, transport, code)
        if self.access.is_on:
            self.access.note(request, transport=transport, **({"route": route} if route else {}))
        return answer

    async def _serve(
        self, request: web.BaseRequest, target: Target, controls: dict[str, str], ask: Ask, cors: dict[str, str]
    ) -> web.StreamResponse:
        route, _, _ = target
        if ask.transport == "short_poll" and self._has_way_beyond(request, route):
            return await self._pass_beyond(request, target, controls)
        check_offered(ask.transport, route.transports)
        self._check_admission(request, ask)
        return await self._serving.answer(request, target, controls, ask, cors)

    async def _share(self, request: web.BaseRequest, wishes: Wishes, cors: dict[str, str]) -> web.StreamResponse:
        self._check_admission(request, wishes.ask)
        host = self._desk.host
        # On a WebSocket other topics may be asked for later, and nothing but what was shown now tells whether they may.
        entries = self._lobby.entries if wishes.ask.transport == "websocket" else host.entries(wishes)
        wants = partial(wants_of, host, wishes)
        visitor = await self._serving.receive(request, entries, wishes.controls, wants, cors)
        self._door.charge(request, visitor.principals.values())
        retry = self._door.retry
        return await self._sharing.answer(request, server_of(request), wishes, visitor, fields=cors, retry=retry)

    async def _pass_on(self, request: web.BaseRequest, unknown: NoSuchTopic) -> web.StreamResponse:
        """Answer a request that no route is there for as the backend does; raises ``unknown`` if that is not asked."""
        find = partial(self._passage.find, request.raw_path)
        way = find()
        if way is not None and (request.method != "OPTIONS" or "OPTIONS" in way.config.methods):
            self.access.note(request, transport="proxy", upstream=way.config.upstream)
            return await self._passage.answer(request, way, find)
        if request.method == "OPTIONS":
            return preflight(request.headers.get("Origin"), self._settings.cors, writing=()).to_response()
        raise unknown

    def _has_way_beyond(self, request: web.BaseRequest, route: Route | ViewRoute) -> bool:
        """Whether a plain GET of a topic goes on to the backend because the route has no answer to it."""
        return (
            "short_poll" not in route.transports and self._passage.find(request.raw_path, route=route.name) is not None
        )

    async def _pass_beyond(
        self, request: web.BaseRequest, target: Target, controls: dict[str, str]
    ) -> web.StreamResponse:
        """Pass it on once the route's own rules have let it through; what else its query says is for the backend."""
        route, values, query = target
        rules = route_of(route).config.query
        listed = {name: value for name, value in query.items() if name in rules}
        admit = await self._serving.admission(request, (route, values, listed), controls)

        def find() -> Way | None:
            admit()
            way = self._passage.find(request.raw_path, route=route.name)
            return way if way is None or route.is_open else way.for_topics()

        if (way := find()) is None:
            raise Reloaded("there is no way to the backend any more", retry_after=1.0)
        return await self._passage.answer(request, way, find)

    def _match(self, path: str) -> tuple[Route | ViewRoute, dict[str, str]]:
        base = self._settings.base_path
        if not path.startswith(base + "/"):
            raise NoSuchTopic(f"everything is under {base}/")
        return self._desk.host.router.resolve(path.removeprefix(base))

    def _check_admission(self, request: web.BaseRequest, ask: Ask) -> None:
        """Refuse what cannot be served now, and a WebSocket that another site's page opens with our cookies."""
        if ask.transport == "websocket" and "Cookie" in request.headers and not self._lobby.is_allowed_origin(request):
            raise OriginForbidden("this origin may not open a WebSocket with cookies (server.cors.origins)")
        self._door.admit(request, ask, self._lobby)

    def _refuse(
        self, request: web.BaseRequest, refusal: Refusal, ask: Ask | None, cors: dict[str, str]
    ) -> web.StreamResponse:
        if ask is not None:
            self._door.turned_away(request, ask.transport, refusal)
        is_upgrade = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        if is_upgrade and is_browser(request) and not isinstance(refusal, OriginForbidden):
            try:
                return refuse(request, refusal)
            except Refusal as worse:  # not even a handshake
                refusal = worse
        if ask is not None and ask.is_reconnect and refusal.retry_after is not None:
            is_shared = self._own_of(origin_form(request.raw_path).partition("?")[0]) is not None
            refuse_reconnect = shared_sse.refuse_reconnect if is_shared else sse.refuse_reconnect
            reply: Reply = refuse_reconnect(refusal, ask, at=self._clock.wall(), retry=refusal.retry_after)
        else:
            reply = refusal_reply(refusal, request_id=id_of(request))
        return reply.with_fields(cors).to_response()


def _writing(route: Route | ViewRoute) -> tuple[str, ...]:
    """Return the methods that write; a view is written to where its document is."""
    return (*route.writes,) if isinstance(route, Route) else ()
