"""A client of bare bytes: it reads when the test says so, and takes apart what it read by its own means."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from backends import PATIENCE

# As little as the kernel allows, so that a client that does not read is felt at once.
TINY = 4096

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
EVENT_STREAM = "Accept: text/event-stream\r\n"


class RawClient:
    """A TCP connection with a tiny receive buffer. ``received`` is all that was read so far."""

    def __init__(self, sock: socket.socket) -> None:
        self.received = b""
        self._sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def ask(self, path: str, fields: str = "", *, method: str = "GET") -> None:
        await self.send(f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n{fields}\r\n".encode())

    async def read(self) -> bytes:
        """Read once; empty when the gateway has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
        self.received += data
        return data

    async def read_until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            assert await self.read(), f"the end, and no {mark!r}"
        return self.received

    async def read_all(self) -> bytes:
        while await self.read():
            pass
        return self.received

    def leave(self) -> None:
        self._sock.close()

    @property
    def head(self) -> str:
        return self.received.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]


@asynccontextmanager
async def raw_client(port: int, *, receive_buffer: int = TINY) -> AsyncIterator[RawClient]:
    """A connection to a gateway on this machine, cut when the context ends."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield RawClient(sock)


def read_sse(text: bytes) -> list[dict[str, Any]]:
    """Read whole blocks as WHATWG HTML section 9.2.6 says; an id stays until another one comes."""
    events: list[dict[str, Any]] = []
    last_id: str | None = None
    for block in text.decode().split("\n\n")[:-1]:
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        last_id = fields.get("id", [last_id])[-1]
        if "data" in fields:
            data = json.loads("\n".join(fields["data"]))
            kind = fields.get("event", ["message"])[-1]
            events.append({"event": kind, "id": last_id, "data": data, "fields": set(fields)})
    return events


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Read whole, unmasked WebSocket frames (RFC 6455 section 5.2) as (opcode, payload)."""
    frames = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        frames.append((data[0] & 15, data[start : start + size]))
        data = data[start + size :]
    return frames


def client_frame(payload: bytes, *, opcode: int = 1) -> bytes:
    """Write a final frame as clients must: masked, here with zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload


def status_of(head: str) -> int:
    found = re.match(r"HTTP/1\.1 (\d{3})", head)
    assert found, head
    return int(found[1])
