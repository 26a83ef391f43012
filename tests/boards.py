"""A backend that can be written to, a gateway in front of it, and what its clients do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiohttp import web

from doubles.server import Asked, Double, serving
from gateways import Running, http_client, route, running_gateway

# So seldom that whatever is polled in a test is polled because of a write.
SELDOM = {"every": "1h"}


class Board(Double):
    """
    Notes by path, and whoever asks may be shown their own. Every answer says that it changed in this very second.

    ``delay`` is that of GETs, and ``gate`` what they wait for; ``gates`` are what the next writes wait for before they
    do anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[str, list[Any]] = {}
        self.delay = 0.0
        self.gate: asyncio.Event | None = None
        self.status = 200
        self.gates: list[asyncio.Event] = []
        self.answer_to_writes: dict[str, Any] = {"status": 201, "text": '{"id": 1}', "content_type": "application/json"}

    @property
    def polls(self) -> list[str]:
        return [asked.path for asked in self.requests if asked.method == "GET"]

    @property
    def writes(self) -> list[Asked]:
        return [asked for asked in self.requests if asked.method != "GET"]

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        path = request.path
        if asked.method != "GET":
            return await self._write(path, asked)
        shown = {"notes": [*self.notes.get(path, [])], "of": asked.headers.get("authorization")}
        await asyncio.sleep(self.delay)
        if self.gate is not None:
            await self.gate.wait()  # the test opens it
        if self.status != 200:
            return web.Response(status=self.status)
        modified = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        if asked.headers.get("if-modified-since") == modified["Last-Modified"]:
            return web.Response(status=304, headers=modified)
        return web.json_response(shown, headers=modified)

    async def _write(self, path: str, asked: Asked) -> web.Response:
        if self.gates:
            async with self._news:
                self._news.notify_all()
            await self.gates.pop(0).wait()
        answer = web.Response(**self.answer_to_writes, headers={"Set-Cookie": "a=b", "X-Secret": "s", "Location": "/x"})
        if asked.method == "DELETE":
            self.notes.pop(path, None)
        elif answer.status < 400:
            self.notes.setdefault(path, []).append(asked.body.decode())
        return answer


@asynccontextmanager
async def board(routes: Mapping[str, Any], **options: Any) -> AsyncIterator[tuple[Board, Running, httpx.AsyncClient]]:
    """A board, a gateway in front of it, and a client of that."""
    double = Board()
    async with (
        serving(double),
        running_gateway(double.url, routes, **options) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        yield double, gateway, client


def writable(write: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return route(poll=SELDOM, write={"POST": {"wait": "5s", **(write or {})}}, **more)


async def document(client: httpx.AsyncClient, path: str, **options: Any) -> Any:
    answer = await client.get(path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()["notes"]
