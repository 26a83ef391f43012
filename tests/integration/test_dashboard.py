"""What the dashboard is fed with: documents about the gateway, by its own SSE, and who may have them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import jsonpatch
import pytest
from structlog.testing import capture_logs

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from onesocket import one_socket
from reloads import reloadable_gateway

OVERVIEW = "/-/live/overview"
TOKEN = "a-token-of-many-characters"
ROUTES = {
    "/rows": route(description="Rows", key="id", emit=["patch", "items", "snapshot"]),
    "/rows/first": {"from": "/rows", "pointer": "/0"},
    "/mine": route(share="identity", auth=["keys"]),
}
AUTH = {"keys": {"kind": "api_key", "keys": [{"name": "me", "key": "my key"}]}}
MINE = {"Authorization": "Bearer my key"}


@asynccontextmanager
async def gateway_of(backend: ScriptedBackend, **server: Any) -> AsyncIterator[Running]:
    routes = {name: one if "from" in one or "auth" in one else {**one, "auth": "none"} for name, one in ROUTES.items()}
    async with running_gateway(backend, routes, auth=AUTH, server=server) as gateway:
        yield gateway


@asynccontextmanager
async def following(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Any]]:
    async with httpx_sse.aconnect_sse(client, "GET", path, headers=headers) as source:
        source.response.raise_for_status()
        yield source.aiter_sse()


async def closeup(client: httpx.AsyncClient, name: str, **more: str) -> dict[str, Any]:
    answer = await client.get("/-/live/route", params={"route": name, **more})
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def test_the_overview_tells_of_every_route(backend: ScriptedBackend) -> None:
    """How it is polled, who listens to it, and how it is doing."""
    backend.serve([{"id": 1}])
    async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        before = (await operator.get(OVERVIEW)).json()
        assert before["order"] == [*ROUTES]
        assert before["routes"]["/rows"]["states"] == {}
        assert before["gateway"]["clients"] == {"scheme": "http", "port": gateway.port}
        assert (before["routes"]["/rows/first"]["from"], before["routes"]["/mine"]["auth"]) == ("/rows", ["keys"])
        async with following(operator, f"{gateway.base}/rows"):
            looked = await eventually(
                lambda: overview(operator), lambda seen: seen["routes"]["/rows"]["subscribers"] == {"sse": 1}
            )
    rows = looked["routes"]["/rows"]
    assert (rows["state"], rows["topics"], rows["pace"], rows["key"]) == ("live", 1, "every 10ms", "id")
    assert rows["totals"]["polls"] >= 1
    assert looked["upstreams"]["u"]["url"] == backend.url
    assert looked["upstreams"]["u"]["requests"] >= 1


async def overview(operator: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await operator.get(OVERVIEW)).json()
    return found


async def test_it_is_followed_as_any_topic_is(backend: ScriptedBackend) -> None:
    """A snapshot first, then what changes; whoever comes back with the id goes on from there."""
    async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        async with following(operator, OVERVIEW) as events:
            changes = (event async for event in events if event.event not in ("heartbeat", "status"))
            first, second = await anext(changes), await anext(changes)
        assert (first.event, second.event) == ("snapshot", "merge")
        assert json.loads(second.data)["gateway"]["at"] > json.loads(first.data)["gateway"]["at"]
        async with following(operator, OVERVIEW, **{"Last-Event-ID": second.id}) as events:
            again = await anext(events)
        assert again.event in ("merge", "heartbeat")


async def test_nothing_of_it_is_counted_or_logged(backend: ScriptedBackend) -> None:
    """Whoever looks is no client, and what is shown is no topic of the gateway's."""
    async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        with capture_logs() as lines:
            async with following(operator, OVERVIEW) as events:
                await anext(events)
            await operator.get(f"{gateway.base}/rows")
        assert [line["topic"] for line in lines if line["event"] == "topic.turned"] == ["/rows"]
        async with following(operator, OVERVIEW) as events:
            await anext(events)
            assert await gateway.metric("pushgate_connections") == 0
            assert gateway.gateway.departures is not None
            assert gateway.gateway.departures.connections == 0
        scrape = (await operator.get("/metrics")).text
    assert "/-/live/" not in scrape


async def test_a_long_poll_of_it_leaves_the_connection_to_the_admin_listener(backend: ScriptedBackend) -> None:
    """Also one that had to wait: the next request of the connection is read by whom it was opened to."""
    async with gateway_of(backend) as gateway:
        assert gateway.gateway.admin_address is not None
        async with one_socket(gateway.gateway.admin_address) as ask:
            cursor = (await ask(OVERVIEW))[1]["pushgate-cursor"]
            status, fields, _ = await ask(f"{OVERVIEW}?cursor={cursor}&wait=5")
            assert (status, fields["pushgate-state"]) == (200, "live")
            assert (await ask("/livez"))[2] == b"ok\n"
            assert (await ask("/rows"))[0] == 404


