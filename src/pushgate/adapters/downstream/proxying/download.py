"""
An upstream's answer on its way to the client: byte for byte, as fast as the client takes it.

Rule 1: a body that ends too early ends with the connection, never as if it were whole.
Rule 2: header fields are written as the bytes that came. The library knows them only as UTF-8, and old backends have
never heard of that.
"""

from __future__ import annotations

import socket
import struct
from email.utils import formatdate

import aiohttp
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from ....forwarding import RawFields, length_of
from .patience import Patience

# On, and no time for what is not sent yet (socket(7)): a reset.
_AT_ONCE = struct.pack("ii", 1, 0)


class Passed(web.StreamResponse):
    """What a handler returns when the answer has been written already."""

    def __init__(self, status: int, *, keep_alive: bool, size: int | None = None) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive
        self.size = size  # of the body, in bytes

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def head_of(status: int, reason: str | None, fields: RawFields) -> bytes:
    """Return the bytes of a head; the reason is that of the upstream, unless it cannot be said."""
    words = reason if reason is not None and reason.isprintable() and reason.isascii() else ""
    lines = [b"HTTP/1.1 %d %s" % (status, words.encode()), *(b"%s: %s" % field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Download:
    """The answer to one request; ``has_begun`` once its head is on the way."""

    def __init__(self, request: web.BaseRequest, patience: Patience) -> None:
        self._request = request
        self._patience = patience
        self.has_begun = False

    async def write(self, response: aiohttp.ClientResponse, fields: RawFields) -> Passed:
        """Pass an answer on whose ``fields`` are those for the client, but for what is about its length."""
        request, writer = self._request, self._request.writer
        length = length_of(response.raw_headers)
        has_body = request.method != "HEAD" and response.status not in (204, 304)
        is_chunked = has_body and length is None and request.version >= HttpVersion11
        keep_alive = request.keep_alive and request.version >= HttpVersion11 and (length is not None or is_chunked
                                                                                  or not has_body)  # fmt: skip
        framing: list[tuple[bytes, bytes]] = []
        if length is not None and response.status != 204:
            framing.append((b"Content-Length", b"%d" % length))
        if is_chunked:
            framing.append((b"Transfer-Encoding", b"chunked"))
        if not keep_alive:
            framing.append((b"Connection", b"close"))
        if not any(name.lower() == b"date" for name, _ in fields):
            framing.append((b"Date", formatdate(usegmt=True).encode()))
        self.has_begun = True
        size = 0
        try:
            await writer.write(head_of(response.status, response.reason, (*fields, *framing)))
            if is_chunked:
                writer.enable_chunking()
            while has_body and (piece := await response.content.readany()):
                self._patience.touch()
                await writer.write(piece)
                size += len(piece)
                self._patience.touch()
            await writer.write_eof()
        except BaseException:
            self.cut()
            raise
        return Passed(response.status, keep_alive=keep_alive, size=size)

    def cut(self) -> None:
        """
        End the client's connection so that it cannot take what it has for all there is.

        With an ordinary end, it could where the body's end is the connection's (HTTP/1.0); so this one is a reset.
        """
        transport = self._request.transport
        if transport is None:
            return
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
