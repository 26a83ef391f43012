"""Backends that write exactly the bytes that they are told to, and the HTTP client of the gateway in front of them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pushgate.adapters.upstream.fetch import HttpFetch
from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.clock import Clock
from pushgate.config.upstreams import Upstream
from pushgate.values import UpstreamRequest, Validators


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    line: str
    fields: dict[str, str]  # names in lower case; of several the last
    body: bytes
    connection: int

    @property
    def target(self) -> str:
        return self.line.split()[1]


Respond = Callable[[Asked], bytes | None]


def respond(
    status: str = "200 OK", body: bytes = b"{}", *fields: str, length: int | None = None, version: str = "1.1"
) -> bytes:
    """Return the bytes of an answer; ``length`` is what it says that its body has."""
    lines = [f"HTTP/{version} {status}", *fields, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class RawBackend:
    """Answers each request with the bytes that ``respond`` returns for it; None closes without a word."""

    respond: Respond
    keeps_open: bool = True
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        while True:
            asked = await read_request(reader, number)
            self.asked.append(asked)
            answer = self.respond(asked)
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()
            if not self.keeps_open:
                return


async def read_request(reader: asyncio.StreamReader, connection: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.rstrip("\r\n").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    return Asked(line, fields, await reader.readexactly(int(fields.get("content-length", 0))), connection)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, *, tls: ssl.SSLContext | None = None, path: Path | None = None) -> AsyncIterator[str]:
    """A server on a free port of the loopback, or at a unix socket; yields its URL, and ends all connections."""
    open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones[task] = writer
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the gateway had enough, or the test
        finally:
            writer.close()

    if path is not None:
        server: asyncio.Server = await asyncio.start_unix_server(connected, path)
        url = f"unix://{path}"
    else:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls, limit=2**20)
        url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield url
    finally:
        server.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        for writer in open_ones.values():
            writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def raw_backend(
    answer: bytes | Respond, *, tls: ssl.SSLContext | None = None, path: Path | None = None, keeps_open: bool = True
) -> AsyncIterator[RawBackend]:
    """A backend that answers with these bytes, or with those that it finds for a request."""
    backend = RawBackend(answer if callable(answer) else lambda asked: answer, keeps_open)
    async with listening(backend.serve, tls=tls, path=path) as backend.url:
        yield backend


@dataclass
class CountingGate:
    """An open gate that tells what went through."""

    turns: int = 0
    under_way: int = 0
    most_under_way: int = 0
    heard_of: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.turns += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            yield
        finally:
            self.under_way -= 1

    def check_open(self) -> None:
        pass

    def heard(self, answer: Answer) -> None:
        self.heard_of.append(answer.status)


@dataclass
class Fetching:
    """The HTTP client with one upstream ``u``."""

    http: HttpFetch
    gate: CountingGate
    upstream: Upstream
    renewals: list[bool]

    async def __call__(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        validators: Validators = NO_VALIDATORS,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **claims: str,
    ) -> Answer:
        sent = tuple({**self.upstream.headers, **(headers or {})}.items())
        url = path if path.startswith("http") else self.upstream.base + path
        return await self.http(UpstreamRequest(method, url, sent, body, "u", claims), validators)


@asynccontextmanager
async def fetching(url: str, *, clock: Clock | None = None, **config: Any) -> AsyncIterator[Fetching]:
    """The HTTP client, with an upstream of this configuration, as long as the context is open."""
    upstream, gate, renewals = Upstream.model_validate({"url": url, **config}), CountingGate(), list[bool]()
    http = HttpFetch(
        {"u": upstream}, clock or Clock(), gates={"u": gate}, refreshed=lambda name, ok: renewals.append(ok)
    )
    async with http:
        yield Fetching(http, gate, upstream, renewals)


def port_of(backend: RawBackend) -> int:
    port = urlsplit(backend.url).port
    assert port is not None
    return port


def json_body(answer: Answer) -> Any:
    return json.loads(answer.body)
