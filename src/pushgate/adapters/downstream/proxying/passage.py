"""
What no route is there for, and ``proxy:`` is: which entry a request belongs to, and who may use it.

Rule 1: nothing is sent before everything that can be wrong with a request is known.
Rule 2: with ``credentials: client`` an exchange is the client's own affair, as it was before there was a gateway: it
takes no turn of the upstream's budget. With ``credentials: upstream`` it is pushgate that asks, in its turn, and no
cookie goes either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias
from urllib.parse import parse_qsl

from aiohttp import web

from ....config.gateway import Gateway
from ....errors import BadRequest, MethodNotAllowed, OriginForbidden, PollError, Refusal, Reloaded
from ....forwarding import Arrival, Fields, check_framing, other_methods, request_fields, upgrade_of
from ....hub import Hub
from ....identity import claims_of
from ....metrics import Metrics
from ....naming import origin_form
from ....places import query_without
from ....readings import Territory
from ....routes import Route
from ....values import Principal, UpstreamRequest
from ....views import ViewRoute
from ...upstream.fetch import HttpFetch
from ..aftermath import poke
from ..lobby import Lobby
from ..trails import trail_of
from ..writing import check_origin, failure_of
from .passing import Passing
from .ways import Way, ways_of

# What changes nothing (RFC 9110 section 9.2.1), so that it does not matter which page has asked for it.
_SAFE = ("GET", "HEAD", "OPTIONS")

# Returns the entry that a request belongs to now; raises the Refusal of one that may not be passed on any more.
Find: TypeAlias = "Callable[[], Way | None]"


class Passage:
    """Passes requests on. It goes by nothing until ``revise`` has said by what."""

    def __init__(self, http: HttpFetch, hub: Hub, lobby: Lobby, metrics: Metrics) -> None:
        self._http = http
        self._hub = hub
        self._lobby = lobby
        self._metrics = metrics
        self._entries: Collection[Route | ViewRoute] = ()
        self._ways: dict[str, Way] = {}
        self._base_path = ""
        self._territory = Territory((), routes=(), prefix="/-/")

    def revise(self, config: Gateway, entries: Collection[Route | ViewRoute]) -> None:
        """Go by a configuration from now on; ``entries``: its routes and views. What is under way goes on."""
        prefix = config.server.prefix
        self._entries = entries
        self._ways = ways_of(config)
        self._base_path = config.server.base_path
        self._territory = Territory(self._ways, routes=config.entries, prefix=prefix)

    def find(self, target: str, *, route: str | None = None) -> Way | None:
        """
        Return the entry that the target of a request belongs to; None if there is none.

        ``route``: whose topic it is, for a plain GET of it that its route has no answer to; the caller makes sure that
        the client may read that. Raises NoSuchTopic for a path that may mean another topic or pushgate itself, and
        BadRequest for one that may mean several things.
        """
        if "#" in target:
            raise BadRequest("a fragment is no part of what is asked for (RFC 9112 section 3.2)")
        path = self._path(target)
        found = None if path is None or not self._ways else self._territory.find(path, route=route)
        return None if found is None else self._ways[found]

    def _path(self, target: str) -> str | None:
        """Return the path of a target exactly as it is written; None if it is not under ours."""
        path = origin_form(target).partition("?")[0] or "/"
        return path.removeprefix(self._base_path) if path.startswith(f"{self._base_path}/") else None

    async def answer(self, request: web.BaseRequest, way: Way, find: Find) -> web.StreamResponse:
        """
        Return what the upstream says, once it has been written; raises a Refusal for what is not passed on.

        ``find`` has found the way, and is asked again when it is known who asks: it may be another one by then.
        """
        try:
            return await self._answer(request, way, find)
        except Refusal as refusal:
            self._metrics.passed_on(way.config.upstream, refusal.status)
            raise

    async def _answer(self, request: web.BaseRequest, way: Way, find: Find) -> web.StreamResponse:
        passing = await self._admit(request, way, find)
        try:
            async with self._http.line(way.config.upstream) as line:
                return await passing.through(line)
        except PollError as error:  # there is no such upstream any more
            raise failure_of(error) from error

    async def _admit(self, request: web.BaseRequest, way: Way, find: Find) -> Passing:
        """Return the exchange that a request asks for, with nothing wrong about it."""
        fields = _fields(request)
        if not {request.method, *other_methods(fields)} <= {*way.config.methods}:
            methods = ", ".join(way.config.methods)
            raise MethodNotAllowed(f"this path takes {methods}", headers={"Allow": methods})
        try:
            check_framing(fields, version=request.version)
        except BadRequest:
            request.protocol.close()  # what comes behind it may be anything
            raise
        upgrade = upgrade_of(fields) if request.method == "GET" and not request.body_exists else None
        if upgrade is not None and "Cookie" in request.headers and not self._lobby.is_allowed_origin(request):
            raise OriginForbidden("this origin may not open a WebSocket with cookies (server.cors.origins)")
        if way.config.auth and request.method not in _SAFE:
            check_origin(request, is_allowed=self._lobby.is_allowed_origin(request))
        principal = await self._identify(request, way)
        if way.config.auth and find() != way:
            raise Reloaded("this is passed on differently now; come back", retry_after=1.0)
        asked = self._asked(request, way, principal, upgrade)
        return Passing(request, asked, way, upgrade, count=self._metrics.passed_on, changed=self._changed)

    def _changed(self, request: web.BaseRequest, way: Way) -> None:
        """Poll what may be out of date after a request."""
        path = self._path(request.raw_path)
        assert path is not None, "it was found"
        methods = {request.method, *other_methods(_fields(request))}
        wanted = [refresh for refresh in way.refreshes if refresh.follows(methods, path)]
        poke([reach for refresh in wanted for reach in refresh.reaches], self._entries, self._hub)

    async def _identify(self, request: web.BaseRequest, way: Way) -> Principal | None:
        """Return who asks, if the entry wants to know."""
        names = way.config.auth
        if not names:
            return None
        query = parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)
        presented = self._lobby.present(request, dict(reversed(query)))
        visitor = self._lobby.visitor_of(presented)
        await self._lobby.keeper.identify(names, presented, visitor)
        return self._lobby.keeper.known_as(names, visitor)

    def _asked(
        self, request: web.BaseRequest, way: Way, principal: Principal | None, upgrade: str | None
    ) -> UpstreamRequest:
        """Return the request as the upstream gets it, but for its body."""
        path = self._path(request.raw_path)
        assert path is not None, "it was found"
        query = query_without(request.raw_path.partition("?")[2], way.withheld.query)
        arrival = self._arrival(request)
        trail = trail_of(request).fields
        fields = request_fields(_fields(request), arrival, withheld=way.withheld, trail=trail, upgrade=upgrade)
        length = request.content_length
        sized = (("Content-Length", str(length)),) if length is not None and request.body_exists else ()
        claims = claims_of(principal, way.claims)
        url = f"{way.base}{path}" + (f"?{query}" if query else "")
        return UpstreamRequest(request.method, url, (*fields, *way.fields, *sized), None, way.config.upstream, claims)

    def _arrival(self, request: web.BaseRequest) -> Arrival:
        """Return how a request came to us."""
        is_trusted, address = self._lobby.peer(request)
        return Arrival(address, self._lobby.client(request).scheme, request.host, is_trusted=is_trusted)


def _fields(request: web.BaseRequest) -> Fields:
    """Return the header fields as they are spelled; bytes that are no UTF-8 come as surrogates."""
    return tuple((name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers)
