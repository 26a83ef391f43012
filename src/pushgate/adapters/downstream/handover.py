"""
Taking a socket over from aiohttp once it has parsed the request, and giving it back.

aiohttp keeps a coroutine, a parser and buffers for every request it answers: 10 KB for a stream that only ever
writes. So a stream's transport gets a protocol of our own, and aiohttp is told that its connection was lost; it forgets
the connection and the handler returns an answer that writes nothing. tests/integration/test_handover.py pins this
to the installed aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from .pulse import be_patient

# What the kernel may hold that the client has not been sent yet. Without it a client that never reads is given
# megabytes of events that are stale by the time it reads them.
NOTSENT_BYTES = 16 * 1024

# How many connections the kernel may keep until they are accepted: everybody comes back at once.
BACKLOG = 4096


class TakenOver(web.StreamResponse):
    """
    What a handler returns when the socket is no longer aiohttp's: an answer that writes nothing.

    ``code``: of the answer that was given instead, its status or the code of a close frame; None if none was, yet.
    """

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def take_over(request: web.BaseRequest, protocol: Any, *, is_parked: bool = False) -> asyncio.Transport | None:
    """
    Make ``protocol`` the owner of the request's socket and return the transport; None if the client has left.

    The caller returns a TakenOver from its handler without waiting for anything in between. ``is_parked``: nothing
    will be written until there is an answer, so the kernel has to find out whether somebody still waits for it.
    """
    handler = request.protocol
    transport = handler.transport
    if transport is None or transport.is_closing():
        return None
    # Whatever the kernel does not take at once pauses the writer: what waits is a cursor, never a backlog. With 0, TLS
    # would pause it for an empty buffer, too.
    transport.set_write_buffer_limits(high=1)
    if not is_parked:
        be_patient(transport)
    transport.set_protocol(protocol)
    handler.transport = None
    handler.connection_lost(None)
    return transport


def connection_of(transport: asyncio.BaseTransport) -> object:
    """Return what stands for a connection where it is remembered weakly: uvloop's transports of TLS cannot."""
    return transport.get_extra_info("ssl_object") or transport


def server_of(request: web.BaseRequest) -> web.Server:
    """Return who has read the request, and reads the next one of its connection; before its socket is taken over."""
    server = request.protocol._manager
    assert server is not None, "nobody has taken the socket over"
    return server


def has_more(request: web.BaseRequest) -> bool:
    """Whether the client has already sent the next request; aiohttp has read it, so its socket cannot be taken over."""
    return bool(request.protocol._messages)


def may_go_on(request: web.BaseRequest) -> bool:
    """
    Whether the socket may serve another request behind this one.

    Not if a body is still to come: nobody would read it, and it would be taken for a request; behind a proxy its answer
    would go to whoever comes next. Nor in HTTP/1.0, where a connection is kept only if the answer says so.
    """
    return request.keep_alive and request.version >= HttpVersion11 and request.content.is_eof()


def take_over_upgraded(request: web.BaseRequest, protocol: Any) -> tuple[asyncio.Transport | None, bytes]:
    """Like ``take_over`` for an upgrade; also returns what the client sent right behind its request."""
    tail = _Tail()
    request.protocol.set_parser(cast("Any", tail))
    return take_over(request, protocol), bytes(tail.data)


class _Tail:
    """Stands in for aiohttp's WebSocket reader for one moment, because that is who is handed the bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Part of the reader's interface; the transport tells us of the end itself."""


def give_back(transport: asyncio.Transport, server: web.Server, pending: bytes, *, is_full: bool = False) -> None:
    """
    Let aiohttp read the next request of a connection; ``pending`` is what has already arrived of it.

    ``is_full``: the transport has asked to be spared, and will tell whoever owns it then that it has room again.
    """
    handler = server()
    transport.set_protocol(handler)
    handler.connection_made(transport)
    if is_full:
        handler.pause_writing()
    if pending:
        handler.data_received(pending)


def listen(host: str, port: int, *, heartbeat: float) -> socket.socket:
    """
    Return a listening socket whose options every accepted connection inherits, which costs nothing per connection.

    ``heartbeat``: within two of them the kernel gives up a connection from which nobody answers.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=False)
    tune(listener, heartbeat=heartbeat)
    listener.setblocking(False)
    return listener


def tune(listener: socket.socket, *, heartbeat: float) -> None:
    """
    Set the options of the connections that will be accepted.

    A parked client is never written to, so the kernel asks after it, after half a heartbeat and then every quarter. It
    gives up when it asks next after the user timeout, whatever the count is, and all that in whole seconds; together it
    stays below two heartbeats, whatever the heartbeat is. Streams go without that timeout, since it ends whoever does
    not read, too: heartbeats are written to them, and ``pulse.py`` looks whether those arrive.
    """
    options = {
        "TCP_NODELAY": 1,
        "TCP_NOTSENT_LOWAT": NOTSENT_BYTES,
        "TCP_USER_TIMEOUT": round(1.4 * heartbeat * 1000),
        "TCP_KEEPIDLE": max(1, round(heartbeat / 2)),
        "TCP_KEEPINTVL": max(1, round(heartbeat / 4)),
        "TCP_KEEPCNT": 4,
    }
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):  # not every system has every option
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
