"""
The connections to one upstream: to its own origin, and to anywhere else that it sends us to.

Rule 1: what is meant for the origin (client certificate, server name, socket, an unchecked certificate) is used for
nothing else.
Rule 2: cookies are nobody's business here: no connection remembers any.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import aiohttp
from yarl import URL

from ... import __version__
from ...config.upstreams import Upstream
from .bodies import ACCEPTED
from .tls import Trust, foreign_context

HEADERS = {
    "User-Agent": f"pushgate/{__version__}",
    "Accept": "application/json, */*;q=0.5",
    "Accept-Encoding": ACCEPTED,
}

# Longer than what any API sends in a field; a backend that needs more is broken in a way worth hearing about.
MAX_FIELD_BYTES = 16 * 1024
MAX_FIELDS = 256


class Connections:
    """Two pools, each made when it is needed; to be closed when the gateway ends."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._is_tls = urlsplit(upstream.url).scheme == "https"
        trust = Trust(upstream.tls)
        self._trust = trust if self._is_tls and not trust.is_default else None
        # The library wants no subclass of text, and takes user and password out of the URL itself.
        self._proxy = None if upstream.proxy is None else URL(str.__str__(upstream.proxy))
        self._own: aiohttp.ClientSession | None = None
        self._foreign: aiohttp.ClientSession | None = None
        self._fixed = self._fixed_options()

    async def close(self) -> None:
        for session in (self._own, self._foreign):
            if session is not None:
                await session.close()

    def own(self, now: float) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """Return the pool for the origin and what a request in it has to say; raises PollError(``tls``)."""
        if self._own is None:
            self._own = self._session(self._own_connector())
        if self._trust is None:
            return self._own, self._fixed
        return self._own, {**self._fixed, "ssl": self._trust.context(now)}

    def foreign(self, url: str) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """Return the pool for any other origin, and what a request for this URL has to say."""
        if self._foreign is None:
            context = foreign_context(self._upstream.tls)
            self._foreign = self._session(aiohttp.TCPConnector(limit=0, ssl=context))
        return self._foreign, {"allow_redirects": False, **self._proxied(url)}

    def _session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        timeout = self._upstream.timeout
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout.total, sock_connect=timeout.connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
        )
        # The library would ask once more by itself when a connection closes, without a turn from the budget. There is
        # no public switch; its own test client flips the same one.
        session._retry_connection = False
        return session

    def _own_connector(self) -> aiohttp.BaseConnector:
        force_close = not self._upstream.keep_alive
        parts = urlsplit(self._upstream.url)
        if parts.scheme == "unix":
            return aiohttp.UnixConnector(path=unquote(parts.path), limit=0, force_close=force_close)
        return aiohttp.TCPConnector(limit=0, force_close=force_close)

    def _fixed_options(self) -> dict[str, Any]:
        """Return what every request to the origin says."""
        upstream = self._upstream
        options: dict[str, Any] = {"allow_redirects": False, **self._proxied(upstream.url)}
        name = upstream.tls.server_name or upstream.host
        if name is not None and self._is_tls:
            options["server_hostname"] = _without_port(name)
        return options

    def _proxied(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        if self._proxy is None or proxy_bypass(parts.hostname or ""):
            return {}
        return {"proxy": self._proxy}


def _without_port(host: str) -> str:
    return urlsplit(f"//{host}").hostname or host