class TestCloseup:
    async def test_the_changes_of_a_topic_can_be_read(self, backend: ScriptedBackend) -> None:
        """What was there before and is there now, items by their keys; and the document as it is."""
        backend.serve([{"id": "a", "n": 1}, {"id": "b", "n": 1}])
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            await operator.get(f"{gateway.base}/rows")
            async with following(operator, f"{gateway.base}/rows"):
                backend.serve([{"id": "a", "n": 2}, {"id": "c", "n": 1}])
                told = await eventually(lambda: closeup(operator, "/rows"), lambda seen: bool(shown(seen)["changes"]))
        (topic,) = told["topics"]
        assert (topic["topic"], topic["state"], topic["next_poll"]["why"]) == (
            "/rows",
            "live",
            topic["next_poll"]["why"],
        )
        (change,) = shown(told)["changes"]
        assert change["told"] == [
            {"kind": "changed", "where": "[a].n", "was": "1", "now": "2"},
            {"kind": "removed", "where": "[b]", "was": '{"id":"b","n":1}'},
            {"kind": "added", "where": "[c]", "now": '{"id":"c","n":1}'},
        ]
        assert json.loads(shown(told)["document"]["text"]) == [{"id": "a", "n": 2}, {"id": "c", "n": 1}]

    async def test_what_a_guard_holds_back_is_shown(self, backend: ScriptedBackend) -> None:
        backend.serve([{"id": "a"}])
        routes = {"/rows": route(guards={"confirm_after": "1h"})}
        async with running_gateway(backend, routes) as gateway, http_client(base_url=gateway.admin) as operator:
            await operator.get(f"{gateway.base}/rows")
            async with following(operator, f"{gateway.base}/rows"):
                backend.serve([])
                told = await eventually(lambda: closeup(operator, "/rows"), lambda seen: "held" in shown(seen))
        assert shown(told)["held"] == {"guard": "empty", "text": "[]", "bytes": 2}

    async def test_a_large_document_is_cut(self, backend: ScriptedBackend) -> None:
        """What is left out is said."""
        backend.serve([{"id": n, "text": "x" * 50} for n in range(2000)])
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            await operator.get(f"{gateway.base}/rows")
            document = shown(await closeup(operator, "/rows"))["document"]
        assert document["is_cut"]
        assert len(document["text"]) <= 6000
        assert document["bytes"] > 100_000

    async def test_what_is_one_clients_own_is_not_shown(self, backend: ScriptedBackend) -> None:
        """How its topic is doing is; neither its document, nor its changes, nor what is held."""
        backend.serve({"secret": "of mine"})
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            assert "of mine" in (await operator.get(f"{gateway.base}/mine", headers=MINE)).text
            answer = await operator.get("/-/live/route", params={"route": "/mine"})
        told = answer.json()
        assert (told["is_public"], told["shown"], told["topics"][0]["state"]) == (False, {"topic": "/mine"}, "live")
        assert "of mine" not in answer.text

    async def test_of_many_topics_the_most_telling_are_told(self, backend: ScriptedBackend) -> None:
        """And how many there are; the one that is asked for is looked at."""
        routes = {"/rows/{n}": route(request={"path": "/"}, poll={"every": "1h"})}
        async with running_gateway(backend, routes) as gateway, http_client(base_url=gateway.admin) as operator:
            for n in range(60):
                await operator.get(f"{gateway.base}/rows/{n}")
            told = await closeup(operator, "/rows/{n}", look="/rows/59")
        assert (told["count"], len(told["topics"]), shown(told)["topic"]) == (60, 50, "/rows/59")

    async def test_a_view_is_told_of_too(self, backend: ScriptedBackend) -> None:
        backend.serve([{"id": 1}])
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            await operator.get(f"{gateway.base}/rows/first")
            told = await closeup(operator, "/rows/first")
        assert (told["topics"][0]["topic"], told["topics"][0]["of"]) == ("/rows/first", "/rows")
        assert json.loads(shown(told)["document"]["text"]) == {"id": 1}

    async def test_it_follows_by_patches(self, backend: ScriptedBackend) -> None:
        backend.serve([{"id": 1, "n": 0}])
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            held: dict[str, Any] = {}
            await operator.get(f"{gateway.base}/rows")
            async with (
                following(operator, f"{gateway.base}/rows"),
                following(operator, "/-/live/route?route=/rows") as events,
            ):
                backend.serve([{"id": 1, "n": 1}])
                while not shown(held).get("changes"):
                    event = await anext(events)
                    if event.event == "patch":
                        held = jsonpatch.apply_patch(held, json.loads(event.data))
                    elif event.event == "snapshot":
                        held = json.loads(event.data)
        assert shown(held)["changes"][0]["told"][0]["where"] == "[1].n"

    async def test_a_route_that_there_is_not(self, backend: ScriptedBackend) -> None:
        async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
            assert (await operator.get("/-/live/route?route=/nothing")).status_code == 404


