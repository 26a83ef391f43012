"""
A gateway in the middle of a working day: whatever can happen to a route, an upstream or a client has happened to one.

For tests of what it tells about that. Backends answer well and badly, clients come over every transport, with and
without credentials, with and without a cursor, read and do not read, write, and ask for what no route has.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from backends import answering
from gateways import Running, eventually, http_client, running_gateway
from issuers import issuer, key_set
from secured import Site, secure_client
from slowclients import RawClient
from transports import connected

SIGNER = issuer("ES256", kid="1")
KEY = "a key of the shop"
PAGE = 40_000  # bytes of each row of the document that somebody does not read


class Backend:
    """Answers each path in a way of its own."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        rows: list[dict[str, Any]] = [{"id": n, "n": self.asked if n == 1 else 0} for n in range(20)]
        match request.path:
            case "/rows" | "/mine":
                return web.json_response(rows)
            case "/large":
                return web.json_response([{"id": 0, "text": f"{self.asked:09}" * (PAGE // 9)}])
            case "/twice":
                return web.json_response([*rows, *rows])
            case "/calm":
                is_known = request.headers.get("If-None-Match") == '"1"'
                fields = {"ETag": '"1"', "X-RateLimit-Remaining": "4000"}
                return web.Response(status=304, headers=fields) if is_known else web.json_response([1], headers=fields)
            case "/held":
                return web.json_response([] if self.asked > 60 else [1, 2, 3])
            case "/token":
                return web.json_response({"access_token": "t", "token_type": "bearer", "expires_in": 2})
            case "/keys":
                return web.Response(body=key_set(SIGNER.jwk()), content_type="application/json")
            case "/gone":
                return web.Response(status=404)
            case "/sick":
                return web.Response(status=500)
        return web.json_response({"path": "of the old site"})


def _route(every: str = "100ms", **changes: Any) -> dict[str, Any]:
    poll = {"every": every, "jitter": "0%", "linger": "1m"}
    return {"upstream": "shop", "poll": poll, "emit": ["patch", "snapshot"], "key": "id", "auth": "none", **changes}


ROUTES: dict[str, Any] = {
    "/rows": _route(write={"POST": {}}),
    "/rows/{id}": {"from": "/rows", "item": "{id}", "emit": ["snapshot"]},
    "/large": _route("20ms", emit=["snapshot"]),
    "/twice": _route(),
    "/calm": _route(),
    "/held": _route("20ms", guards={"empty": "confirm", "confirm_after": "1h"}),
    "/gone": _route(guards={"confirm_after": "50ms"}),
    "/sick": _route(upstream="sick"),
    "/mine": _route(upstream="guarded", auth=["staff", "shops"], allow=[{"claim": "sub", "any": ["ann", "shop"]}]),
}


def _sections(url: str) -> dict[str, Any]:
    return {
        "upstreams": {
            "shop": {"url": url, "budget": {"rate": ["400/s"], "burst": 40}},
            "sick": {"url": url, "breaker": {"failures": 3, "cooldown": "200ms"}},
            "guarded": {"url": url, "credentials": {
                "kind": "oauth2", "token_url": f"{url}/token", "client_id": "me", "client_secret": "a secret"
            }},
        },
        "auth": {
            "staff": {"kind": "jwt", "jwks_url": f"{url}/keys"},
            "shops": {"kind": "api_key", "keys": [{"name": "shop", "key": KEY}]},
        },
        "proxy": {"/old": {"upstream": "shop", "auth": "none"}},
    }  # fmt: skip


# What the configuration has: all that a label of ours may be.
CONFIGURED: dict[str, set[str]] = {
    "route": {*ROUTES, ""},  # "": of none, or of several
    "upstream": {"shop", "sick", "guarded"},
    "auth": {"staff", "shops"},
}


@asynccontextmanager
async def working_day(folder: Path) -> AsyncIterator[Running]:
    """A gateway that serves over TLS, and goes on serving, polling and refusing as long as the context is open."""
    server = {**Site(folder).server, "limits": {"memory": "64MB"}, "heartbeat": "2s"}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(answering(Backend()))
        gateway = await stack.enter_async_context(running_gateway(url, ROUTES, server=server, **_sections(url)))
        for transport in ("short_poll", "long_poll", "sse", "websocket"):
            link = await stack.enter_async_context(connected(transport, gateway.base, "/rows"))
            await link.receive()
        link = await stack.enter_async_context(connected("sse", gateway.base, "/rows"))
        await link.hear("patch")
        await link.reconnect()
        await link.receive()
        for topic in ("/rows/1", "/twice", "/calm", "/held", "/gone", "/sick"):
            await stack.enter_async_context(connected("sse", gateway.base, topic, emit="snapshot"))
        await _ask(gateway)
        await _fall_behind(gateway, await stack.enter_async_context(secure_client(gateway.port)))
        yield gateway


async def _ask(gateway: Running) -> None:
    """Ask with credentials that are good, bad and none; write, and ask for the old site."""
    token = SIGNER.token({"sub": "ann", "exp": int(time.time()) + 60})
    stream = {"Accept": "text/event-stream"}
    async with http_client(base_url=gateway.base) as client:
        for secret in (token, KEY, "somebody else's"):
            await client.get("/mine", headers={"Authorization": f"Bearer {secret}"})
        await client.get("/mine", headers=stream)
        await client.post("/rows", content=json.dumps({"n": 1}), headers={"Origin": gateway.base})
        await client.get("/old/page")
        await client.get("/nothing")


async def _fall_behind(gateway: Running, client: RawClient) -> None:
    """Read so little that several changes are told at once."""

    async def changes() -> float:
        return await gateway.metric("pushgate_changes_total", route="/large")

    async def conflations() -> float:
        seen = await changes()
        await eventually(changes, lambda now: now > seen + 5)
        await client.read()
        return await gateway.metric("pushgate_conflations_total", route="/large")

    await client.ask("/large", "Accept: text/event-stream\r\n")
    await eventually(conflations, lambda times: times > 0)
