"""
HTTPS on the public listener: every connection begins with a handshake, and then is a connection like any other.

asyncio could do it by itself (``create_server(ssl=…)``), but then each connection keeps 64 KB of stale events in the
socket's transport, below the one that streams can see, and one certificate serves for ever.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import structlog
from aiohttp import web

from .certificates import Certificates
from .handover import BACKLOG, give_back

log = structlog.get_logger()

# Who has not shaken hands by then does not mean to: a browser on a slow line takes a second or two.
HANDSHAKE_TIMEOUT = 10.0

# What is still on its way when a connection is closed, and the client's own goodbye, may take so long: a document of
# 3 MB over a slow line, which nobody above TLS can see. Who does not read is found out sooner by others.
SHUTDOWN_TIMEOUT = 30.0

# What waits in the TLS layer for a client that reads slowly, as in a plain socket; a stream sets its own.
BUFFERED_BYTES = 64 * 1024


class Handshakes:
    """Accepts connections, and gives them to ``server`` when they are encrypted."""

    def __init__(self, server: web.Server, certificates: Certificates, tasks: asyncio.TaskGroup) -> None:
        self._server = server
        self._certificates = certificates
        self._tasks = tasks
        self._listening: asyncio.Server | None = None
        self._under_way: set[asyncio.Transport] = set()

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Early(self.greet), sock=listener, backlog=BACKLOG)

    def stop(self) -> None:
        """Accept nobody any more, and let go of whoever has not shaken hands yet."""
        assert self._listening is not None, "it was started"
        self._listening.close()
        self._listening = None
        for transport in self._under_way:
            transport.abort()

    def greet(self, transport: asyncio.Transport, hello: _Early) -> None:
        """Take a connection in that has just been accepted; ``hello`` is what has come until it is listened to."""
        if self._listening is None:
            transport.abort()
            return
        # What the kernel does not take at once holds up the TLS layer, and so the stream above it.
        transport.set_write_buffer_limits(high=0)
        self._under_way.add(transport)
        self._tasks.create_task(self._shake_hands(transport, hello), name="TLS handshake")

    async def _shake_hands(self, transport: asyncio.Transport, hello: _Early) -> None:
        early = _Early()
        try:
            secured = await self._secure(transport, hello, early)
        except OSError:  # no TLS, nothing in common, too slow, or gone; ssl.SSLError is an OSError
            transport.abort()
            return
        except Exception:  # what one connection runs into must not end all others
            log.exception("handshake.crashed")
            transport.abort()
            return
        finally:
            self._under_way.discard(transport)
        if secured is not None:
            asyncio.get_running_loop().call_soon(self._hand_on, secured, early)

    def _hand_on(self, secured: asyncio.Transport, early: _Early) -> None:
        """Have aiohttp read the first request, of which some may have come already."""
        if not secured.is_closing():
            secured.set_write_buffer_limits(high=BUFFERED_BYTES)
            give_back(secured, self._server, bytes(early.data))

    async def _secure(self, transport: asyncio.Transport, hello: _Early, early: _Early) -> asyncio.Transport | None:
        """Return the encrypted connection; None if it is lost already. Raises OSError if there is none."""
        context, loop = self._certificates.context, asyncio.get_running_loop()
        assert context is not None, "switching TLS on takes a restart"
        if transport.is_closing():
            return None
        if hello.data:
            loop.call_soon(_feed, transport, bytes(hello.data))  # behind the TLS layer's being there, before its start
        return await loop.start_tls(
            transport,
            early,
            context,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
        )


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Give a connection's owner what somebody else has read for it."""
    owner = cast("asyncio.BufferedProtocol", transport.get_protocol())
    while data:
        buffer = memoryview(owner.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        owner.buffer_updated(size)
        data = data[size:]


class _Early(asyncio.Protocol):
    """
    Keeps what comes before anybody can understand it.

    uvloop reads the client's first words before a task of ours can run, and asyncio's own loop hands out what is right
    behind the handshake before ``start_tls`` returns. ``greet`` is told of a connection that has just been accepted.
    """

    def __init__(self, greet: Callable[[asyncio.Transport, _Early], None] | None = None) -> None:
        self._greet = greet
        self.data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._greet is not None:
            self._greet(cast("asyncio.Transport", transport), self)

    def data_received(self, data: bytes) -> None:
        self.data += data
