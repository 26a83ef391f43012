"""
The connections to one upstream: to its own origin, and to anywhere else that it sends us to.

Rule 1: what is meant for the origin (client certificate, server name, socket, an unchecked certificate) is used for
nothing else.
Rule 2: cookies are nobody's business here: no connection remembers any.
Rule 3: a kept connection on which something came that nobody had asked for is not used again: it would be taken for the
answer to the next request, whosesoever that is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from ... import __version__
from ...config.upstreams import Upstream
from .bodies import ACCEPTED
from .tls import Trust, foreign_context

# What the library would say by itself.
AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

HEADERS = {
    "User-Agent": f"pushgate/{__version__}",
    "Accept": "application/json, */*;q=0.5",
    "Accept-Encoding": ACCEPTED,
}

# Longer than what any API sends in a field; a backend that needs more is broken in a way worth hearing about.
MAX_FIELD_BYTES = 16 * 1024
MAX_FIELDS = 256


class _Quiet(aiohttp.BaseConnector):
    """The library looks only at those connections that it puts back whether something has come on them."""

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (kept := await super()._get(key, traces)) is not None and kept.protocol and kept.protocol.should_close:
            kept.close()
        return kept


class _TcpPool(_Quiet, aiohttp.TCPConnector):
    pass


class _UnixPool(_Quiet, aiohttp.UnixConnector):
    pass


class Connections:
    """
    Two pools, each made when it is needed; to be closed when the gateway ends.

    What clients ask through ``proxy:`` shares the pool of the origin, and nothing else with what polls ask.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._is_tls = urlsplit(upstream.url).scheme == "https"
        trust = Trust(upstream.tls)
        self._trust = trust if self._is_tls and not trust.is_default else None
        # The library wants no subclass of text, and takes user and password out of the URL itself.
        self._proxy = None if upstream.proxy is None else URL(str.__str__(upstream.proxy))
        self._own: aiohttp.ClientSession | None = None
        self._foreign: aiohttp.ClientSession | None = None
        self._passing: aiohttp.ClientSession | None = None
        self._fixed = self._fixed_options()

    async def close(self) -> None:
        for session in (self._passing, self._own, self._foreign):
            if session is not None:
                await session.close()

    def own(self, now: float) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """Return the pool for the origin and what a request in it has to say; raises PollError(``tls``)."""
        if self._own is None:
            self._own = self._session(self._own_connector())
        if self._trust is None:
            return self._own, self._fixed
        return self._own, {**self._fixed, "ssl": self._trust.context(now)}

    def passing(self, now: float) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """
        Return what ``own`` does, for the request of somebody else: nothing is added to it, and no time is its limit.

        Raises PollError(``tls``).
        """
        own, options = self.own(now)
        if self._passing is None:
            assert own.connector is not None, "the session is open"
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._upstream.timeout.connect)
            self._passing = _session(own.connector, timeout, headers=None, is_owner=False)
        return self._passing, {**options, "skip_auto_headers": AUTOMATIC}

    def foreign(self, url: str) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """Return the pool for any other origin, and what a request for this URL has to say."""
        if self._foreign is None:
            context = foreign_context(self._upstream.tls)
            self._foreign = self._session(_TcpPool(limit=0, ssl=context))
        return self._foreign, {"allow_redirects": False, **self._proxied(url)}

    def _session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        timeout = self._upstream.timeout
        limits = aiohttp.ClientTimeout(total=timeout.total, sock_connect=timeout.connect)
        return _session(connector, limits, headers=HEADERS, is_owner=True)

    def _own_connector(self) -> aiohttp.BaseConnector:
        force_close = not self._upstream.keep_alive
        parts = urlsplit(self._upstream.url)
        if parts.scheme == "unix":
            return _UnixPool(path=unquote(parts.path), limit=0, force_close=force_close)
        return _TcpPool(limit=0, force_close=force_close)

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


def _session(
    connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout, *, headers: dict[str, str] | None, is_owner: bool
) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        connector_owner=is_owner,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        auto_decompress=False,
        max_line_size=MAX_FIELD_BYTES,
        max_field_size=MAX_FIELD_BYTES,
        max_headers=MAX_FIELDS,
    )
    # The library would ask once more by itself when a connection closes, without a turn from the budget. There is
    # no public switch; its own test client flips the same one.
    session._retry_connection = False
    return session


def _without_port(host: str) -> str:
    return urlsplit(f"//{host}").hostname or host
