"""
A server that does nothing: ``python -m bench.bare PORT PORT``, with the names of modules to import on standard input.

It is what a process of aiohttp's costs before anybody has written a line: the same libraries, two listeners, no work.
"""

from __future__ import annotations

import asyncio
import importlib
import sys

import uvloop
from aiohttp import web


async def serve(ports: list[int]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    for port in ports:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()  # for as long as the bench wants it


def import_modules(names: list[str]) -> None:
    """Import what the gateway imports; not everything that a library has imported can be asked for by its name."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


if __name__ == "__main__":
    import_modules(sys.stdin.read().split())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve([int(port) for port in sys.argv[1:]]))
