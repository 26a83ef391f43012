"""
Long polls on one connection whose words do not change: they are answered as every other, but nobody reads them.

What aiohttp answers has a ``Server`` field, and what is answered without it has none: so it can be seen who did.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends import PATIENCE, ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from pushgate.adapters.downstream.inquiry import Found
from pushgate.channel import Channel
from reloads import reloadable_gateway
from slowclients import RawClient, raw_client, status_of

ROUTES = {"/t": route(emit=["snapshot"]), "/part/{x}": {"from": "/t", "pointer": "/{x}", "emit": ["snapshot"]}}


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES) as running:
        yield running


async def cursor_of(gateway: Running, path: str = "/t") -> str:
    async with http_client(base_url=gateway.base) as client:
        return str((await client.get(path)).headers["Pushgate-Cursor"])


async def answer_of(raw: RawClient) -> tuple[str, Any]:
    """Read one answer: its head, and its body if that is JSON."""
    raw.received = b""
    await raw.read_until(b"\r\n\r\n")
    length = re.search(r"Content-Length: (\d+)", raw.head)
    while length and len(raw.body) < int(length[1]):
        assert await raw.read(), "the end, in the middle of an answer"
    return raw.head, json.loads(raw.body) if length and "json" in raw.head else None


async def parked(gateway: Running, number: int = 1) -> None:
    async def count() -> float:
        return await gateway.metric("pushgate_subscribers", transport="long_poll")

    await eventually(count, lambda seen: seen == number)


def was_read(head: str) -> bool:
    return "Server:" in head


@asynccontextmanager
async def known_client(gateway: Running, backend: ScriptedBackend) -> AsyncIterator[tuple[RawClient, str, str]]:
    """A client that was parked and answered once; yields it with the cursor before the answer, and that behind it."""
    before = await cursor_of(gateway)
    async with raw_client(gateway.port, receive_buffer=65536) as raw:
        await raw.ask(f"/t?wait=55&cursor={before}")
        await parked(gateway)
        backend.serve({"n": 1})
        _, body = await answer_of(raw)
        assert [event["data"] for event in body["events"]] == [{"n": 1}]
        yield raw, before, body["cursor"]


async def test_a_client_that_asks_again_misses_nothing(gateway: Running, backend: ScriptedBackend) -> None:
    """Through any number of changes on one connection, whether they come while it waits or before it asks."""
    async with known_client(gateway, backend) as (raw, _, cursor):
        for n in range(2, 30):
            if n % 2:
                backend.serve({"n": n})
            await raw.ask(f"/t?wait=55&cursor={cursor}")
            if not n % 2:
                await parked(gateway)
                backend.serve({"n": n})
            head, body = await answer_of(raw)
            assert status_of(head) == 200
            assert not was_read(head)
            assert [event["data"] for event in body["events"]] == [{"n": n}]
            assert f"Pushgate-Cursor: {body['cursor']}" in head
            cursor = body["cursor"]


async def test_an_answer_is_the_same_whoever_gives_it(gateway: Running, backend: ScriptedBackend) -> None:
    """But for what says who, and when."""
    async with known_client(gateway, backend) as (raw, before, _), raw_client(gateway.port) as other:
        await raw.ask(f"/t?wait=55&cursor={before}")
        await other.ask(f"/t?wait=55&cursor={before}")
        (by_heart, body), (read, same) = await answer_of(raw), await answer_of(other)
        assert (was_read(by_heart), was_read(read)) == (False, True)
        assert body == same

        def fields(head: str) -> set[str]:
            return {
                line for line in head.splitlines() if not line.startswith(("Server:", "Date:", "Age:", "X-Request-Id:"))
            }

        assert fields(by_heart) == fields(read)


async def test_a_cursor_that_nobody_knows_is_a_gap(gateway: Running, backend: ScriptedBackend) -> None:
    async with known_client(gateway, backend) as (raw, _, _):
        await raw.ask("/t?wait=55&cursor=e.1.s.h")
        head, body = await answer_of(raw)
        assert not was_read(head)
        assert [event["event"] for event in body["events"]] == ["snapshot"]


async def test_a_wait_that_is_over_is_answered_and_begins_again(gateway: Running) -> None:
    cursor = await cursor_of(gateway)
    async with raw_client(gateway.port) as raw:
        for _ in range(4):
            await raw.ask(f"/t?wait=0.1&cursor={cursor}")
            head, _ = await answer_of(raw)
            assert status_of(head) == 204
            assert f"Pushgate-Cursor: {cursor}" in head


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /t HTTP/1.1\r\nHost: gateway\r\n\r\n", 200),
        ("GET /t?wait=55&cursor={before} HTTP/1.1\r\nhost: gateway\r\n\r\n", 200),
        ("GET /t?wait=55&cursor={before} HTTP/1.1\r\nHost: gateway\r\nX: y\r\n\r\n", 200),
        ("GET /t?wait=54&cursor={before} HTTP/1.1\r\nHost: gateway\r\n\r\n", 200),
        ("GET /t?wait=0&cursor=now HTTP/1.1\r\nHost: gateway\r\n\r\n", 204),
        ("GET /nothing?wait=55&cursor={before} HTTP/1.1\r\nHost: gateway\r\n\r\n", 404),
        ("GET /t?wait=55&cursor={before}&cursor=x HTTP/1.1\r\nHost: gateway\r\n\r\n", 400),
        ("OPTIONS /t?wait=55&cursor={before} HTTP/1.1\r\nHost: gateway\r\n\r\n", 204),
    ],
)
async def test_other_words_are_read(gateway: Running, backend: ScriptedBackend, request_: str, status: int) -> None:
    """The connection is aiohttp's again, and what it answers is what it answers on a new one."""
    async with known_client(gateway, backend) as (raw, before, _):
        await raw.send(request_.format(before=before).encode())
        head, _ = await answer_of(raw)
        assert status_of(head) == status
        assert was_read(head)


