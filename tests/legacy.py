"""A backend whose owner can be asked to count, a token server elsewhere, and a gateway with every way to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiohttp import WSMsgType, web

from doubles.server import Asked, Double, serving
from gateways import http_client, route
from reloads import Reloadable, reloadable_gateway

SECRET = "a-poke-of-sixteen-and-more"
BEARER = {"Authorization": f"Bearer {SECRET}"}
SELDOM = {"every": "1h", "linger": "1h"}


class Legacy(Double):
    """Answers everything with ``number``, once the gate is open; logs in who asks it to."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 1
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        async with self._news:
            self._news.notify_all()
        await self.gate.wait()  # the test opens it
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._echo(request)
        if request.path == "/login":
            return web.Response(headers={"Set-Cookie": "SID=1"})
        if request.path == "/page":
            return web.json_response({"rows": [{"id": self.number}], "next": "/page?next=1"})
        return web.json_response({"n": self.number, "path": request.path}, status=self.status)

    async def _echo(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket


class TokenServer(Double):
    """Gives a token to whoever asks."""

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})


@dataclass(frozen=True, slots=True)
class Site:
    """All of it. ``client`` asks the public listener."""

    backend: Legacy
    tokens: TokenServer
    gateway: Reloadable
    client: httpx.AsyncClient

    @property
    def requests(self) -> int:
        """How many have come so far, at the backend and at the token server."""
        return len(self.backend.requests) + len(self.tokens.requests)

    async def order(self, path: str, **query: str) -> httpx.Response:
        """Tell the gateway what an operator tells it."""
        async with http_client(headers={"Pushgate-Admin": "1"}) as client:
            return await client.post(f"{self.gateway.admin}/-/{path}", params=query)

    async def obeyed(self, path: str, **query: str) -> Any:
        answer = await self.order(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def topics(self, **query: str) -> list[dict[str, Any]]:
        async with http_client() as client:
            answer = await client.get(f"{self.gateway.admin}/-/topics", params=query)
        found: list[dict[str, Any]] = answer.json()["topics"]
        return found


def upstreams(backend: str, tokens: str) -> dict[str, Any]:
    """Return the same backend three times: as nobody, with a token, and logged in."""
    login = {
        "request": {"method": "POST", "path": "/login", "form": {"user": "ada"}},
        "expired": {"redirect": "/login"},
    }
    oauth2 = {"token_url": f"{tokens}/token", "client_id": "gate", "client_secret": "s"}
    return {
        "u": {"url": backend},
        "ups-a": {"url": backend, "credentials": {"kind": "oauth2", **oauth2}},
        "ups-b": {"url": backend, "credentials": {"kind": "login", **login}},
    }


ROUTES: dict[str, Any] = {
    "/plain/{n}": route(poll=SELDOM, write={"POST": {"wait": "2s"}}),
    "/plain/{n}/part": {"from": "/plain/{n}", "pointer": "/n"},
    "/via/{device}": route(upstream="ups-{device}", params={"device": ["a", "b"]}, poll=SELDOM),
    "/page": route(poll=SELDOM, pages={"next": {"pointer": "/next"}, "items": "/rows"}),
}
PROXY = {
    "/old": {"upstream": "u", "auth": "none", "methods": ["GET", "POST"], "refresh": {"POST /old/write": ["/plain/*"]}},
    "/own": {"upstream": "ups-a", "auth": "keys", "credentials": "upstream", "methods": ["GET"]},
}


@asynccontextmanager
async def site(folder: Path, routes: Mapping[str, Any] = ROUTES, **sections: Any) -> AsyncIterator[Site]:
    """A backend, a token server, and a gateway before them, as long as the context is open."""
    backend, tokens = Legacy(), TokenServer()
    async with serving(backend, tokens):
        auth = {"keys": {"kind": "api_key", "keys": [{"name": "acme", "key": "an-api-key-of-acme"}]}}
        said = {"upstreams": upstreams(backend.url, tokens.url), "proxy": PROXY, "auth": auth, **sections}
        offered = {path: entry if "from" in entry else {"auth": "none", **entry} for path, entry in routes.items()}
        async with (
            reloadable_gateway(backend.url, offered, folder, server={"poke": {"secret": SECRET}}, **said) as gateway,
            http_client(base_url=gateway.base) as client,
        ):
            yield Site(backend, tokens, gateway, client)
