"""A browser's window on the dashboard, in front of a gateway with routes in every state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web
from playwright.async_api import Page, expect

from doubles.server import Asked, Double
from gateways import Running, http_client, running_gateway
from reloads import Reloadable

LONG = "/stations/{city}/{operator}/bikes-and-docks-at-every-station-of-the-city"


class Backend(Double):
    """Answers each path in its own way, from good to bad; ``n`` is what the good ones say."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 1
        self.is_broken = False

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if request.path == "/broken" and self.is_broken:
            return web.Response(status=502)
        if request.path == "/silent":
            return web.Response(status=503)
        text = "of some length, so that patches are shorter"
        rows = [{"id": f"R{k}", "n": self.n * k, "text": text} for k in range(9)]
        return web.json_response([] if request.path == "/shrinking" and self.is_broken else rows)


def route(path: str, **more: Any) -> dict[str, Any]:
    poll = {"every": "50ms", "linger": "60s", "jitter": "0%", **more.pop("poll", {})}
    settings = {"upstream": "u", "request": {"path": path}, "poll": poll, "key": "id", "auth": "none"}
    return {**settings, "emit": ["patch", "items", "merge", "snapshot"], **more}


ROUTES = {
    "/live": route("/live", description="What leaves soon, in the order in which it is expected"),
    "/live/first": {"from": "/live", "pointer": "/0"},
    LONG: route("/broken", poll={"every": "200ms"}),
    "/held": route("/shrinking", guards={"confirm_after": "1h"}),
    "/paused": route("/live", poll={"active": "Mon 03:00-03:01 UTC"}),
    "/cold": route("/silent", poll={"every": "200ms"}),
    "/idle": route("/live"),
    "/kept": route("/live", auth=["keys"]),
}
STALE = "/stations/paris/velib/bikes-and-docks-at-every-station-of-the-city"
AUTH = {"keys": {"kind": "api_key", "keys": [{"name": "me", "key": "my-key"}]}}


@asynccontextmanager
async def house(backend: Backend, *, routes: Mapping[str, Any] = ROUTES, **admin: str) -> AsyncIterator[Running]:
    """A gateway that clients follow; the backend has been well, and then not."""
    server = {"admin": {"listen": "127.0.0.1:0", **admin}}
    async with (
        running_gateway(
            backend.url, {name: dict(one) for name, one in routes.items()}, auth=AUTH, server=server
        ) as gateway,
        http_client() as client,
    ):
        for topic in ("/live", "/live/first", STALE, "/held", "/paused", "/cold"):
            await client.get(f"{gateway.base}{topic}")
        backend.is_broken = True
        yield gateway


class Window:
    """A browser's window; ``complaints`` are the errors of its console, and ``hosts`` whom it has asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    async def look(self, gateway: Running | Reloadable, view: str = "/") -> None:
        await self.page.goto(f"{gateway.admin}/#{view}")
        await expect(self.page.locator(".view")).to_be_visible()


def of(name: str) -> str:
    return f"/route?route={quote(name, safe='')}"


def arrival(page: Page, event: str) -> Any:
    return page.locator(f".arrival[data-event={event}]").first


def row(page: Page, name: str) -> Any:
    return page.locator(".rows .row").filter(has=page.get_by_role("link", name=name, exact=True))
