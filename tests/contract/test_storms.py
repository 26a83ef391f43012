"""Storms: who is let in when many come at once, and that after a restart everybody is back without a loss."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import websockets

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from processes import GatewayProcess
from replicas import NOTHING
from returning import crowd

ROUTES = {"/t": route()}
DOCUMENT, CHANGED = [{"id": 1, "at": "home"}], [{"id": 1, "at": "sea"}, {"id": 2, "at": "home"}]
EVENT_STREAM = {"Accept": "text/event-stream"}
TWO_AN_HOUR = {"limits": {"accept_rate": "2/h"}}

TOPICS = ["/a", "/b", "/c"]
OF_EACH = 80
PATIENCE = 60.0  # clients come back within seconds; hundreds of them on a busy machine take longer


async def refused(gateway: Running, transport: str) -> float:
    return await gateway.metric("pushgate_connections_refused_total", transport=transport, reason="accept_rate")


async def test_whoever_comes_too_fast_is_told_when_to_come_back(backend: ScriptedBackend) -> None:
    """
    Each in the way that its client can see: a stranger by 503, an EventSource by ``retry:``, a WebSocket by 1013.

    The times differ, so that they do not all come back at once.
    """
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server=TWO_AN_HOUR) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        for _ in range(2):
            async with client.stream("GET", "/t", headers=EVENT_STREAM) as stream:
                assert stream.status_code == 200
        answers = [await client.get("/t", headers=EVENT_STREAM) for _ in range(2)]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "overloaded")] * 2
        waits = [int(answer.headers["Retry-After"]) for answer in answers]
        assert waits[0] == 301, "the longest wait there is and up to half a second, rounded up: never too early"
        assert 150 <= waits[1] <= 300
        browser = await client.get("/t", headers={**EVENT_STREAM, "Sec-Fetch-Mode": "cors"})
        assert browser.status_code == 200
        assert (found := re.match(r"retry: (\d+)\nevent: problem\ndata: (.*)\n\n$", browser.text))
        assert int(found[1]) >= 1000
        assert json.loads(found[2])["code"] == "overloaded"
        url = gateway.base.replace("http", "ws") + "/t"
        protocols = [websockets.Subprotocol("pushgate.v1")]
        async with websockets.connect(url, proxy=None, subprotocols=protocols) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        assert re.fullmatch(r"overloaded retry_after_ms=\d{4,}", closed.value.rcvd.reason)
        long = await client.get("/t?wait=5")
        assert (long.status_code, long.json()["code"]) == (503, "overloaded")
        told = {name: await refused(gateway, name) for name in ("sse", "websocket", "long_poll", "short_poll")}
        assert told == {"sse": 3, "websocket": 1, "long_poll": 1, "short_poll": 0}
        assert await gateway.metric("pushgate_limit", resource="accept_rate") == pytest.approx(2 / 3600)


async def test_documents_are_never_refused_by_it(backend: ScriptedBackend) -> None:
    """Nor is a poll that waits for nothing: they take no room."""
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server=TWO_AN_HOUR) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        for _ in range(5):
            answer = await client.get("/t", headers={"Connection": "close"})
            assert answer.status_code == 200
            asked = f"/t?wait=0&cursor={answer.headers['Pushgate-Cursor']}"
            assert (await client.get(asked, headers={"Connection": "close"})).status_code == 204


async def test_a_connection_that_asks_again_is_no_new_one(backend: ScriptedBackend) -> None:
    """A long-polling client counts once for as long as it keeps its connection, however often it is parked."""
    backend.serve(DOCUMENT)
    async with running_gateway(backend, ROUTES, server=TWO_AN_HOUR) as gateway:
        async with http_client(base_url=gateway.base) as client:
            cursor = (await client.get("/t?wait=5")).headers["Pushgate-Cursor"]
            for number in range(5):
                parked = asyncio.create_task(client.get(f"/t?wait=50&cursor={cursor}"))
                await eventually(lambda: gateway.metric("pushgate_connections", transport="long_poll"), bool)
                backend.serve([{"id": number}])
                answer = await parked
                assert answer.status_code == 200
                cursor = answer.headers["Pushgate-Cursor"]
        async with http_client(base_url=gateway.base) as second, http_client(base_url=gateway.base) as third:
            assert (await second.get("/t?wait=5")).status_code == 200
            assert (await third.get("/t?wait=5")).status_code == 503
            assert (await second.get("/t?wait=5")).status_code == 200


async def test_off_lets_everybody_in(backend: ScriptedBackend) -> None:
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server={"limits": {"accept_rate": "off"}}) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        for _ in range(10):
            assert (await client.get("/t?wait=5", headers={"Connection": "close"})).status_code == 200
        assert await gateway.metric("pushgate_limit", resource="accept_rate") == 0
        assert await gateway.metric("pushgate_limit", resource="connections") == 20_000


async def metric(gateway: GatewayProcess, name: str, *labels: str) -> float:
    """Read a series of the process's, summed over all that have these labels."""
    async with http_client() as client:
        text = (await client.get(f"{gateway.admin_url}/metrics")).text
    lines = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for found, value in lines if set(labels) <= set(found.split(",")))


