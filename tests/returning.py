"""Clients that come back by themselves, when they are told to: hundreds of them in one process."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from replicas import Replica

# What a client does that was told nothing: it comes back between one second and two.
UNTOLD = 1.0


class Returning:
    """One client; ``follow`` never returns. ``kinds`` of its replica are the changes that it was sent."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.replica = Replica()
        self.refusals = 0
        self._wait = UNTOLD

    async def follow(self) -> None:
        while True:
            self._wait = UNTOLD * (1 + random.random())
            self.replica.subscribe()
            try:
                await self._listen()
            except (aiohttp.ClientError, OSError):
                pass  # the gateway is gone, or not there yet
            await asyncio.sleep(self._wait)

    async def _listen(self) -> None:
        """Connect and apply what comes, until the connection ends; ``_wait`` is then when to come back."""
        raise NotImplementedError

    @property
    def at(self) -> dict[str, str]:
        """The query that says where the client is."""
        return {} if self.replica.cursor is None else {"cursor": self.replica.cursor}

    def refused(self, answer: aiohttp.ClientResponse) -> bool:
        if answer.status == 503:
            self.refusals += 1
            self._wait = float(answer.headers["Retry-After"])
        return answer.status != 200


class ReturningEventSource(Returning):
    """SSE as a browser does it."""

    async def _listen(self) -> None:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.at["cursor"]} if self.at else {})
        async with self.session.get(self.url, headers=headers) as answer:
            if self.refused(answer):
                return
            fields: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                self._take(fields)
                fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self._wait = int(fields["retry"]) / 1000
        self.refusals += fields["event"] == "problem"
        self.replica.apply({"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])})


class ReturningWebSocket(Returning):
    """A WebSocket that reads the reason of its end."""

    async def _listen(self) -> None:
        protocols = ["pushgate.v1"]
        async with self.session.ws_connect(self.url, params=self.at, protocols=protocols, max_msg_size=0) as socket:
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                event = json.loads(message.data)
                self.replica.apply({"id": None, "data": None, **event})
            if message.type is aiohttp.WSMsgType.CLOSE:
                self.refusals += socket.close_code == 1013
                if wait := re.search(r"retry_after_ms=(\d+)", str(message.extra)):
                    self._wait = int(wait[1]) / 1000


class ReturningLongPoll(Returning):
    """A loop around the long poll, on a connection that is kept."""

    async def _listen(self) -> None:
        async with self.session.get(self.url, params={"wait": "50", **self.at}) as answer:
            if answer.status == 204:
                self.replica.cursor = answer.headers.get("Pushgate-Cursor", self.replica.cursor)
            elif self.refused(answer):
                return
            else:
                for event in (await answer.json())["events"]:
                    self.replica.apply(event)
            self._wait = 0.0


KINDS: list[type[Returning]] = [ReturningEventSource, ReturningWebSocket, ReturningLongPoll]


@asynccontextmanager
async def crowd(urls: list[str], *, of_each: int) -> AsyncIterator[list[Any]]:
    """So many clients of each kind, spread over these URLs, that follow as long as the context is open."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        clients = [kind(session, urls[number % len(urls)]) for kind in KINDS for number in range(of_each)]
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(client.follow()) for client in clients]
            try:
                yield clients
            finally:
                for task in following:
                    task.cancel()
