"""
Promises 1 to 4 for documents that are read in the helper process: nobody can tell where a document was read.

Most tests lower the limit, so that small documents are big ones; the others have documents that are.
"""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest

import pushgate.reception
from backends import ScriptedBackend
from gateways import EVERY_MODE, eventually, http_client, route, running_gateway
from replicas import GONE, Replica, assert_true_at_every_id
from slowclients import EVENT_STREAM, raw_client, read_sse
from transports import RESUMABLE, TRANSPORTS, connected, see_through
from workshops import own_helpers

ROUTES = {"/object": route(), "/array": route(key="id", emit=EVERY_MODE)}
WAYS = [("short_poll", None), *((transport, mode) for transport in RESUMABLE for mode in EVERY_MODE)]

BIG = pushgate.reception.BIG_BYTES


@pytest.fixture
def all_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgate.reception, "BIG_BYTES", 0)


def topic_of(mode: str | None) -> str:
    return "/array" if mode == "items" else "/object"


def documents(seed: int, count: int, *, is_array: bool) -> list[Any]:
    """A series in which rows come, go, move and change, to values that a careless equality takes for the same."""
    chance = Random(seed)
    rows = [{"id": n, "name": f"row {n}", "value": 0} for n in range(30)]
    series: list[Any] = []
    for step in range(count):
        rows = [dict(row) for row in rows]
        rows[chance.randrange(len(rows))]["value"] = chance.choice(
            [step, True, 1, 1.0, None, 2**70 + step, "ü\u2028~/"]
        )
        if chance.random() < 0.5:
            rows.insert(chance.randrange(len(rows)), {"id": 100 + step, "name": "new", "value": step})
        if chance.random() < 0.4:
            rows.pop(chance.randrange(len(rows)))
        if chance.random() < 0.3:
            rows.append(rows.pop(0))
        if chance.random() < 0.1:
            chance.shuffle(rows)
        series.append(rows if is_array else {"step": step, "rows": rows})
    return series


