"""PyPI's ``httpx-sse`` resumes with ``Last-Event-ID``: after it left, and after a restart of the gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

DEADLINE = 20


class Follower:
    """A client that keeps its last id, and comes back with it when it is told to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.last: str | None = None
        self.events: list[dict[str, Any]] = []

    async def follow(self, until: int) -> list[str]:
        """Connect, listen until the document with this number is held, hang up; return the kinds that were heard."""
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        heard: list[str] = []
        async with (
            asyncio.timeout(DEADLINE),
            httpx.AsyncClient(timeout=DEADLINE) as client,
            aconnect_sse(client, "GET", self.url, headers=headers) as source,
        ):
            async for event in source.aiter_sse():
                data = event.json()
                heard.append(event.event)
                self.last = event.id or self.last
                self.events.append({"event": event.event, "id": event.id, "data": data})
                if event.event in ("snapshot", "patch") and self._tells(event.event, data, until):
                    break
        return heard

    def _tells(self, kind: str, data: Any, number: int) -> bool:
        if kind == "snapshot":
            return bool(data["n"] == number)
        return {"op": "replace", "path": "/n", "value": number} in data


@pytest.fixture
def follower(gateway: Any) -> Follower:
    return Follower(f"{gateway.url}/counter")


async def test_what_happened_meanwhile_is_replayed(backend: Any, follower: Follower) -> None:
    """Changes that came while it was away arrive first, one by one, and then what is new."""
    assert "snapshot" in await follower.follow(until=0)
    await backend.change(4)
    assert await follower.follow(until=4) == ["patch"] * 4
    await backend.change(3)
    assert await follower.follow(until=7) == ["patch"] * 3
    backend.check(backend.fold(follower.events), epochs=1)


async def test_nothing_new_is_said_at_once(backend: Any, gateway: Any, follower: Follower) -> None:
    """Somebody who has seen everything gets a heartbeat, with the retry that it should obey; never silence."""
    await follower.follow(until=0)
    assert follower.last is not None
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient() as client,
        aconnect_sse(client, "GET", follower.url, headers={"Last-Event-ID": follower.last}) as source,
    ):
        event = await anext(source.aiter_sse())
        assert (event.event, event.id) == ("heartbeat", follower.last)
        assert event.retry is not None
        assert 1000 <= event.retry <= 4000


async def test_a_restart(backend: Any, gateway: Any, follower: Follower) -> None:
    """An id from before the restart is a gap, and a gap is answered with the document."""
    await follower.follow(until=0)
    await backend.change(2)
    await follower.follow(until=2)
    await gateway.end()
    backend.change_unseen()
    await gateway.start()
    assert "snapshot" in await follower.follow(until=3)
    await backend.change(2)
    assert await follower.follow(until=5) == ["patch"] * 2
    backend.check(backend.fold(follower.events), epochs=2)


async def test_the_unnamed_framing(backend: Any, gateway: Any) -> None:
    """With ``?framing=message`` everything is a message whose data is the envelope."""
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient() as client,
        aconnect_sse(client, "GET", f"{gateway.url}/counter?framing=message") as source,
    ):
        async for event in source.aiter_sse():
            assert event.event == "message"
            envelope = event.json()
            assert {"event", "at", "data"} <= envelope.keys()
            if envelope["event"] == "snapshot":
                assert envelope["id"] == event.id
                break