def shown(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told.get("shown", {})
    return found


async def test_the_past_is_there_at_once(backend: ScriptedBackend) -> None:
    """In samples of every route, numbered as the overview numbers them."""
    async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        past = (await operator.get("/-/live/history")).json()
        number = (await overview(operator))["sample"]
    assert past["every"] == 5
    assert past["number"] <= number


PLACES = [OVERVIEW, "/-/live/route?route=/rows", "/-/live/history", "/-/console/rows"]


@pytest.mark.parametrize("place", PLACES)
async def test_who_may_not_look(backend: ScriptedBackend, place: str) -> None:
    """A page of another site, a name that was made to mean this machine, a wrong token; all else is for operators."""
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    admin = {"listen": "127.0.0.1:0", "token": TOKEN}
    async with gateway_of(backend, admin=admin) as gateway, http_client(base_url=gateway.admin) as operator:
        await operator.get(f"{gateway.base}/rows")
        assert (await operator.get(place)).status_code == 200
        assert (await operator.get(place, headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
        for headers, status in [
            (foreign, 403),
            ({"Host": "evil.example"}, 403),
            ({"X-Forwarded-For": "192.0.2.1"}, 401),
            ({"Authorization": "Bearer another-token-of-many"}, 401),
        ]:
            assert (await operator.get(place, headers=headers)).status_code == status, headers
        assert (await operator.post(place)).status_code == 405


async def test_another_token_ends_what_the_old_one_has_opened(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Whoever looks has to ask again, and shows the new one."""
    admin = {"listen": "127.0.0.1:0", "token": TOKEN}
    async with (
        reloadable_gateway(backend, {"/rows": route()}, tmp_path, server={"admin": admin}) as gateway,
        http_client(base_url=gateway.admin) as operator,
        following(operator, OVERVIEW, Authorization=f"Bearer {TOKEN}") as events,
    ):
        await anext(events)
        server = {"listen": "127.0.0.1:0", "admin": {**admin, "token": "another-token-of-many"}}
        await gateway.rewrite(server=server)
        async with asyncio.timeout(5):
            assert [event async for event in events]
        assert (await operator.get(OVERVIEW, headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 401


async def test_the_most_telling_topic_speaks_for_its_route(backend: ScriptedBackend) -> None:
    """One that is stale among many that are live; how many are in each state is told as well."""
    async with (
        running_gateway(backend, {"/rows/{n}": route()}) as gateway,
        http_client(base_url=gateway.admin) as client,
        following(client, f"{gateway.base}/rows/1"),
        following(client, f"{gateway.base}/rows/2"),
    ):

        async def rows_seen() -> dict[str, Any]:
            found: dict[str, Any] = (await overview(client))["routes"]["/rows/{n}"]
            return found

        await eventually(rows_seen, lambda rows: rows["states"] == {"live": 2})
        backend.say(b"", status=500)
        rows = await eventually(rows_seen, lambda rows: rows["state"] == "stale")
    assert rows["reason"] == "http_5xx"
    assert rows["states"]["stale"] in (1, 2)


async def test_the_end_of_the_gateway_ends_its_dashboard(backend: ScriptedBackend) -> None:
    """A page that looks does not hold it up, and neither does one that waits."""
    async with gateway_of(backend) as gateway:
        client = http_client(base_url=gateway.admin)
        stream = client.stream("GET", OVERVIEW, headers={"Accept": "text/event-stream"})
        response = await stream.__aenter__()
        lines = response.aiter_lines()
        await anext(lines)
    async with asyncio.timeout(3):
        rest = [line async for line in lines]
    assert any(line.startswith("retry:") for line in rest)
    await stream.__aexit__(None, None, None)
    await client.aclose()


async def test_a_drain_leaves_it_open(backend: ScriptedBackend) -> None:
    """So that it can be watched; and it says that clients are asked to leave."""
    async with gateway_of(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        async with following(operator, OVERVIEW) as events:
            await anext(events)
            assert (await operator.post("/-/drain", headers={"Pushgate-Admin": "1"})).status_code == 202
            async for event in events:
                if event.event == "merge" and json.loads(event.data)["gateway"].get("is_draining"):
                    break
        assert (await operator.get(OVERVIEW)).status_code == 200
