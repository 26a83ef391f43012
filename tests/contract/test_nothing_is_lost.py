"""
Promise 1: whoever applies what it gets holds at every id what the upstream served then, and in the end what it serves.

The witness is a client that only takes snapshots and never disconnects: what it holds at an id is the truth there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from backends import ScriptedBackend
from conftest import SOAK
from gateways import EVERY_MODE, Running, eventually, http_client, route, running_gateway
from links import Link, Sse, WebSocket
from replicas import GONE, Replica, assert_true_at_every_id, position_of
from transports import RESUMABLE, TRANSPORTS, connected, see_through

OBJECTS = ["patch", "merge", "snapshot"]
ARRAYS = ["patch", "items", "snapshot"]
WAYS = [
    ("short_poll", None),
    *((transport, mode) for transport in RESUMABLE for mode in EVERY_MODE),
]
RESUMING_WAYS = [way for way in WAYS if way[0] != "short_poll"]
ROUTES = {"/object": route(), "/array": route(key="id", emit=EVERY_MODE), "/other": route(key="id", emit=EVERY_MODE)}


def topic_of(mode: str | None) -> str:
    return "/array" if mode == "items" else "/object"


def documents(seed: int, count: int, *, is_array: bool, upheavals: bool = True) -> list[Any]:
    """A series in which rows come, go, change and move, and members become null or something else altogether."""
    chance = Random(seed)
    rows = [{"id": n, "name": f"row {n}", "load": 0.5, "tags": ["a"]} for n in range(30)]
    series: list[Any] = []
    for step in range(count):
        rows = [dict(row) for row in rows]
        rows[chance.randrange(len(rows))]["load"] = chance.choice([step + 0.25, step, None, True, "ü\u2028~/"])
        rows[chance.randrange(len(rows))]["tags"] = [str(step)] * chance.randrange(3)
        if chance.random() < 0.5:
            rows.insert(chance.randrange(len(rows)), {"id": 100 + step, "name": "new"})
        if chance.random() < 0.4:
            rows.pop(chance.randrange(len(rows)))
        if chance.random() < 0.4:
            rows.append(rows.pop(0))
        if upheavals and chance.random() < 0.1:
            chance.shuffle(rows)
        extra = {"note/~": chance.choice([None, step])} if chance.random() < 0.5 else {}
        series.append(rows if is_array else {"step": step, "rows": rows, **extra})
    return series


@asynccontextmanager
async def watched(
    backend: ScriptedBackend, topic: str, first: Any, **changes: Any
) -> AsyncIterator[tuple[Running, Link]]:
    """A gateway whose topic has a witness from its first document on."""
    backend.serve(first)
    async with (
        running_gateway(backend, ROUTES | changes) as gateway,
        connected("sse", gateway.base, topic, emit="snapshot") as witness,
    ):
        await witness.follow(first)
        yield gateway, witness


async def publish(backend: ScriptedBackend, witness: Link, series: list[Any]) -> None:
    """Serve documents one after the other, each until it was seen."""
    for document in series:
        backend.serve(document)
        await witness.follow(document)


@pytest.mark.parametrize(("transport", "mode"), WAYS)
async def test_every_document_is_held_in_turn(backend: ScriptedBackend, transport: str, mode: str | None) -> None:
    """A client that stays connected goes through every document that the upstream served while it was polled."""
    topic = topic_of(mode)
    series = documents(1, 12, is_array=mode == "items")
    async with (
        watched(backend, topic, series[0]) as (gateway, witness),
        connected(transport, gateway.base, topic, emit=mode) as client,
    ):
        await client.follow(series[0])
        for document in series[1:]:
            backend.serve(document)
            await see_through([witness, client], document)
        assert_true_at_every_id(client.replica, witness.replica)
        if mode in ("patch", "items"):
            assert client.replica.kinds.count(mode) >= 8, client.replica.kinds


@pytest.mark.parametrize(("transport", "mode"), RESUMING_WAYS)
@pytest.mark.parametrize("missed", [0, 3, 25])
async def test_a_client_that_returns_continues(
    backend: ScriptedBackend, transport: str, mode: str, missed: int
) -> None:
    """Whoever returns with its last id gets what it missed and nothing else: no snapshot where changes suffice."""
    topic = topic_of(mode)
    series = documents(2, 3 + missed + 1, is_array=mode == "items", upheavals=False)
    async with (
        watched(backend, topic, series[0]) as (gateway, witness),
        connected(transport, gateway.base, topic, emit=mode) as client,
    ):
        await client.follow(series[0])
        backend.serve(series[1])
        await see_through([witness, client], series[1])
        await client.disconnect()
        await publish(backend, witness, series[2 : 2 + missed])
        before = len(client.replica.kinds)
        await client.reconnect()
        await client.follow(witness.replica.document)
        backend.serve(series[-1])
        await see_through([witness, client], series[-1])
        assert_true_at_every_id(client.replica, witness.replica)
        if mode in ("patch", "items") and missed < 25:
            assert "snapshot" not in client.replica.kinds[before:], client.replica.kinds


@pytest.mark.parametrize("is_array", [True, False], ids=["array", "object"])
@pytest.mark.parametrize("seed", range(3 * SOAK))
async def test_over_any_mix_of_transports(backend: ScriptedBackend, seed: int, is_array: bool) -> None:
    """One client that hops between transports and modes, and misses what happens in between, loses nothing."""
    chance = Random(seed)
    topic, modes = ("/array", ARRAYS) if is_array else ("/object", OBJECTS)
    series = documents(seed, 40, is_array=is_array)
    replica = Replica()
    async with watched(backend, topic, series[0]) as (gateway, witness):
        rest = iter(series[1:])
        for document in rest:
            transport, mode = chance.choice(list(TRANSPORTS)), chance.choice(modes)
            emit = None if transport == "short_poll" else mode
            async with TRANSPORTS[transport](gateway.base, topic, replica, emit=emit) as link:
                await link.connect(replica.cursor)
                await link.follow(witness.replica.document)
                for following in [document, *(next(rest, document) for _ in range(chance.randrange(3)))]:
                    backend.serve(following)
                    await see_through([witness, link], following)
            await publish(backend, witness, [next(rest, document) for _ in range(chance.choice([0, 0, 1, 6]))])
        async with Sse(gateway.base, topic, replica, emit="patch") as last:
            await last.connect(replica.cursor)
            await last.follow(witness.replica.document)
        assert_true_at_every_id(replica, witness.replica)


@pytest.mark.parametrize(("transport", "mode"), RESUMING_WAYS)
async def test_a_client_cut_in_the_middle_of_anything(backend: ScriptedBackend, transport: str, mode: str) -> None:
    """Whenever a connection breaks, also with events on their way, the last id that arrived is where it goes on."""
    topic = topic_of(mode)
    series = documents(3, 16, is_array=mode == "items")
    chance = Random(f"{transport} {mode}")
    async with (
        watched(backend, topic, series[0]) as (gateway, witness),
        connected(transport, gateway.base, topic, emit=mode) as client,
    ):
        for document in series[1:]:
            following = asyncio.create_task(client.follow(document))
            backend.serve(document)
            await witness.follow(document)
            if chance.random() < 0.5:
                following.cancel()
                await asyncio.wait([following])
                await client.reconnect()
            else:
                await following
        await client.follow(series[-1])
        assert_true_at_every_id(client.replica, witness.replica)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_gone_and_back_is_a_change_like_any_other(backend: ScriptedBackend, transport: str) -> None:
    """What disappears upstream is ``gone`` on streams that stay open, and a snapshot when it returns."""
    async with (
        watched(backend, "/object", {"n": 1}) as (gateway, witness),
        connected(transport, gateway.base, "/object") as client,
    ):
        await client.follow({"n": 1})
        backend.say(b"no such thing", status=404)
        await see_through([witness, client], GONE)
        backend.serve({"n": 2})
        await see_through([witness, client], {"n": 2})
        assert client.replica.kinds == ["snapshot", "gone", "snapshot"]
        assert_true_at_every_id(client.replica, witness.replica)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_after_a_restart_the_same_document_needs_no_snapshot(backend: ScriptedBackend, transport: str) -> None:
    """A cursor from before a restart continues if its document is still the current one."""
    async with watched(backend, "/object", {"n": 1, "pad": "x" * 200}) as (gateway, witness):
        async with connected(transport, gateway.base, "/object") as client:
            await client.follow({"n": 1, "pad": "x" * 200})
        old = client.replica.cursor
        truth = witness.replica
    async with running_gateway(backend, ROUTES) as gateway, client, asyncio.TaskGroup() as tasks:
        client.base = gateway.base
        await client.reconnect()
        following = tasks.create_task(client.follow({"n": 2, "pad": "x" * 200}))
        await backend.polled(2)  # the client is the only one to be polled for, so it is there by now
        async with connected("sse", gateway.base, "/object", emit="snapshot") as witness:
            await witness.follow({"n": 1, "pad": "x" * 200})
            backend.serve({"n": 2, "pad": "x" * 200})
            await witness.follow({"n": 2, "pad": "x" * 200})
            await following
        assert client.replica.kinds == ["snapshot", "patch"]
        assert position_of(client.replica.cursor or "")[0] != position_of(old or "")[0]
        witness.replica.states += truth.states
        assert_true_at_every_id(client.replica, witness.replica)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_after_a_restart_another_document_is_a_snapshot(backend: ScriptedBackend, transport: str) -> None:
    """A cursor from before a restart is a gap if the document has changed meanwhile."""
    async with running_gateway(backend, ROUTES) as gateway:
        backend.serve({"n": 1})
        async with connected(transport, gateway.base, "/object") as client:
            await client.follow({"n": 1})
    backend.serve({"n": 2})
    async with running_gateway(backend, ROUTES) as gateway, client:
        client.base = gateway.base
        await client.reconnect()
        await client.follow({"n": 2})
        assert client.replica.kinds == ["snapshot", "snapshot"]


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_an_evicted_cursor_is_a_snapshot(backend: ScriptedBackend, transport: str) -> None:
    """A cursor that the history no longer reaches is answered with the whole document, never with a part."""
    series = documents(4, 12, is_array=False)
    async with (
        watched(backend, "/short", series[0], **{"/short": route(history={"events": 3})}) as (gateway, witness),
        connected(transport, gateway.base, "/short") as client,
    ):
        await client.follow(series[0])
        await client.disconnect()
        await publish(backend, witness, series[1:])
        await client.reconnect()
        await client.follow(series[-1])
        assert client.replica.kinds[-1] == "snapshot"
        assert_true_at_every_id(client.replica, witness.replica)


async def foreign_cursors(gateway: Running) -> dict[str, str]:
    """Cursors that were never issued for /array under patch, some of them for the same document."""
    async with http_client() as client:
        other = (await client.get(f"{gateway.base}/other")).headers["Pushgate-Cursor"]
        own = (await client.get(f"{gateway.base}/array")).headers["Pushgate-Cursor"]
    epoch, number, scope, digest = own.split(".")
    return {
        "of another topic": other,
        "of the future": f"{epoch}.{int(number) + 99}.{scope}.AAAAAAAAAAA",
        "of the past": f"{epoch}.0.{scope}.{digest}",
        "with another digest": f"{epoch}.{number}.{scope}.AAAAAAAAAAA",
        "with a number that is none": f"{epoch}.²{number}.{scope}.{digest}",
        "garbage": "hello",
        "dots": "...",
        "of 500 characters": own + "x" * 500,
        "of 500 digits": f"{epoch}.{'9' * 500}.{scope}.{digest}",
    }


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_foreign_cursor_is_a_snapshot(backend: ScriptedBackend, transport: str) -> None:
    """What was issued for something else, or by nobody, is a gap: answered with a snapshot and never with silence."""
    rows = [{"id": n} for n in range(9)]
    async with watched(backend, "/array", rows) as (gateway, _):
        for name, cursor in (await foreign_cursors(gateway)).items():
            async with connected(transport, gateway.base, "/array") as client:
                # An HTTP header carries ASCII, so the one that does not is sent by those that put it into a URL.
                if transport.startswith("sse") and not cursor.isascii():
                    continue
                await client.disconnect()
                await client.connect(cursor)
                event = await client.receive()
                assert (event["event"], event["data"]) == ("snapshot", rows), name


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_cursor_from_items_continues_only_under_items(backend: ScriptedBackend, transport: str) -> None:
    """``items`` keep no order, so what they led to is no ground for a patch; the other way round there is no gap."""
    rows = [{"id": n, "name": f"row {n}"} for n in range(30)]
    async with (
        watched(backend, "/array", rows) as (gateway, witness),
        connected(transport, gateway.base, "/array", emit="items") as client,
    ):
        await client.follow(rows)
        backend.serve(changed := [{"id": 0, "name": "another"}, *rows[1:]])
        await see_through([client, witness], changed)
        assert client.replica.kinds[-1] == "items"
        client.params = {"emit": "patch"}
        await client.reconnect()
        assert (await client.receive())["event"] == "snapshot"
        client.params = {"emit": "items"}
        await client.reconnect()
        backend.serve(rows)
        await see_through([client, witness], rows)
        assert client.replica.kinds[-1] == "items"
        assert_true_at_every_id(client.replica, witness.replica)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_another_definition_of_the_route_is_a_gap(backend: ScriptedBackend, transport: str) -> None:
    """A cursor is bound to how its document was made: another ``select`` or ``ignore`` makes it worthless."""
    backend.serve({"n": 1, "rest": {"n": 1}})
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected(transport, gateway.base, "/t") as client,
    ):
        await client.follow({"n": 1, "rest": {"n": 1}})
    for changes in [{"select": "rest"}, {"ignore": ["/gone"]}, {"key": "id"}, {"request": {"path": "/elsewhere"}}]:
        async with running_gateway(backend, {"/t": route(**changes)}) as gateway, client:
            client.base = gateway.base
            await client.reconnect()
            await client.hear("snapshot")


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_cursor_that_came_before_the_document_is_judged_with_it(
    backend: ScriptedBackend, transport: str
) -> None:
    """A client may come back before the upstream does: its cursor is kept and judged against the first document."""
    backend.serve({"n": 1, "pad": "x" * 99})
    async with running_gateway(backend, ROUTES) as gateway, connected(transport, gateway.base, "/object") as client:
        await client.follow({"n": 1, "pad": "x" * 99})
    body = backend.body
    backend.say(b"", status=500)
    async with running_gateway(backend, ROUTES) as gateway, client:
        client.base = gateway.base
        await client.reconnect()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.follow({"n": 2, "pad": "x" * 99}))
            await backend.polled(2)
            backend.say(body)
            await backend.polled(2)
            backend.serve({"n": 2, "pad": "x" * 99})
        assert client.replica.kinds == ["snapshot", "patch"]


async def test_after_unsubscribe_nothing_moves(backend: ScriptedBackend) -> None:
    """Whoever unsubscribes on a WebSocket stays where it was: heartbeats do not carry it over what it was not told."""
    backend.serve({"n": 1})
    async with (
        running_gateway(backend, ROUTES, server={"heartbeat": "2s"}) as gateway,
        connected("websocket", gateway.base, "/object") as client,
        connected("sse", gateway.base, "/object", emit="snapshot") as witness,
    ):
        assert isinstance(client, WebSocket)
        await see_through([witness, client], {"n": 1})
        position = client.replica.cursor
        await client.say(op="unsubscribe", topic="/object", ref=1)
        await client.hear("ack")
        backend.serve({"n": 2})
        await witness.follow({"n": 2})
        beat = await client.hear("heartbeat")
        assert beat["id"] in (position, None)
        await client.say(op="subscribe", topic="/object", cursor=client.replica.cursor, ref=2)
        client.replica.subscribe()
        await client.follow({"n": 2})
        backend.serve({"n": 3})
        await see_through([client, witness], {"n": 3})
        assert_true_at_every_id(client.replica, witness.replica)


async def poll_until_told(client: Any, url: str, cursor: str, wait: str) -> Any:
    """A client's loop of long polls, until one of them brings events."""
    params = {"cursor": cursor, "wait": wait}

    async def ask() -> Any:
        answer = await client.get(url, params=params)
        params["cursor"] = answer.headers["Pushgate-Cursor"]
        return answer

    async with asyncio.timeout(2):
        return await eventually(ask, lambda answer: answer.status_code == 200)