async def test_a_request_that_comes_in_pieces_is_read(gateway: Running, backend: ScriptedBackend) -> None:
    async with known_client(gateway, backend) as (raw, before, _):
        await raw.send(f"GET /t?wait=55&cursor={before} HT".encode())
        await parked(gateway, 0)
        await asyncio.sleep(0.05)
        await raw.send(b"TP/1.1\r\nHost: gateway\r\n\r\n")
        head, body = await answer_of(raw)
        assert was_read(head)
        assert body["events"][-1]["data"] == {"n": 1}


async def test_requests_that_come_together_are_all_answered(gateway: Running, backend: ScriptedBackend) -> None:
    async with known_client(gateway, backend) as (raw, before, _):
        request = f"GET /t?wait=55&cursor={before} HTTP/1.1\r\nHost: gateway\r\n"
        raw.received = b""
        await raw.send(f"{request}\r\n{request}\r\n{request}Connection: close\r\n\r\n".encode())
        await raw.read_all()
        assert raw.received.count(b"HTTP/1.1 200 OK") == 3


async def test_a_request_that_was_sent_ahead_is_answered_behind_the_first(
    gateway: Running, backend: ScriptedBackend
) -> None:
    async with known_client(gateway, backend) as (raw, before, cursor):
        await raw.ask(f"/t?wait=55&cursor={cursor}")
        await parked(gateway)
        raw.received = b""
        await raw.ask(f"/t?wait=55&cursor={before}")
        await asyncio.sleep(0.05)
        assert raw.received == b""
        backend.serve({"n": 2})
        async with asyncio.timeout(PATIENCE):
            while raw.received.count(b'"n":2') < 2:
                await raw.read()
        assert raw.received.count(b"HTTP/1.1 200 OK") == 2


async def test_who_does_not_read_is_not_answered_on(gateway: Running, backend: ScriptedBackend) -> None:
    """Whoever goes on asking while its last answer still waits for it is left to aiohttp, which has patience."""
    async with known_client(gateway, backend) as (raw, _, _):
        backend.serve({"n": 2, "pad": "x" * 400_000})
        await backend.polled(2)
        raw.received = b""
        await raw.ask("/t?wait=55&cursor=e.1.s.h")
        await raw.read()
        await raw.ask("/t?wait=55&cursor=e.2.s.h")
        async with asyncio.timeout(PATIENCE):
            while len(raw.received) < 800_000:
                assert await raw.read()
        heads = re.findall(r"HTTP/1\.1 200 OK\r\n.*?\r\n\r\n", raw.received.decode(), re.DOTALL)
        assert [was_read(head) for head in heads] == [False, True]


