"""Backends that answer, and answer wrongly, on a stage with a gateway in front of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, ClassVar

from gateways import Running, eventually, http_client, route, running_gateway
from upstreams import Asked, RawBackend, raw_backend, respond

LOGIN_PAGE = b"<!doctype html><html><title>Sign in</title><form action=/login></form></html>"


class Trouble:
    """A backend that is honest until its crime begins; then as many answers are bad as ``bad_answers`` says."""

    reasons: ClassVar[set[str]] = set()  # how its failed polls are counted
    upstream: ClassVar[dict[str, Any]] = {}
    route: ClassVar[dict[str, Any]] = {}
    path: ClassVar = "/document"
    topic: ClassVar = "/document"
    type: ClassVar = "application/json"

    def __init__(self) -> None:
        self.version = 1
        self.bad_answers: float = 0
        self.times: list[tuple[float, bool]] = []  # when it was asked, and whether the answer was bad

    def __call__(self, asked: Asked) -> bytes:
        self.times.append((monotonic(), self.bad_answers > 0))
        if self.bad_answers > 0:
            self.bad_answers -= 1
            return self.crime(asked)
        return self.honest()

    def honest(self) -> bytes:
        return self.say(self.body(self.version))

    def say(self, body: str | bytes, *fields: str, status: str = "200 OK") -> bytes:
        data = body.encode() if isinstance(body, str) else body
        return respond(status, data, f"Content-Type: {self.type}", *fields)

    def body(self, version: int) -> str:
        return json.dumps([{"id": number, "version": version} for number in range(12)])

    def crime(self, asked: Asked) -> bytes:
        raise NotImplementedError


class Scene:
    """A gateway in front of one bad backend, and a client that asks it."""

    def __init__(self, gateway: Running, trouble: Trouble, backend: RawBackend, client: Any) -> None:
        self.gateway = gateway
        self.trouble = trouble
        self.backend = backend
        self.client = client

    async def get(self) -> tuple[str, Any]:
        answer = await self.client.get(self.gateway.base + self.trouble.topic)
        return answer.headers["Pushgate-State"], answer.json()

    async def until(self, state: str) -> Any:
        """Ask until the topic is in this state; return the document."""
        return (await eventually(self.get, lambda seen: seen[0] == state))[1]

    async def until_not(self, document: Any) -> Any:
        return (await eventually(self.get, lambda seen: seen[1] != document))[1]

    async def until_polled(self, times: int) -> None:
        """Let the backend be asked so often from now on, by asking for the document: else its topic falls asleep."""
        wanted = len(self.backend.asked) + times

        async def asked() -> int:
            await self.get()
            return len(self.backend.asked)

        await eventually(asked, lambda count: count >= wanted)

    async def count(self, outcome: str) -> float:
        return await self.gateway.metric("pushgate_polls_total", outcome=outcome)

    async def until_counted(self, outcome: str, times: int) -> None:
        async def counted() -> float:
            return await self.count(outcome)

        await eventually(counted, lambda count: count >= times)

    async def failures(self) -> float:
        return await self.gateway.metric("pushgate_poll_failures_total")

    async def changes(self) -> float:
        return await self.gateway.metric("pushgate_changes_total")


@asynccontextmanager
async def staged(trouble: Trouble) -> AsyncIterator[Scene]:
    async with (
        raw_backend(trouble) as backend,
        running_gateway(
            backend.url, {trouble.path: route(**{"key": "id"} | trouble.route)}, upstream=trouble.upstream
        ) as gateway,
        http_client() as client,
    ):
        yield Scene(gateway, trouble, backend, client)