async def until(look: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await look():  # noqa: ASYNC110  # what happens in another process nobody announces
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)  # five waits, each with a generous end
async def test_after_a_restart_all_are_back_and_nothing_is_lost(backend: ScriptedBackend, tmp_path: Path) -> None:
    """
    240 clients of three kinds, one gateway that goes twice, and an upstream that hardly notices.

    They come faster than they may, wait as they are told, and each is let in. The gateway is ended in order and started
    anew: everybody comes back with a cursor of the gateway before, and goes on without a snapshot, because nothing has
    changed. Then it is killed, and while it is gone the document changes: everybody has it in the end, and nobody saw
    one that the upstream did not serve. Each time the upstream is asked once for each topic.
    """
    calm = route(poll={"every": "1h"})
    config = {
        "server": {"limits": {"accept_rate": "90/s"}},
        "upstreams": {"u": {"url": backend.url}},
        "routes": dict.fromkeys(TOPICS, calm),
    }
    backend.serve(DOCUMENT)
    process = await asyncio.to_thread(lambda: GatewayProcess(tmp_path, config).__enter__())
    try:
        async with crowd([process.url + topic for topic in TOPICS], of_each=OF_EACH) as clients:

            async def are_connected() -> bool:
                return await metric(process, "pushgate_connections") == len(clients)

            async def resumed(*labels: str) -> float:
                """How many streams have; a long poll comes back again and again."""
                streams = ('transport="sse"', 'transport="websocket"')
                return sum([await metric(process, "pushgate_resumes_total", one, *labels) for one in streams])

            async def have_resumed() -> bool:
                return await resumed() == 2 * OF_EACH

            async def hold(document: Any) -> bool:
                return all(client.replica.holds(document) for client in clients)

            await until(lambda: hold(DOCUMENT))
            await until(are_connected)
            assert await metric(process, "pushgate_connections_refused_total", 'reason="accept_rate"') > 0
            assert len(backend.requests) == len(TOPICS)
            kinds = [list(client.replica.kinds) for client in clients]

            await asyncio.to_thread(process.end, signal.SIGTERM)
            await asyncio.to_thread(process.start)
            await until(are_connected)
            assert len(backend.requests) == 2 * len(TOPICS)
            await until(have_resumed)
            assert await resumed('result="current"') == 2 * OF_EACH
            assert [client.replica.kinds for client in clients] == kinds, "nobody was sent anything anew"

            await asyncio.to_thread(process.end, signal.SIGKILL)
            backend.serve(CHANGED)
            await asyncio.to_thread(process.start)
            await until(lambda: hold(CHANGED))
            await until(are_connected)
            assert len(backend.requests) == 3 * len(TOPICS)
            for client in clients:
                served = [document for _, document, _ in client.replica.states if document is not NOTHING]
                assert all(document in (DOCUMENT, CHANGED) for document in served)
    finally:
        if process.process is not None:
            await asyncio.to_thread(process.end, signal.SIGKILL)
