"""
Fairness: while very many are told of a change, everybody else has their turn, and in between nothing is lost.

The many are subscribers without a socket, so that there can be more of them than a test has sockets; who must not wait
for them is a real client of the same gateway.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from backends import PATIENCE, ScriptedBackend
from gateways import Running, eventually, route, running_gateway
from pushgate.channel import Channel
from pushgate.hub import Hub
from pushgate.subscriber import Subscriber
from pushgate.values import Mode
from pushgate.wire import BLOCKS
from replicas import Replica
from slowclients import read_sse
from transports import connected

MANY = 20_000

# Something to do for each of the many: as much as it takes to hand its bytes to a kernel.
LABOUR = bytes(30_000)


def document(n: int) -> list[dict[str, Any]]:
    """So large that a patch is smaller, and a row longer each time, so that whoever misses a patch has another one."""
    return [{"id": "r", "n": n}, *({"id": f"r{k}", "n": k} for k in range(20 + n))]


class Listener(Subscriber):
    """A client that takes whatever it is given, and is then asked what it does about that."""

    transport_name = "sse"

    def __init__(self, channel: Channel, *, mode: Mode, hears: Callable[[Listener, bytes], None]) -> None:
        super().__init__(channel, mode=mode, form=BLOCKS.plain, send=lambda data: hears(self, data))

    def join(self) -> None:
        self.channel.join(self, None, opening=b"")

    def leave(self) -> None:
        self.channel.leave(self)


@asynccontextmanager
async def two_topics(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Running, Channel, Callable[..., None]]]:
    """The topics ``/big`` and ``/small``, the channel of the first, and how to change their documents."""
    hubs: list[Hub] = []
    documents: dict[str, Any] = {}

    class HubInSight(Hub):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            hubs.append(self)

    def change(**numbers: int) -> None:
        documents.update({topic: document(n) for topic, n in numbers.items()})
        backend.serve(documents)

    monkeypatch.setattr("pushgate.gateway.Hub", HubInSight)
    change(big=0, small=0)
    routes = {f"/{topic}": route(request={"path": "/"}, select=topic, key="id") for topic in ("big", "small")}
    async with running_gateway(backend, routes) as gateway, connected("sse", gateway.base, "/big") as first:
        await first.hear("snapshot")
        [channel] = [topic for topic in hubs[0].topics() if topic.name.text == "/big"]
        yield gateway, channel, change


async def test_who_follows_another_topic_does_not_wait_for_them(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small topic changes when the first of the many has been told, and is told before the last of them is."""
    told: list[int] = [0]

    def hears(listener: Listener, data: bytes) -> None:
        told[0] += 1
        zlib.crc32(LABOUR)
        if told[0] == MANY + 1:
            change(small=1)

    async with two_topics(backend, monkeypatch) as (gateway, channel, change):
        many = [Listener(channel, mode="snapshot", hears=hears) for _ in range(MANY)]
        async with connected("sse", gateway.base, "/small", emit="patch") as client:
            await client.hear("snapshot")
            for one in many:
                one.join()
            assert told[0] == MANY
            change(big=1)
            await client.hear("patch")
            assert MANY < told[0] < 2 * MANY
            async with connected("sse", gateway.base, "/small", emit="patch") as newcomer:
                await newcomer.hear("snapshot")
                assert told[0] < 2 * MANY

            async def look() -> int:
                return told[0]

            await eventually(look, lambda number: number == 2 * MANY)
            for one in many:
                one.leave()


async def test_who_waits_for_the_first_document_does_not_keep_others_waiting(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After a restart everybody waits for the same poll; when it is there, they are told of it in steps as well.

    What is said of the topic's state meanwhile comes after the document, whoever's turn it is.
    """
    heard: dict[Listener, bytes] = {}

    def hears(listener: Listener, data: bytes) -> None:
        if not heard:
            change(small=1)
            asyncio.get_running_loop().call_soon(channel.announced)
        heard[listener] = heard.get(listener, b"") + data
        zlib.crc32(LABOUR)

    async with two_topics(backend, monkeypatch) as (gateway, channel, change):
        many = [Listener(channel, mode="snapshot", hears=hears) for _ in range(MANY)]
        async with connected("sse", gateway.base, "/small", emit="patch") as client:
            await client.hear("snapshot")
            for one in many:  # as on a topic without a document: behind, and nothing has been said to them
                one.is_paused = True
                one.join()
                one.is_paused = False
            change(big=1)
            await client.hear("patch")
            assert 0 < len(heard) < MANY

            async def look() -> int:
                return sum(data.endswith(b"\n\n") and b"event: status\n" in data for data in heard.values())

            await eventually(look, lambda number: number == MANY)
            assert all(data.count(b"event: ") == 2 for data in heard.values())
            assert all(data.index(b"event: snapshot\n") < data.index(b"event: status\n") for data in heard.values())
            for one in many:
                one.leave()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_between_the_steps(
    seed: int, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    While some have been told and others have not, listeners come, go, stop reading and read on, and the next change
    comes: each of them sees every document in its order, or a later one, and holds the last one in the end.
    """
    chance, loop = Random(seed), asyncio.get_running_loop()
    held: dict[Listener, Replica] = {}
    changes = 10
    newest = 0

    def hears(listener: Listener, data: bytes) -> None:
        nonlocal newest
        for event in read_sse(data):
            held[listener].apply(event)
        newest = max(newest, held[listener].document[0]["n"])
        match chance.randrange(100):
            case 0:
                stop_reading(listener)  # in the middle of being written to
            case 1:
                loop.call_soon(come)
            case 2 if len(held) > 200:
                loop.call_soon(go)
            case 3 | 4:
                loop.call_soon(lambda: stop_reading(chance.choice(list(held))))  # perhaps before it was told

    def stop_reading(listener: Listener) -> None:
        listener.pause_writing()
        loop.call_later(chance.random() / 20, read_on, listener)

    def read_on(listener: Listener) -> None:
        if listener in held:
            listener.resume_writing()

    def come() -> None:
        listener = Listener(channel, mode=chance.choice(modes), hears=hears)
        held[listener] = Replica()
        held[listener].subscribe()
        listener.join()

    def go() -> None:
        listener = chance.choice(list(held))
        del held[listener]
        listener.leave()

    modes: list[Mode] = ["patch", "snapshot"]
    async with two_topics(backend, monkeypatch) as (_, channel, change):
        for _ in range(2000):  # so many that there is another change before all of them are told of this one
            come()
        for n in range(1, changes + 1):
            change(big=n)
            async with asyncio.timeout(PATIENCE):
                while newest < n:  # noqa: ASYNC110 (the next change comes while this one is under way)
                    await asyncio.sleep(0)

        async def everyone() -> list[Any]:
            return [replica.document for replica in held.values()]

        last = document(changes)
        await eventually(everyone, lambda seen: all(one == last for one in seen))
        for listener in list(held):
            listener.leave()
