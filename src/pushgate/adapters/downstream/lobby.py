"""
Who a request comes from: what it shows of its client is read here, and only if what it asks for depends on that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeAlias

from aiohttp import web

from ...auth.carriers import token_of_protocols
from ...auth.credential import Presented
from ...auth.keeper import Keeper
from ...auth.permission import auth_names, route_of
from ...auth.visitor import Visitor
from ...config.server import Server
from ...errors import Reloaded
from ...identity import cookies_of
from ...peers import FORWARDING, NEIGHBOURS_REMEMBERED, Client, Peers, Scheme
from ...routes import Route
from ...views import ViewRoute

Entry: TypeAlias = Route | ViewRoute

# What a browser says of a request that no other site's page has made (Fetch Metadata, W3C).
OF_THIS_SITE = ("same-origin", "same-site", "none")


class Lobby:
    """Receives clients. ``entries``: all routes and views, whose configuration says what may be sent upstream."""

    def __init__(self, settings: Server, entries: Collection[Entry], keeper: Keeper) -> None:
        self.keeper = keeper
        self.revise(settings, entries)

    def revise(self, settings: Server, entries: Collection[Entry]) -> None:
        """Go by another configuration from now on."""
        self.entries = [*entries]
        forwards = [route_of(entry).config.forward for entry in entries]
        self._settings = settings
        self._peers = Peers(settings.trusted_proxies)
        self._neighbour = lru_cache(maxsize=NEIGHBOURS_REMEMBERED)(partial(self._peers.client, fields={}))
        self._headers = {name.lower() for forward in forwards for name in forward.headers}
        self._cookies = {name for forward in forwards for name in forward.cookies}

    async def receive(self, request: web.BaseRequest, entries: Sequence[Entry], controls: Mapping[str, str]) -> Visitor:
        """Return who the client is, as far as these routes ask; ``controls``: pushgate's own query parameters."""
        if all(entry.is_open for entry in entries):
            return Visitor()
        names = dict.fromkeys(name for entry in entries for name in auth_names(entry))
        presented = self.present(request, controls)
        visitor = self.visitor_of(presented)
        await self.keeper.identify(names, presented, visitor)
        return visitor

    def check_kept(self, entry: Entry, entries: Collection[Entry]) -> None:
        """Raise Reloaded for an entry that is of a configuration before, which ``entries`` are all of."""
        if self.entries is not entries and entry not in self.entries:
            raise Reloaded("this topic is made differently now; come back to see it", retry_after=1.0)

    def visitor_of(self, presented: Presented) -> Visitor:
        """Return a client of whom nothing is proved yet, with what of its request may be sent upstream."""
        headers, cookies = presented.headers, presented.cookies
        visitor = Visitor(
            {name: headers[name] for name in self._headers & headers.keys()},
            {name: cookies[name] for name in self._cookies & cookies.keys()},
        )
        visitor.address = presented.address
        return visitor

    def present(self, request: web.BaseRequest, controls: Mapping[str, str]) -> Presented:
        """Return what a request shows of its client."""
        headers = _fields(request)
        return Presented(
            headers=headers,
            cookies=cookies_of(headers["cookie"]) if "cookie" in headers else {},
            token=controls.get("access_token"),
            protocol=token_of_protocols(headers.get("sec-websocket-protocol")),
            origin_allows_cookies=self.may_use_cookies(request),
            address=self.client(request).counted_as,
        )

    def client(self, request: web.BaseRequest) -> Client:
        """Return where a request comes from, and how."""
        scheme: Scheme = "https" if request.secure else "http"
        if not self._settings.trusted_proxies:
            return self._neighbour((request.remote,), scheme)
        return self._peers.client((request.remote,), scheme, _forwarding(request))

    def peer(self, request: web.BaseRequest) -> tuple[bool, str | None]:
        """Return whether the other end of the connection is a proxy that is believed, and its address."""
        return self._peers.peer((request.remote,))

    def is_allowed_origin(self, request: web.BaseRequest) -> bool:
        """Whether the page that asks, if it is a page, is one of ours or of an origin that is listed."""
        origin, host = request.headers.get("Origin"), request.host
        if origin is None or origin == f"https://{host}" or origin in self._settings.cors.origins:
            return True
        # Over TLS, whoever is on the way can still put a page at http://. Behind a proxy that does not say how it was
        # asked, nobody knows.
        return origin == f"http://{host}" and self.client(request).scheme == "http"

    def may_use_cookies(self, request: web.BaseRequest) -> bool:
        """
        Whether cookies are the doing of a page of ours.

        A same-origin page says no ``Origin`` when it only reads; when it opens a WebSocket, it always does.
        """
        if "Origin" in request.headers or request.headers.get("Upgrade", "").strip().lower() == "websocket":
            return "Origin" in request.headers and self.is_allowed_origin(request)
        return request.headers.get("Sec-Fetch-Site", "none") in OF_THIS_SITE


def _fields(request: web.BaseRequest) -> dict[str, str]:
    """Return the header fields; one that comes twice is one with both (RFC 9110 section 5.3), and so no credential."""
    fields: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        fields[key] = value if key not in fields else f"{fields[key]}{'; ' if key == 'cookie' else ', '}{value}"
    return fields


def _forwarding(request: web.BaseRequest) -> dict[str, Sequence[str]]:
    return {name: request.headers.getall(name) for name in FORWARDING if name in request.headers}
