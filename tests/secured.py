"""HTTPS for tests: a certificate that can be renewed, and a client of bare bytes behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme

from backends import PATIENCE
from slowclients import TINY, RawClient

AUTHORITY = trustme.CA()


class Site:
    """A certificate and its key, in two files. ``renew`` writes others over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.renew()

    @property
    def server(self) -> dict[str, Any]:
        """What ``server:`` says of it."""
        return {"tls": {"certificate": str(self.certificate), "key": str(self.key)}}

    def renew(self) -> None:
        certificate, key = pair()
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)


def pair() -> tuple[bytes, bytes]:
    """Return a certificate for this machine with its chain, and the key to it, as PEM."""
    issued = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    return b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()


def trusting() -> ssl.SSLContext:
    """A client that believes the authority, and nobody else."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


class SecureClient(RawClient):
    """The same over TLS, which reads no more than the test says either."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.is_told_goodbye = False

    async def shake_hands(self, *, pieces: int = 65536, is_hasty: bool = False) -> None:
        """Send so many bytes at a time; who is hasty sends its last words together with its first request."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(pieces)
                if not await self._take():
                    raise ConnectionResetError("the end, in the middle of a handshake") from None
            else:
                return None if is_hasty else await self._flush(pieces)

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self._flush()

    async def read(self) -> bytes:
        while True:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                if not await self._take():
                    return b""
            else:
                self.is_told_goodbye = not data
                self.received += data
                return data

    async def say_goodbye(self) -> None:
        """Answer the server's goodbye, or begin with it."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # the other side has not answered yet, or was still saying something
        await self._flush()

    async def _flush(self, pieces: int = 65536) -> None:
        while piece := self._outgoing.read(pieces):
            await super().send(piece)
            await asyncio.sleep(0)  # the gateway is in this process, and reads it now

    async def _take(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
        self._incoming.write(data)
        return data


@asynccontextmanager
async def secure_client(
    port: int,
    *,
    receive_buffer: int = TINY,
    context: ssl.SSLContext | None = None,
    pieces: int = 65536,
    is_hasty: bool = False,
) -> AsyncIterator[SecureClient]:
    """A connection to a gateway on this machine whose handshake is done, cut when the context ends."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        client = SecureClient(sock, context or trusting())
        await client.shake_hands(pieces=pieces, is_hasty=is_hasty)
        yield client
