"""How a server of requests gets the connections of a listening socket, and lets go of them."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack

from aiohttp import web

from .handover import BACKLOG
from .tls import Handshakes

# Requests that are still under way when everybody has left, or has had the time to, are given no more than this, so
# that the process ends within the window and the grace that are configured.
CUT_AFTER = 0.05


async def serve(
    stack: AsyncExitStack, server: web.Server, listener: socket.socket, handshakes: Handshakes | None = None
) -> tuple[str, int]:
    """Serve for as long as the stack lasts; returns where. ``handshakes``: who makes them, if it is TLS."""
    runner = web.ServerRunner(server, shutdown_timeout=CUT_AFTER)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    if handshakes is None:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
    else:
        await handshakes.start(listener)
        stack.callback(handshakes.stop)
    host, port = listener.getsockname()[:2]
    return str(host), int(port)
