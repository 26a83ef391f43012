"""Promise 6, as far as the publishing half goes: polled as the caller, one topic for each identity, nothing crosses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from accounts import accounts
from gateways import http_client, route, running_gateway

MINE: dict[str, Any] = {"share": "identity", "forward": {"headers": ["Authorization"], "cookies": ["SID"]}}
ROUTES = {"/me": route(**MINE)}
SELDOM = {"/me": route(**MINE, poll={"every": "500ms"})}  # on a busy machine, too, one denial is seen before the next


def as_(who: str) -> dict[str, str]:
    return {"Authorization": who, "Secret": "s"}


async def test_two_callers_have_two_documents() -> None:
    """On the same URL; a cursor or an entity tag of the other is a gap, and no cache may keep what is one's own."""
    async with accounts() as backend, running_gateway(backend.url, ROUTES) as gateway, http_client() as http:
        ann = await http.get(f"{gateway.base}/me", headers=as_("ann"))
        bob = await http.get(f"{gateway.base}/me", headers={"Cookie": "SID=bob; other=1"})
        assert (ann.json()["of"], bob.json()["of"]) == ("ann", "bob")
        assert ann.headers["Cache-Control"] == "private, no-cache"
        stolen = {**as_("bob"), "If-None-Match": ann.headers["ETag"]}
        assert (await http.get(f"{gateway.base}/me", headers=stolen)).status_code == 200
        resumed = await http.get(
            f"{gateway.base}/me", params={"cursor": ann.headers["Pushgate-Cursor"]}, headers=as_("bob")
        )
        assert [event["data"]["of"] for event in resumed.json()["events"]] == ["bob"]


async def test_one_caller_is_polled_once_for_all_its_clients() -> None:
    """Ten tabs of one user cost what one costs."""
    slow = {"/me": route(share="identity", forward={"headers": ["Authorization"]}, poll={"every": "1h"})}
    async with accounts() as backend, running_gateway(backend.url, slow) as gateway, http_client() as http:
        answers = await asyncio.gather(*(http.get(f"{gateway.base}/me", headers=as_("ann")) for _ in range(10)))
        assert {answer.json()["of"] for answer in answers} == {"ann"} and backend.visits == {"ann": 1}


@pytest.mark.parametrize("status", [401, 403])
async def test_who_lost_their_rights_loses_the_document(status: int) -> None:
    """Streams are closed with the reason, the document is dropped, and a short poll repeats the status."""
    async with accounts() as backend, running_gateway(backend.url, SELDOM) as gateway, http_client() as http:
        base = gateway.base
        async with (
            http.stream("GET", f"{base}/me", headers={**as_("ann"), "Accept": "text/event-stream"}) as sse,
            connect(f"{base.replace('http', 'ws')}/me", additional_headers=as_("ann")) as websocket,
            asyncio.TaskGroup() as tasks,
        ):
            await websocket.recv()
            cursor = (await http.get(f"{base}/me", headers=as_("ann"))).headers["Pushgate-Cursor"]
            parked = tasks.create_task(http.get(f"{base}/me?cursor={cursor}&wait=30", headers=as_("ann")))
            backend.closed["ann"] = status
            text = "".join([piece async for piece in sse.aiter_text()])
            code = "upstream_denied"
            assert "event: problem" in text and json.loads(text.splitlines()[-2].removeprefix("data: "))["code"] == code
            await websocket.wait_closed()
            assert (websocket.close_code, websocket.close_reason) == (4403, code)
            assert (await parked).status_code == status
        again = await http.get(f"{base}/me", headers=as_("ann"))
        assert (again.status_code, again.json()["code"]) == (status, code)
        assert (await http.get(f"{base}/me", headers=as_("bob"))).json()["of"] == "bob"


async def test_who_never_had_rights_is_told_so() -> None:
    """Whatever the transport: the upstream's own status, and nothing is kept."""
    async with accounts() as backend, running_gateway(backend.url, SELDOM) as gateway, http_client() as http:
        answer = await http.get(f"{gateway.base}/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "upstream_denied")
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{gateway.base.replace('http', 'ws')}/me"):
                pass
        assert refused.value.response.status_code == 401


async def test_forwarded_values_are_nowhere_to_be_seen() -> None:
    """Neither in metrics nor in a topic's name."""
    async with accounts() as backend, running_gateway(backend.url, ROUTES) as gateway, http_client() as http:
        await http.get(f"{gateway.base}/me", headers=as_("marker-of-ann"))
        seen: Any = (await http.get(f"{gateway.admin}/metrics")).text
        channels = gateway.gateway.__dict__
        assert "marker-of-ann" not in seen and "marker-of-ann" not in repr(channels)
