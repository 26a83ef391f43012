"""A gateway that passes requests through, the backend behind it that keeps every byte, and clients that write bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from backends import PATIENCE
from gateways import Running, config_of
from pushgate.config.gateway import Gateway as Config
from pushgate.gateway import Gateway
from upstreams import listening, respond

OPEN = {"upstream": "u", "auth": "none", "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]}

HELLO = respond("200 OK", b"hello")


@dataclass(frozen=True)
class Came:
    """One request as it came over the wire. ``body`` is as it was framed, chunks and all."""

    head: bytes
    body: bytes
    connection: int

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split()[0]

    @property
    def target(self) -> str:
        return self.line.split()[1]

    @property
    def fields(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


Talk = Callable[[Came, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Say = bytes | Callable[[Came], bytes] | Talk


@dataclass
class Backend:
    """Answers with bytes, or talks as it likes; keeps what came."""

    say: Say
    url: str = ""
    came: list[Came] = field(default_factory=list)
    connections: int = 0
    lost: int = 0  # connections that the other side ended
    reads_bodies: bool = True

    @property
    def last(self) -> Came:
        return self.came[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _body(head, reader) if self.reads_bodies else b""
                came = Came(head, body, number)
                self.came.append(came)
                await self._answer(came, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.lost += 1
            raise

    async def _answer(self, came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asyncio.iscoroutinefunction(self.say):
            await self.say(came, reader, writer)
            return
        writer.write(self.say if isinstance(self.say, bytes) else cast("Callable[[Came], bytes]", self.say)(came))
        await writer.drain()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    fields = dict(line.lower().partition(b": ")[::2] for line in head.split(b"\r\n")[1:])
    if b"transfer-encoding" in fields:
        return await reader.readuntil(b"0\r\n\r\n")
    return await reader.readexactly(int(fields.get(b"content-length", 0)))


@asynccontextmanager
async def passage(
    say: Say = HELLO,
    *,
    proxy: Mapping[str, Any] | None = None,
    entry: Mapping[str, Any] | None = None,
    routes: Mapping[str, Any] | None = None,
    below: str = "",
    **options: Any,
) -> AsyncIterator[tuple[Backend, Running]]:
    """A backend, and a gateway that passes everything on to it: by ``proxy``, or by one entry with these changes."""
    backend = Backend(say)
    async with listening(backend.serve) as backend.url:
        sections = {"upstream": {}, "server": {}, **options, "proxy": proxy or {"/": {**OPEN, **(entry or {})}}}
        async with serving(config_of(backend.url + below, routes or {}, **sections)) as gateway:
            yield backend, gateway


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Running]:
    async with Gateway(config).serving() as gateway:
        assert gateway.address is not None and gateway.admin_address is not None
        base, admin = ("http://{}:{}".format(*address) for address in (gateway.address, gateway.admin_address))
        yield Running(gateway, base, admin)


@asynccontextmanager
async def connection(gateway: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.close()


async def ask(gateway: Running, request: bytes) -> bytes:
    """Write these bytes and read until the gateway closes; the request should ask for that."""
    async with connection(gateway) as (reader, writer):
        writer.write(request)
        return await reader.read()


def get(target: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return a request on a connection of its own."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example", "Connection: close", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
