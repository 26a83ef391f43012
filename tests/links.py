"""One client's subscription, whatever it is carried by; and the streams, spoken by somebody else's clients."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx_sse
import websockets

from backends import PATIENCE
from gateways import http_client
from replicas import Replica

Heard = dict[str, Any]  # {"event", "id", "data"}


def _unverified() -> ssl.SSLContext:
    """Whose certificate it is, is asked in tests/integration/test_tls.py."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Link:
    """One client's subscription. ``replica`` outlives it, and may be carried from one transport to the next."""

    def __init__(self, base: str, topic: str, replica: Replica | None = None, *, emit: str | None = None) -> None:
        self.base = base
        self.topic = topic
        self.replica = Replica() if replica is None else replica
        self.heard: list[Heard] = []
        self.params = {} if emit is None else {"emit": emit}
        self.headers: dict[str, str] = {}  # of every request
        self.subprotocols = ["pushgate.v1"]
        self._resources = AsyncExitStack()

    async def connect(self, cursor: str | None = None) -> None:
        self.replica.subscribe()
        await self._open(cursor)

    async def reconnect(self) -> None:
        """Come back with the last id, as every good client does."""
        await self.disconnect()
        await self.connect(self.replica.cursor)

    async def disconnect(self) -> None:
        await self._resources.aclose()

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.disconnect()

    async def receive(self) -> Heard:
        """Wait for the next event and apply it."""
        async with asyncio.timeout(PATIENCE):
            event = await self._next()
        self.heard.append(event)
        self.replica.apply(event)
        return event

    async def hear(self, kind: str) -> Heard:
        """Follow until an event of this kind comes."""
        while (event := await self.receive())["event"] != kind:
            pass
        return event

    async def hear_state(self, state: str) -> Heard:
        """Follow until a status says that the topic is in this state."""
        while (event := await self.hear("status"))["data"]["state"] != state:
            pass
        return event

    async def follow(self, document: Any) -> None:
        """Follow until the replica holds this document."""
        while not self.replica.holds(document):
            await self.receive()

    async def _open(self, cursor: str | None) -> None:
        raise NotImplementedError

    async def _next(self) -> Heard:
        raise NotImplementedError


class Sse(Link):
    """EventSource as httpx-sse does it."""

    framing = "event"

    async def _open(self, cursor: str | None) -> None:
        client = await self._resources.enter_async_context(http_client())
        headers = self.headers | ({} if cursor is None else {"Last-Event-ID": cursor})
        params = self.params | ({"framing": self.framing} if self.framing != "event" else {})
        source = await self._resources.enter_async_context(
            httpx_sse.aconnect_sse(client, "GET", self.base + self.topic, params=params, headers=headers)
        )
        assert source.response.status_code == 200, source.response.status_code
        self._events: AsyncIterator[httpx_sse.ServerSentEvent] = source.aiter_sse()
        self._resources.push_async_callback(self._events.aclose)  # type: ignore[attr-defined]  # it is a generator

    async def _next(self) -> Heard:
        return self._read(await anext(self._events))

    def _read(self, event: httpx_sse.ServerSentEvent) -> Heard:
        return {"event": event.event, "id": event.id or None, "data": json.loads(event.data), "retry": event.retry}


class SseMessages(Sse):
    """The same with unnamed messages and envelopes."""

    framing = "message"

    def _read(self, event: httpx_sse.ServerSentEvent) -> Heard:
        assert event.event == "message", "an unnamed message"
        envelope = json.loads(event.data)
        return {"event": envelope["event"], "id": envelope.get("id"), "data": envelope["data"], "retry": event.retry}


class WebSocket(Link):
    """The asyncio client of ``websockets``; one that has not read everything never sees the answer to its close."""

    close_timeout = 1.0

    async def _open(self, cursor: str | None) -> None:
        query = "&".join(
            f"{name}={value}" for name, value in (self.params | ({"cursor": cursor} if cursor else {})).items()
        )
        url = self.base.replace("http", "ws", 1) + self.topic + (f"?{query}" if query else "")
        self.socket = await self._resources.enter_async_context(
            websockets.connect(
                url,
                max_size=None,
                proxy=None,
                subprotocols=self.subprotocols,  # type: ignore[arg-type]  # a Subprotocol is a str
                additional_headers=self.headers,
                ping_interval=None,
                close_timeout=self.close_timeout,
                ssl=_unverified() if url.startswith("wss:") else None,
            )
        )

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def _next(self) -> Heard:
        envelope = json.loads(await self.socket.recv())
        return envelope | {"id": envelope.get("id"), "data": envelope.get("data")}
