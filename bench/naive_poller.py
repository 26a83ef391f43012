"""
The naive gateway: polling and fan-out as one writes them first: ``python -m bench.naive_poller PORT BACKEND_PORT``.

GET /rows/N is SSE. While somebody listens to N, the backend is asked for it twice a second, and when the answer is not
the one before, all of it goes into the queue of every client; a coroutine for each client waits at its queue and writes
what comes. On uvloop, and an event is turned into bytes once and not for each client. It compares bodies and not
documents, proves nothing, keeps no history, and a client that does not read has a queue that grows.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, web

from .naive import serve

EVERY = 0.5


class Poller:
    """One topic: its latest answer, and the queues of those who listen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.block = b""
        self.queues: set[asyncio.Queue[bytes]] = set()

    async def run(self, session: ClientSession) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            async with session.get(self.url) as answer:
                body = await answer.read()
            block = b"data: " + body + b"\n\n"
            if block != self.block:
                self.block = block
                for queue in self.queues:
                    queue.put_nowait(block)
            due += EVERY
            await asyncio.sleep(due - loop.time())  # noqa: TID251 - a naive program waits like this


class Gateway:
    """All topics; each is polled from its first client on."""

    def __init__(self, backend: str, session: ClientSession, tasks: asyncio.TaskGroup) -> None:
        self._backend = backend
        self._session = session
        self._tasks = tasks
        self._pollers: dict[str, Poller] = {}

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        poller = self._poller(request.path)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        poller.queues.add(queue)
        try:
            await response.write(poller.block or b": hello\n\n")
            while True:
                await response.write(await queue.get())
        finally:
            poller.queues.discard(queue)

    def _poller(self, path: str) -> Poller:
        poller = self._pollers.get(path)
        if poller is None:
            poller = self._pollers[path] = Poller(self._backend + path)
            self._tasks.create_task(poller.run(self._session))
        return poller


async def main(port: int, backend_port: int) -> None:
    async with ClientSession() as session, asyncio.TaskGroup() as tasks:
        gateway = Gateway(f"http://127.0.0.1:{backend_port}", session, tasks)
        app = web.Application()
        app.router.add_get("/rows/{n}", gateway.events)
        await serve(app, port)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