async def test_a_connection_between_two_questions_is_no_subscriber(gateway: Running, backend: ScriptedBackend) -> None:
    """It counts as a connection; when the client leaves, it does not any more."""

    async def connections() -> float:
        return await gateway.metric("pushgate_connections", transport="long_poll")

    async with known_client(gateway, backend):
        await parked(gateway, 0)
        assert await connections() == 1
    await eventually(connections, lambda number: number == 0)


async def test_a_drain_gives_a_connection_back_between_two_questions(
    gateway: Running, backend: ScriptedBackend
) -> None:
    """So its next question is refused as everybody's is, and says when to come back."""
    async with known_client(gateway, backend) as (raw, before, _), http_client(base_url=gateway.admin) as admin:
        await admin.post("/-/drain", headers={"Pushgate-Admin": "1"})
        await raw.ask(f"/t?wait=55&cursor={before}")
        head, _ = await answer_of(raw)
        assert status_of(head) == 503
        assert "Retry-After" in head
        await admin.delete("/-/drain", headers={"Pushgate-Admin": "1"})


async def test_nobody_gets_what_another_topic_says(gateway: Running, backend: ScriptedBackend) -> None:
    """Topics whose clients say the same words but for the path."""
    paths = ["/part/a", "/part/b"]
    backend.serve({"n": 0, "a": "a0", "b": "b0"})
    cursors = {path: await cursor_of(gateway, path) for path in paths}
    async with raw_client(gateway.port) as a, raw_client(gateway.port) as b:
        for n in range(1, 6):
            for path, raw in zip(paths, (a, b), strict=True):
                await raw.ask(f"{path}?wait=55&cursor={cursors[path]}")
            await parked(gateway, 2)
            backend.serve({"n": 0, "a": f"a{n}", "b": f"b{n}"})
            for path, raw in zip(paths, (a, b), strict=True):
                _, body = await answer_of(raw)
                assert [event["data"] for event in body["events"]] == [f"{path[-1]}{n}"]
                cursors[path] = body["cursor"]


async def test_what_is_known_by_heart_keeps_no_document(backend: ScriptedBackend) -> None:
    """Neither a topic that was forgotten to make room, nor an answer: that memory would be nobody's."""
    backend.serve({"n": 0})
    routes = {"/{x}": route(emit=["snapshot"], max_topics=2, poll={"linger": "0s"})}
    async with running_gateway(backend, routes) as gateway:
        for x in "abcde":
            cursor = await cursor_of(gateway, f"/{x}")
            async with raw_client(gateway.port) as raw:
                await raw.ask(f"/{x}?wait=0.05&cursor={cursor}")
                await answer_of(raw)
                await raw.ask(f"/{x}?wait=0.05&cursor=e.1.s.h")
                head, _ = await answer_of(raw)
                assert not was_read(head)
        await parked(gateway, 0)

        async def kept() -> tuple[int, int]:
            gc.collect()
            alive = [one for one in gc.get_objects() if isinstance(one, Found | Channel)]
            return sum(isinstance(one, Channel) for one in alive), sum(isinstance(one, Found) for one in alive)

        await eventually(kept, lambda seen: seen <= (2, 0))


async def test_a_new_configuration_is_what_counts(backend: ScriptedBackend, tmp_path: Path) -> None:
    """What the words meant before a reload is forgotten: a route that is gone is gone for these clients too."""
    backend.serve({"n": 0})
    async with (
        reloadable_gateway(backend, ROUTES, tmp_path) as reloadable,
        known_client(reloadable.running, backend) as (raw, before, _),
    ):
        await reloadable.rewrite(routes={"/else": route()})
        await raw.ask(f"/t?wait=55&cursor={before}")
        head, _ = await answer_of(raw)
        assert status_of(head) == 404
