"""Clients that reach the gateway through a proxy: they believe any certificate, and take HTTP/2 where it is offered."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx_sse
import websockets

from gateways import http_client
from links import Link, Sse, WebSocket
from proxies import Proxy


class ProxiedSse(Sse):
    """EventSource through a proxy, by HTTP/2 where that is offered; ``encoding`` is what it says it can read."""

    encoding = "identity"
    is_modern = True

    async def _open(self, cursor: str | None) -> None:
        client = await self._resources.enter_async_context(http_client(http2=self.is_modern))
        headers = {"Accept-Encoding": self.encoding} | ({} if cursor is None else {"Last-Event-ID": cursor})
        source = await self._resources.enter_async_context(
            httpx_sse.aconnect_sse(client, "GET", self.base + self.topic, headers=headers)
        )
        assert source.response.status_code == 200, source.response.status_code
        self.response = source.response
        self._events = source.aiter_sse()
        self._resources.push_async_callback(self._events.aclose)  # type: ignore[attr-defined]  # it is a generator


class ZippedSse(ProxiedSse):
    """The same, for one that can read gzip."""

    encoding = "gzip"


class OldSse(ProxiedSse):
    """The same by HTTP/1.1: unlike browsers, httpx drops its streams when a server asks it to leave the connection."""

    is_modern = False


class ProxiedWebSocket(WebSocket):
    """A WebSocket that asks nobody whether it may believe the certificate."""

    async def _open(self, cursor: str | None) -> None:
        url = self.base.replace("http", "ws", 1) + self.topic + (f"?cursor={cursor}" if cursor else "")
        context = None
        if url.startswith("wss:"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = await self._resources.enter_async_context(
            websockets.connect(url, ssl=context, proxy=None, subprotocols=["pushgate.v1"], ping_interval=None)
        )


LINKS: dict[str, type[Link]] = {
    "sse": ProxiedSse,
    "sse gzip": ZippedSse,
    "sse http/1.1": OldSse,
    "websocket": ProxiedWebSocket,
}


@asynccontextmanager
async def linked(kind: str, proxy: Proxy, topic: str) -> AsyncIterator[Any]:
    """A client of this kind that has the first document, as long as the context is open."""
    async with LINKS[kind](proxy.url, topic) as link:
        await link.connect()
        await link.hear("snapshot")
        yield link
