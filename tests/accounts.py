"""A backend at which every caller has a document of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from backends import answering


class Accounts:
    """A backend that shows to each caller what is theirs; ``closed`` are those that it no longer lets in."""

    def __init__(self) -> None:
        self.url = ""
        self.visits: dict[str, int] = {}
        self.closed: dict[str, int] = {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        who = request.headers.get("Authorization") or request.cookies.get("SID")
        if who is None or who in self.closed:
            return web.Response(status=401 if who is None else self.closed[who])
        self.visits[who] = self.visits.get(who, 0) + 1
        assert "Secret" not in request.headers and "other" not in request.cookies
        return web.json_response({"of": who, "pad": "x" * 200})


@asynccontextmanager
async def accounts() -> AsyncIterator[Accounts]:
    backend = Accounts()
    async with answering(backend) as backend.url:
        yield backend
