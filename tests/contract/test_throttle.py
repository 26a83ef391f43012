"""
``?throttle=`` and ``?heartbeat=``: each subscriber may be told less often, and loses nothing by it.

A throttled subscriber is a cursor that rests: it gets one event for all that happened meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backends import ScriptedBackend, scripted_backend
from gateways import Running, route, running_gateway
from links import Link
from sharedlinks import SHARED, replicas_of
from sidebyside import side_by_side
from transports import STREAMS, TRANSPORTS

INTERVAL = 0.4


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    async with scripted_backend() as running:
        running.serve(document(0))
        yield running


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    routes = {"/t": route(poll={"until": "n == `999`"}), "/u": route()}
    async with running_gateway(backend, routes, server={"heartbeat": "30s"}) as running:
        yield running


def document(n: int) -> dict[str, Any]:
    return {"n": n, "rows": [{"id": i, "v": i} for i in range(20)]}


def link_to(gateway: Running, transport: str, **params: str) -> Link:
    link = TRANSPORTS[transport](gateway.base, "/t")
    link.params = params
    return link


async def change_often(backend: ScriptedBackend, first: int, last: int) -> None:
    for n in range(first, last + 1):
        backend.serve(document(n))
        await backend.polled(2)


def changes(link: Link) -> list[Any]:
    return [event for event in link.heard if event["event"] in ("snapshot", "patch", "merge")]


@pytest.mark.parametrize("transport", STREAMS)
async def test_one_event_stands_for_all_that_happened_meanwhile(
    transport: str, backend: ScriptedBackend, gateway: Running
) -> None:
    """Who rests gets every state's sum, never the states; the last one always arrives; others get each as it comes."""
    throttled = link_to(gateway, transport, throttle="400ms")
    eager = link_to(gateway, transport)
    async with throttled, eager:
        await throttled.connect()
        await eager.connect()
        await eager.follow(document(0))
        await throttled.follow(document(0))
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(change_often(backend, 1, 30))
            tasks.create_task(eager.follow(document(30)))
            tasks.create_task(throttled.follow(document(30)))
        elapsed = asyncio.get_running_loop().time() - began
        assert len(changes(eager)) == 31
        assert len(changes(throttled)) <= elapsed / INTERVAL + 2
        assert {event["event"] for event in changes(throttled)[1:]} == {"patch"}
    assert await gateway.metric("pushgate_conflations_total") == 0, "nobody was slow"


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_comes_back_gets_one_event_too(transport: str, backend: ScriptedBackend, gateway: Running) -> None:
    """Three small changes are replayed one by one to others; to who is throttled they are one."""
    link = link_to(gateway, transport, throttle="100ms")
    plain = link_to(gateway, transport)
    async with link, plain:
        await plain.connect()
        await plain.follow(document(0))
        await link.connect()
        await link.follow(document(0))
        await link.disconnect()
        for n in (1, 2, 3):
            backend.serve(document(n))
            await plain.follow(document(n))
        await link.reconnect()
        link.heard.clear()
        await link.follow(document(3))
        assert [event["event"] for event in changes(link)] == ["patch"]
    assert await gateway.metric("pushgate_resumes_total", result="combined") == 1


@pytest.mark.parametrize("transport", STREAMS)
async def test_the_end_is_told_when_the_rest_is_over(
    transport: str, backend: ScriptedBackend, gateway: Running
) -> None:
    """With the last document, and nothing after it."""
    link = link_to(gateway, transport, throttle="300ms")
    async with link:
        await link.connect()
        await link.follow(document(0))
        await change_often(backend, 1, 2)
        backend.serve(document(999))
        await link.hear("end")
        assert link.replica.holds(document(999))


async def test_a_long_poll_gets_one_event(backend: ScriptedBackend, gateway: Running) -> None:
    """It sets its own pace by asking; ``throttle`` makes of what it missed one event."""
    link, plain = link_to(gateway, "long_poll", throttle="5s"), link_to(gateway, "sse")
    async with link, plain:
        await plain.connect()
        await link.connect()
        await link.follow(document(0))
        await plain.follow(document(0))
        for n in (1, 2, 3):
            backend.serve(document(n))
            await plain.follow(document(n))
        link.heard.clear()
        await link.follow(document(3))
        assert [event["event"] for event in changes(link)] == ["patch"]


async def test_its_own_heartbeat(gateway: Running, subtests: pytest.Subtests) -> None:
    """A client behind an impatient proxy may ask for more signs of life than the others get, on its connection."""

    async def has_its_own(transport: str) -> None:
        async with link_to(gateway, transport, heartbeat="2s") as link:
            await link.connect()
            await link.follow(document(0))
            began = asyncio.get_running_loop().time()
            first, second = await link.hear("heartbeat"), await link.hear("heartbeat")
            assert asyncio.get_running_loop().time() - began < 15, "the others get theirs every 30 s"
            assert first["id"] == second["id"] == link.replica.cursor

    await side_by_side(subtests, {transport: has_its_own(transport) for transport in STREAMS})


@pytest.mark.parametrize("transport", SHARED)
async def test_a_connection_with_many_topics(transport: str, backend: ScriptedBackend, gateway: Running) -> None:
    """
    A shared SSE connection has one position, so its topics rest together; on a WebSocket each rests by itself.

    A long poll of many topics sets its own pace.
    """
    async with SHARED[transport](gateway.base, replicas_of(["/t", "/u"])) as link:
        link.extra = {"throttle": "400ms", "heartbeat": "2s"}
        await link.connect()
        await link.follow({"/t": document(0), "/u": document(0)})
        link.heard.clear()
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(change_often(backend, 1, 30))
            tasks.create_task(link.follow({"/t": document(30), "/u": document(30)}))
        elapsed = asyncio.get_running_loop().time() - began
        if transport != "long_poll":
            assert link.kinds("/t").count("patch") <= elapsed / INTERVAL + 2
            assert (await link.hear("heartbeat"))["data"].keys() == {"at"}
        await link.reconnect()
        link.heard.clear()
        backend.serve(document(31))
        await link.follow({"/t": document(31), "/u": document(31)})
        assert link.kinds("/t").count("snapshot") == 0, "nothing that it was told was forgotten"
