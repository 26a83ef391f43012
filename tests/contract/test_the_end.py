"""When ``until`` comes true: the last document, then ``end``, then nothing more; whoever comes back is told so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from backends import ScriptedBackend
from gateways import Running, http_client, route, running_gateway
from replicas import position_of
from transports import RESUMABLE, connected

ROUTE = {"/order": route(poll={"until": "status == 'DELIVERED'"})}
SENT, DELIVERED = {"status": "SENT"}, {"status": "DELIVERED"}


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_the_last_document_and_the_end(backend: ScriptedBackend, transport: str) -> None:
    """Whoever listens gets both, in this order; and the upstream is left alone from then on."""
    backend.serve(SENT)
    async with running_gateway(backend, ROUTE) as gateway, connected(transport, gateway.base, "/order") as link:
        await link.follow(SENT)
        backend.serve(DELIVERED)
        await link.follow(DELIVERED)
        async with asyncio.timeout(10):
            while (heard := await link.receive())["event"] != "end":
                assert heard["event"] in ("heartbeat", "status")
        assert heard["data"].keys() == {"at"} and heard["id"]
        assert await backend.is_left_alone(0.3)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_who_comes_after_the_end_is_told_both(backend: ScriptedBackend, transport: str) -> None:
    """Each with a number of its own, so that who is cut off between them still hears of the end."""
    async with running_gateway(backend, ROUTE) as gateway:
        await ended(backend, gateway)
        async with connected(transport, gateway.base, "/order") as link:
            await link.follow(DELIVERED)
            between = link.replica.cursor
            end = await link.hear("end")
        assert position_of(between)[1] < position_of(end["id"])[1]
        async with connected(transport, gateway.base, "/order", cursor=between) as link:
            assert (await link.hear("end"))["id"] == end["id"]
            assert link.replica.kinds == ["end"]


async def ended(backend: ScriptedBackend, gateway: Running) -> str:
    """Let the topic end and return the cursor of its end."""
    backend.serve(DELIVERED)
    async with http_client() as http:
        answer = await http.get(f"{gateway.base}/order")
        assert answer.json() == DELIVERED and answer.headers["Pushgate-State"] == "ended"
        return answer.headers["Pushgate-Cursor"]


async def test_an_eventsource_does_not_come_back(backend: ScriptedBackend) -> None:
    """204 ends it for good; who has nothing yet gets the document and the end."""
    async with running_gateway(backend, ROUTE) as gateway, http_client() as http:
        cursor = await ended(backend, gateway)
        stream = {"Accept": "text/event-stream"}
        assert (await http.get(f"{gateway.base}/order", headers={**stream, "Last-Event-ID": cursor})).status_code == 204
        text = (await http.get(f"{gateway.base}/order", headers=stream)).text
        assert [line for line in text.splitlines() if line.startswith("event:")] == ["event: snapshot", "event: end"]


async def test_a_websocket_is_closed_with_1000(backend: ScriptedBackend) -> None:
    """After the end there is nothing to keep it open for."""
    async with running_gateway(backend, ROUTE) as gateway:
        cursor = await ended(backend, gateway)
        for query, expected in [("", ["snapshot", "end"]), (f"?cursor={cursor}", ["end"])]:
            async with connect(f"{gateway.base.replace('http', 'ws')}/order{query}") as client:
                events: list[Any] = [json.loads(message)["event"] async for message in client]
            assert (events, client.close_code) == (expected, 1000)


async def test_a_long_poll_does_not_wait_for_what_will_never_come(backend: ScriptedBackend) -> None:
    """204 at once, and 304 for the document."""
    async with running_gateway(backend, ROUTE) as gateway, http_client() as http:
        cursor = await ended(backend, gateway)
        async with asyncio.timeout(5):
            assert (await http.get(f"{gateway.base}/order?cursor={cursor}&wait=30")).status_code == 204
            etag = (await http.get(f"{gateway.base}/order")).headers["ETag"]
            asked = {"If-None-Match": etag, "Prefer": "wait=30"}
            assert (await http.get(f"{gateway.base}/order", headers=asked)).status_code == 304