def padded(step: int, size: int) -> dict[str, Any]:
    """A document of about so many bytes, in rows of which one is new at every step."""
    rows = [{"id": n, "text": "x" * 200, "step": 0} for n in range(size // 230)]
    rows[step % len(rows)]["step"] = step
    return {"step": step, "rows": rows}


@pytest.mark.usefixtures("all_big")
@pytest.mark.parametrize(("transport", "mode"), WAYS)
async def test_every_document_is_held_in_turn(backend: ScriptedBackend, transport: str, mode: str | None) -> None:
    """A client that stays, and then returns with its last id, holds at every id what the upstream served then."""
    topic, series = topic_of(mode), documents(1, 14, is_array=mode == "items")
    backend.serve(series[0])
    async with (
        running_gateway(backend, ROUTES) as gateway,
        connected("sse", gateway.base, topic, emit="snapshot") as witness,
        connected(transport, gateway.base, topic, emit=mode) as client,
    ):
        await see_through([witness, client], series[0])
        assert own_helpers()
        for document in series[1:8]:
            backend.serve(document)
            await see_through([witness, client], document)
        await client.disconnect()
        for document in series[8:12]:
            backend.serve(document)
            await witness.follow(document)
        await client.reconnect()
        await client.follow(series[11])
        for document in series[12:]:
            backend.serve(document)
            await see_through([witness, client], document)
        assert_true_at_every_id(client.replica, witness.replica)
        if mode in ("patch", "items"):
            assert client.replica.kinds.count(mode) >= 7, client.replica.kinds


@pytest.mark.usefixtures("all_big")
@pytest.mark.parametrize("is_array", [True, False], ids=["array", "object"])
async def test_over_any_mix_of_transports_and_modes(backend: ScriptedBackend, is_array: bool) -> None:
    """One client that hops between transports and modes, and misses what happens in between, loses nothing."""
    chance = Random(5)
    topic = "/array" if is_array else "/object"
    modes = ["patch", "items" if is_array else "merge", "snapshot"]
    series = documents(5, 30, is_array=is_array)
    replica = Replica()
    backend.serve(series[0])
    async with (
        running_gateway(backend, ROUTES) as gateway,
        connected("sse", gateway.base, topic, emit="snapshot") as witness,
    ):
        await witness.follow(series[0])
        for document in series[1:]:
            transport, mode = chance.choice(list(TRANSPORTS)), chance.choice(modes)
            emit = None if transport == "short_poll" else mode
            async with TRANSPORTS[transport](gateway.base, topic, replica, emit=emit) as link:
                await link.connect(replica.cursor)
                await link.follow(witness.replica.document)
                backend.serve(document)
                await see_through([witness, link], document)
        assert_true_at_every_id(replica, witness.replica)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_topic_that_shrinks_and_grows_again(backend: ScriptedBackend, transport: str) -> None:
    """Whether a document is read here or there, its changes are patches, and every one of them is right."""
    sizes = [1.2, 1.2, 0.8, 0.8, 0.3, 0.3, 0.3, 0.8, 0.8, 1.2, 1.2, 0.3]
    series = [padded(step, int(size * BIG)) for step, size in enumerate(sizes)]
    guards = {"shrink": "accept"}
    backend.serve(series[0])
    async with (
        running_gateway(backend, {"/t": route(key="id", guards=guards)}) as gateway,
        connected("sse", gateway.base, "/t", emit="snapshot") as witness,
        connected(transport, gateway.base, "/t", emit="patch") as client,
    ):
        await see_through([witness, client], series[0])
        for document in series[1:]:
            backend.serve(document)
            await see_through([witness, client], document)
        assert_true_at_every_id(client.replica, witness.replica)
        by_size = dict(zip(range(len(sizes)), client.replica.kinds, strict=True))
        unchanged_sizes = [n for n in range(1, len(sizes)) if sizes[n] == sizes[n - 1]]
        assert {by_size[n] for n in unchanged_sizes} == {"patch"}, by_size
        assert await gateway.metric("pushgate_patch_rejected_total", route="/t") == 0


async def test_a_client_that_does_not_read_is_brought_up_to_date(backend: ScriptedBackend) -> None:
    """It costs a cursor; when it reads again it gets what it missed, or the document as it is now."""
    backend.serve(padded(0, BIG + BIG // 4))
    async with (
        running_gateway(backend, {"/t": route(key="id")}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as witness,
        raw_client(gateway.port) as slow,
    ):
        await witness.follow(padded(0, BIG + BIG // 4))
        await slow.ask("/t?emit=patch", EVENT_STREAM)
        await slow.read_until(b"event: snapshot")
        for step in range(1, 6):
            backend.serve(padded(step, BIG + BIG // 4))
            await witness.follow(padded(step, BIG + BIG // 4))
        backend.serve({"step": "last"})
        await witness.follow({"step": "last"})
        await slow.read_until(b'"last"}\n\n')
        replica = Replica()
        for event in read_sse(slow.body):
            replica.apply(event)
        assert replica.holds({"step": "last"}), replica.kinds


@pytest.mark.usefixtures("all_big")
@pytest.mark.parametrize("transport", RESUMABLE)
async def test_who_missed_too_much_gets_the_document(backend: ScriptedBackend, transport: str) -> None:
    """Nothing is put together from the past of a big document: where a replay would be larger, it is a snapshot."""
    rows = [{"id": n, "text": "x" * 500} for n in range(60)]
    async with running_gateway(backend, {"/t": route(key="id")}) as gateway:
        backend.serve(rows)
        async with (
            connected("sse", gateway.base, "/t", emit="snapshot") as witness,
            connected(transport, gateway.base, "/t", emit="patch") as client,
        ):
            await see_through([witness, client], rows)
            await client.disconnect()
            for step in range(6):
                rows = [{**row, "text": f"{step}" * 500} if n % 2 else row for n, row in enumerate(rows)]
                backend.serve(rows)
                await witness.follow(rows)
            await client.reconnect()
            await client.follow(rows)
            assert client.replica.kinds == ["snapshot", "snapshot"]
            assert_true_at_every_id(client.replica, witness.replica)


@pytest.mark.usefixtures("all_big")
@pytest.mark.parametrize("transport", RESUMABLE)
async def test_gone_and_back(backend: ScriptedBackend, transport: str) -> None:
    """What disappears upstream is ``gone``, and a snapshot when it returns."""
    backend.serve({"n": 1})
    async with (
        running_gateway(backend, ROUTES) as gateway,
        connected(transport, gateway.base, "/object") as client,
    ):
        await client.follow({"n": 1})
        backend.say(b"no such thing", status=404)
        await client.follow(GONE)
        backend.serve({"n": 2})
        await client.follow({"n": 2})
        assert client.replica.kinds == ["snapshot", "gone", "snapshot"]


@pytest.mark.usefixtures("all_big")
async def test_what_is_hard_to_believe_is_held(backend: ScriptedBackend) -> None:
    """An answer that a guard holds back leaves nothing, there either: the next change is one from what is published."""
    first, second = {"n": 1, "pad": "x" * 500}, {"n": 2, "pad": "x" * 500}
    guards = {"confirmations": 99, "confirm_after": "10ms"}
    backend.serve(first)
    async with (
        running_gateway(backend, {"/t": route(guards=guards)}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as client,
    ):
        await client.follow(first)
        backend.serve({})
        await eventually(client.receive, lambda _: client.replica.status == "held")
        backend.serve(first)
        await eventually(client.receive, lambda _: client.replica.status == "live")
        backend.serve({})
        await eventually(client.receive, lambda _: client.replica.status == "held")
        backend.serve(second)
        await client.follow(second)
        assert client.replica.kinds == ["snapshot", "patch"]


@pytest.mark.usefixtures("all_big")
async def test_the_end_of_a_big_document(backend: ScriptedBackend) -> None:
    """``until`` is judged where the document is read, and ends the topic here."""
    backend.serve({"status": "ON ITS WAY", "pad": "x" * 500})
    async with (
        running_gateway(backend, {"/t": route(poll={"until": "status == 'DELIVERED'"})}) as gateway,
        connected("sse", gateway.base, "/t") as client,
    ):
        await client.follow({"status": "ON ITS WAY", "pad": "x" * 500})
        backend.serve({"status": "DELIVERED", "pad": "x" * 500})
        await client.hear("end")
        assert client.replica.kinds == ["snapshot", "patch", "end"]


async def test_numbers_and_text_survive(backend: ScriptedBackend) -> None:
    """A snapshot of a big document is what the upstream wrote, number for number and in its order."""
    document = {"z": 2**80, "a": 0.1, "e": 1e300, "t": True, "s": "\u2028ü\U0001f6b2", "pad": "x" * (BIG + 1)}
    backend.serve(document)
    async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
        text = (await client.get(f"{gateway.base}/t")).text
    assert json.loads(text) == document
    assert text.startswith('{"z":1208925819614629174706176,"a":0.1,')


async def test_who_asks_for_the_upstreams_own_bytes_gets_them(backend: ScriptedBackend) -> None:
    """``short_poll: raw`` answers with what was read, wherever that was parsed."""
    body = b'{ "pad":   "%s" }' % (b"x" * BIG)
    backend.say(body)
    async with running_gateway(backend, {"/t": route(short_poll="raw")}) as gateway, http_client() as client:
        assert (await client.get(f"{gateway.base}/t")).content == body


async def test_a_parked_long_poll_with_a_big_answer(backend: ScriptedBackend) -> None:
    """The answer is more than the socket takes at once; the connection serves the next request all the same."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    backend.serve({"pad": "x" * 6_000_000})
    async with running_gateway(backend, {"/t": route(emit=["snapshot"])}) as gateway, http_client() as client:
        cursor = (await client.get(f"{gateway.base}/t")).headers["Pushgate-Cursor"]
        waiting = asyncio.create_task(client.get(f"{gateway.base}/t", params={"cursor": cursor, "wait": "9"}))
        await backend.polled(2)
        backend.serve({"pad": "y" * 6_000_000})
        answer = await waiting
        assert answer.json()["events"][0]["data"]["pad"][-1] == "y"
        assert (await client.get(f"{gateway.base}/t", headers={"If-None-Match": "x"})).status_code == 200
    assert complaints == []


async def test_views_of_a_big_document(backend: ScriptedBackend) -> None:
    """A document that has views is read here, since they show parts of it."""
    document = padded(0, BIG + BIG // 4)
    backend.serve(document["rows"])
    routes = {"/t": route(key="id"), "/t/{id}": {"from": "/t", "item": "{id}"}}
    async with (
        running_gateway(backend, routes) as gateway,
        connected("sse", gateway.base, "/t/3") as client,
    ):
        await client.follow(document["rows"][3])
        document["rows"][3]["step"] = 7
        backend.serve(document["rows"])
        await client.follow(document["rows"][3])
        assert not own_helpers()


async def test_the_helper_ends_with_the_gateway(backend: ScriptedBackend) -> None:
    """There is none before the first big document, one for all of them, and none when the gateway is gone."""
    backend.serve({"small": 1})
    async with (
        running_gateway(backend, {"/t": route(), "/u": route()}) as gateway,
        connected("sse", gateway.base, "/t") as one,
        connected("sse", gateway.base, "/u") as other,
    ):
        await see_through([one, other], {"small": 1})
        assert not own_helpers()
        backend.serve({"pad": "x" * BIG})
        await see_through([one, other], {"pad": "x" * BIG})
        assert len(own_helpers()) == 1
    assert not own_helpers()