@pytest.mark.parametrize("wait", ["0", "0.01"])
async def test_a_long_poll_that_hardly_waits_misses_nothing(backend: ScriptedBackend, wait: str) -> None:
    """A loop of long polls that do not wait is a listener: the topic is polled for it, however long it goes on."""
    backend.serve({"n": 1})
    slow = route(poll={"linger": "20ms"})
    async with running_gateway(backend, {"/t": slow}) as gateway, http_client() as client:
        cursor = (await client.get(f"{gateway.base}/t")).headers["Pushgate-Cursor"]
        await asyncio.sleep(0.1)  # longer than linger: nobody listens
        backend.serve({"n": 2})
        async with asyncio.timeout(2):
            while (
                answer := await client.get(f"{gateway.base}/t", params={"cursor": cursor, "wait": wait})
            ).status_code != 200:
                cursor = answer.headers["Pushgate-Cursor"]
                await asyncio.sleep(0.01)
        assert answer.json()["events"][-1]["event"] == "snapshot"


async def test_a_cold_long_poll_that_does_not_wait_starts_the_poll(backend: ScriptedBackend) -> None:
    """Who comes with a cursor to a topic without a document is its first listener, even if it does not wait."""
    backend.serve({"n": 1})
    async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
        answer = await poll_until_told(client, f"{gateway.base}/t", "a.1.b.c", "0")
        assert answer.json()["events"][0]["data"] == {"n": 1}
