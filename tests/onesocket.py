"""Requests one after the other on one connection, as a browser makes them that keeps it open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

# Its status, its header fields with names in lower case, and its body.
Answer = tuple[int, dict[str, str], bytes]


@asynccontextmanager
async def one_socket(address: tuple[str, int]) -> AsyncIterator[Callable[[str], Awaitable[Answer]]]:
    """A connection for as long as the context is open; call it with a path."""
    reader, writer = await asyncio.open_connection(*address)

    async def ask(path: str) -> Answer:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        return int(lines[0].split()[1]), fields, await reader.readexactly(int(fields.get("content-length", 0)))

    yield ask
    writer.close()
