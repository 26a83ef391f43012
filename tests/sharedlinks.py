"""
Clients of connections with many topics, spoken by somebody else's libraries, with a replica for each topic.

On shared SSE a client takes over what it was told when the position comes with it, and forgets what it was told since
the last position when the connection breaks: that will be told again.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal
from urllib.parse import urlencode

import httpx_sse
import websockets

from backends import PATIENCE
from gateways import http_client
from replicas import Replica

Heard = dict[str, Any]  # the envelope; "id" and "topic" may be None

# How a client comes back: as if it had never been there, with the set's cursor, or with those of its topics.
Manner = Literal["nothing", "set", "own"]


class SharedLink:
    """One client that follows many topics. Replicas outlive it, and may be carried from one transport to the next."""

    def __init__(
        self, base: str, replicas: Mapping[str, Replica], *, emit: str | None = None, position: str | None = None
    ) -> None:
        self.base = base
        self.replicas = replicas
        self.emit = emit
        self.position = position  # the set's cursor
        self.heard: list[Heard] = []
        self.problems: list[Heard] = []
        self.extra: dict[str, str] = {}  # what else is asked for, of all topics
        self.headers: dict[str, str] = {}  # of every request
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> SharedLink:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.disconnect()

    async def connect(self, manner: Manner = "nothing") -> None:
        for replica in self.replicas.values():
            replica.subscribe()
        await self._open(manner)

    async def reconnect(self, manner: Manner = "set") -> None:
        await self.disconnect()
        await self.connect(manner)

    async def disconnect(self) -> None:
        await self._resources.aclose()

    async def receive(self) -> Heard:
        """Wait for the next event and take it in."""
        async with asyncio.timeout(PATIENCE):
            event = await self._next()
        self.heard.append(event)
        if event["event"] == "problem":
            self.problems.append(event)
        return event

    async def hear(self, kind: str) -> Heard:
        while (event := await self.receive())["event"] != kind:
            pass
        return event

    async def follow(self, documents: Mapping[str, Any]) -> None:
        """Follow until each of these topics' replicas holds its document."""
        while missing := [topic for topic in documents if not self.replicas[topic].holds(documents[topic])]:
            while missing:  # each of many is looked at once, and all of them again in the end
                if self.replicas[missing[-1]].holds(documents[missing[-1]]):
                    missing.pop()
                else:
                    await self.receive()

    def kinds(self, topic: str) -> list[str]:
        return [event["event"] for event in self.heard if event["topic"] == topic]

    def _apply(self, event: Heard) -> None:
        if event["topic"] in self.replicas:
            self.replicas[event["topic"]].apply(event)

    def _query(self, manner: Manner, *, position_in_query: bool) -> str:
        pairs: list[tuple[str, str]] = []
        for topic, replica in self.replicas.items():
            pairs.append(("topic", topic))
            if manner == "own":
                pairs.append(("cursor", replica.cursor or ""))
        if manner == "set" and position_in_query and self.position:
            pairs.append(("cursor", self.position))
        if self.emit:
            pairs.append(("emit", self.emit))
        pairs.extend(self.extra.items())
        return urlencode(pairs)

    async def _open(self, manner: Manner) -> None:
        raise NotImplementedError

    async def _next(self) -> Heard:
        raise NotImplementedError


class SharedSse(SharedLink):
    """An EventSource on ``/-/events``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending: list[Heard] = []  # told since the last position

    async def _open(self, manner: Manner) -> None:
        self._pending = []
        client = await self._resources.enter_async_context(http_client())
        headers = self.headers | ({"Last-Event-ID": self.position} if manner == "set" and self.position else {})
        url = f"{self.base}/-/events?{self._query(manner, position_in_query=False)}"
        source = await self._resources.enter_async_context(httpx_sse.aconnect_sse(client, "GET", url, headers=headers))
        assert source.response.status_code == 200, await source.response.aread()
        self._events: AsyncIterator[httpx_sse.ServerSentEvent] = source.aiter_sse()
        self._resources.push_async_callback(self._events.aclose)  # type: ignore[attr-defined]  # it is a generator

    async def _next(self) -> Heard:
        block = await anext(self._events)
        envelope = json.loads(block.data)
        assert block.event in (envelope["event"], "message")
        is_new = bool(block.id) and block.id != self.position  # an id stays until another one comes
        event = {"topic": None, "id": None, **envelope, "position": block.id if is_new else None}
        self._pending.append(event)
        if is_new:
            self.position = block.id
            self._take_over()
        elif event["event"] in ("status", "problem", "heartbeat"):
            self._apply(self._pending.pop())
        return event

    def _take_over(self) -> None:
        for event in self._pending:
            self._apply(event)
        self._pending = []


class SharedPoll(SharedLink):
    """A loop of long polls on ``/-/poll``."""

    async def _open(self, manner: Manner) -> None:
        self._manner: Manner = manner
        self._client = await self._resources.enter_async_context(http_client(headers=self.headers))
        self._queue: deque[Heard] = deque()
        self.answers: list[int] = []

    async def _next(self) -> Heard:
        while not self._queue:
            await self._ask()
        event = self._queue.popleft()
        self._apply(event)
        return event

    async def _ask(self) -> None:
        manner = self._manner
        url = f"{self.base}/-/poll?wait=5&{self._query(manner, position_in_query=True)}"
        answer = await self._client.get(url)
        self.answers.append(answer.status_code)
        assert answer.status_code in (200, 204), answer.text
        self.position = answer.headers.get("Pushgate-Cursor", self.position)
        self._manner = "set"
        if answer.status_code == 204:
            self._queue.append({"event": "heartbeat", "topic": None, "id": None, "data": None})
            return
        body = answer.json()
        assert body["cursor"] == self.position
        self._queue.extend({"id": None, **event} for event in body["events"])


class SharedWebSocket(SharedLink):
    """The asyncio client of ``websockets`` on ``/-/ws``; it knows only its topics' own cursors."""

    async def _open(self, manner: Manner) -> None:
        query = self._query("own" if manner == "set" else manner, position_in_query=False)
        url = f"{self.base.replace('http', 'ws', 1)}/-/ws?{query}"
        self.socket = await self._resources.enter_async_context(
            websockets.connect(
                url,
                max_size=None,
                proxy=None,
                subprotocols=["pushgate.v1"],  # type: ignore[list-item]  # a Subprotocol is a str
                additional_headers=self.headers,
                ping_interval=None,
            )
        )

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def _next(self) -> Heard:
        event: Heard = {"topic": None, "id": None, "data": None, **json.loads(await self.socket.recv())}
        self._apply(event)
        return event


SHARED: dict[str, type[SharedLink]] = {"sse": SharedSse, "long_poll": SharedPoll, "websocket": SharedWebSocket}


def replicas_of(topics: Iterable[str], key: str = "id") -> dict[str, Replica]:
    return {topic: Replica(key) for topic in topics}
