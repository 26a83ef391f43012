"""
The naive baseline: fan-out as one writes it first with aiohttp: ``python -m bench.naive PORT``.

A coroutine and a queue for each client: the handler of a stream waits at its queue and writes what comes, and
``POST /publish`` puts the event into every queue. It is meant to be as good as it is plain: on uvloop, and an event is
turned into text once and not for each client. It keeps no history for streams, sends no heartbeats, and a client that
does not read has a queue that grows; it costs what it costs without any of what pushgate promises.

GET /events is SSE, or a WebSocket if it asks for an upgrade. GET /poll answers with the latest event, and
GET /poll?since=N with those after N, as soon as there is one, or with 204 after 55 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Iterator

import uvloop
from aiohttp import web

WAIT = 55.0
KEPT = 100  # events, for long polls


class Publisher:
    """The queues of all clients, and the latest events."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()
        self._latest: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._number = 0

    async def publish(self, request: web.Request) -> web.Response:
        text = await request.text()
        self._number += 1
        self._latest.append((self._number, text))
        for queue in self._queues:
            queue.put_nowait(text)
        return web.Response(status=204)

    @contextlib.contextmanager
    def _queue(self) -> Iterator[asyncio.Queue[str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def events(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        with self._queue() as queue:
            while True:
                await response.write(f"data: {await queue.get()}\n\n".encode())

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")

        async def write() -> None:
            with self._queue() as queue:
                while True:
                    await socket.send_str(await queue.get())

        writer = asyncio.get_running_loop().create_task(write())  # ends with the client
        try:
            async for _ in socket:
                pass
        finally:
            writer.cancel()
        return socket

    async def poll(self, request: web.Request) -> web.Response:
        since = int(request.query.get("since", self._number - 1))
        events = self._after(since)
        if not events:
            with self._queue() as queue, contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT):
                    await queue.get()
            events = self._after(since)
        fields = {"X-Position": str(self._number), "Cache-Control": "no-store"}
        if not events:
            return web.Response(status=204, headers=fields)
        text = f'{{"position":{self._number},"events":[{",".join(events)}]}}'
        return web.json_response(text=text, headers=fields)

    def _after(self, number: int) -> list[str]:
        return [text for at, text in self._latest if at > number]


async def serve(app: web.Application, port: int) -> None:
    """Serve until the bench ends the process."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def main(port: int) -> None:
    publisher = Publisher()
    app = web.Application()
    app.router.add_post("/publish", publisher.publish)
    app.router.add_get("/events", publisher.events)
    app.router.add_get("/poll", publisher.poll)
    await serve(app, port)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
