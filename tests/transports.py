"""The four transports behind one interface: the two that ask again and again, and the streams of links.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateways import http_client
from links import Heard, Link, Sse, SseMessages, WebSocket
from replicas import Replica


class _Asking(Link):
    """A client that asks again and again."""

    async def _open(self, cursor: str | None) -> None:
        self.client = await self._resources.enter_async_context(http_client(headers=self.headers))
        self.position = cursor
        self._queue: deque[Heard] = deque()

    async def _next(self) -> Heard:
        while not self._queue:
            await self._ask()
        return self._queue.popleft()

    async def _ask(self) -> None:
        raise NotImplementedError

    async def _pause(self) -> None:
        await asyncio.sleep(0.01)


class LongPoll(_Asking):
    """A loop around ``?cursor=…&wait=…``; who has no cursor yet leaves it out."""

    async def _ask(self) -> None:
        params = {**self.params, "wait": "5"} | ({"cursor": self.position} if self.position else {})
        response = await self.client.get(self.base + self.topic, params=params)
        if response.status_code not in (200, 204):
            self._queue.append({"event": "problem", "id": None, "data": response.json()})
            return await self._pause()
        self.position = response.headers["Pushgate-Cursor"]
        if response.status_code == 204:
            self._queue.append({"event": "heartbeat", "id": self.position, "data": None})
            return None
        body = response.json()
        assert body["cursor"] == self.position == body["events"][-1]["id"]
        self._queue.extend(body["events"])
        return None


class ShortPoll(_Asking):
    """A loop around a conditional GET: what everybody did before."""

    async def _open(self, cursor: str | None) -> None:
        await super()._open(cursor)
        self._etag: str | None = None

    async def _ask(self) -> None:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        response = await self.client.get(self.base + self.topic, headers=headers)
        if response.status_code == 200:
            self._etag = response.headers["ETag"]
            cursor = response.headers["Pushgate-Cursor"]
            self._queue.append({"event": "snapshot", "id": cursor, "data": response.json()})
            return
        if response.status_code != 304:
            self._queue.append({"event": "problem", "id": None, "data": response.json()})
        await self._pause()


TRANSPORTS: dict[str, type[Link]] = {
    "short_poll": ShortPoll,
    "long_poll": LongPoll,
    "sse": Sse,
    "sse framing=message": SseMessages,
    "websocket": WebSocket,
}
STREAMS = ["sse", "sse framing=message", "websocket"]
RESUMABLE = ["long_poll", *STREAMS]


@asynccontextmanager
async def connected(
    transport: str,
    base: str,
    topic: str,
    *,
    emit: str | None = None,
    cursor: str | None = None,
    key: str = "id",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Link]:
    """A client of this transport, connected as long as the context is open."""
    async with TRANSPORTS[transport](base, topic, Replica(key), emit=emit) as link:
        link.headers.update(headers or {})
        await link.connect(cursor)
        yield link


async def see_through(links: list[Link], document: Any) -> None:
    """Let clients follow until each of them holds this document."""
    async with asyncio.TaskGroup() as tasks:
        for link in links:
            tasks.create_task(link.follow(document))
