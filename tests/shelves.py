"""A backend with a document for each path, for those who follow many topics; what is not on the shelf is 404."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from backends import answering


class Shelf:
    """``documents`` by path; a number is the status to answer with. ``asked`` counts requests."""

    def __init__(self) -> None:
        self.url = ""
        self.documents: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.is_open = asyncio.Event()  # otherwise requests wait
        self.is_open.set()

    def serve(self, paths: Iterable[str], document: Any) -> None:
        self.documents.update(dict.fromkeys(paths, document))

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked[request.path] += 1
        await self.is_open.wait()
        document = self.documents.get(request.path, 404)
        if isinstance(document, int):
            return web.Response(status=document)
        return web.json_response(document)


@asynccontextmanager
async def shelf() -> AsyncIterator[Shelf]:
    """A backend on a free port, as long as the context is open."""
    backend = Shelf()
    async with answering(backend) as backend.url:
        try:
            yield backend
        finally:
            backend.is_open.set()
