"""A backend that tests script: a real HTTP server that says what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from aiohttp import web

# What it may do to a connection instead of answering: end the body early, never answer, or hang up.
Crime = Literal["cuts", "stalls", "hangs up"]

# How long a test waits for something that is bound to happen.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. ``path`` is raw, with its query; names of ``headers`` are lower case."""

    path: str
    headers: Mapping[str, str]
    at: float


@dataclass(slots=True)
class ScriptedBackend:
    """
    Answers every path with the same body until it is told otherwise.

    ``is_honest`` adds an ETag and answers 304 where it is due. ``documents`` are those that were really sent, in their
    order and without repetitions: what a client may have seen, and nothing else.
    """

    url: str = ""
    body: bytes = b"null"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    is_open: asyncio.Event = field(default_factory=asyncio.Event)  # otherwise requests wait
    crime: Crime | None = None
    is_honest: bool = False
    requests: list[Asked] = field(default_factory=list)
    documents: list[Any] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    _answered: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def serve(self, document: Any) -> None:
        """Answer with this document from now on."""
        self.say(json.dumps(document, ensure_ascii=False).encode())

    def say(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        """Answer with these bytes; underscores in the names of header fields stand for hyphens."""
        self.body, self.status, self.crime = body, status, None
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def polled(self, times: int = 1) -> None:
        """Wait until so many requests were answered that began after this call."""
        already = len(self.requests)
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self._answered >= already + times)

    async def begun(self) -> None:
        """Wait until a request is under way."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.under_way > 0)

    async def is_left_alone(self, seconds: float) -> bool:
        """Whether no request comes for so long: an absence takes time to be seen."""
        before = len(self.requests)
        await asyncio.sleep(seconds)
        return len(self.requests) == before

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Asked(request.raw_path, headers, asyncio.get_running_loop().time()))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        async with self._news:
            self._news.notify_all()
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1
            self._answered += 1
            async with self._news:
                self._news.notify_all()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.is_open.wait()
        await asyncio.sleep(self.delay)
        if self.crime is not None:
            return await self._commit(request)
        headers = {"Content-Type": "application/json", **self.headers}
        if self.is_honest and self.status == 200:
            etag = f'"{sha256(self.body).hexdigest()[:16]}"'
            if request.headers.get("If-None-Match") == etag:
                return web.Response(status=304, headers={"ETag": etag})
            headers["ETag"] = etag
        self._note()
        return web.Response(status=self.status, body=self.body, headers=headers)

    async def _commit(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if self.crime == "stalls":
            await asyncio.sleep(PATIENCE)
        if self.crime == "cuts":
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
            transport.write(head.encode() + self.body[: len(self.body) // 2])
            await asyncio.sleep(0)
        transport.close()
        return web.Response()

    def _note(self) -> None:
        try:
            document = json.loads(self.body) if self.status == 200 else None
        except (ValueError, RecursionError):
            return
        if self.status == 200 and (not self.documents or self.documents[-1] != document):
            self.documents.append(document)


@asynccontextmanager
async def answering(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, port: int = 0
) -> AsyncIterator[str]:
    """A server that answers like this, on a free port or this one, as long as the context is open; yields its URL."""
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def scripted_backend(document: Any = None, *, port: int = 0) -> AsyncIterator[ScriptedBackend]:
    """A backend on a free port, or on this one, as long as the context is open."""
    backend = ScriptedBackend()
    backend.is_open.set()
    backend.serve(document)
    async with answering(backend, port=port) as backend.url:
        yield backend
