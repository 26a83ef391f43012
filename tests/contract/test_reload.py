"""A new configuration, while clients listen: what did not change goes on, what did is told, what is gone says so."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import websockets

from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import eventually, http_client, route
from pushgate.adapters.upstream.fetch import Line
from pushgate.channel import Channel
from pushgate.documents.history import History
from pushgate.errors import ConfigError
from pushgate.feed import Feed
from pushgate.generation import Generation
from pushgate.polled import PolledChannel
from pushgate.routes import Route
from reloads import reloadable_gateway
from replicas import Replica, assert_true_at_every_id
from sharedlinks import SHARED
from transports import RESUMABLE, connected, see_through
from upstreams import Asked, raw_backend, respond

DOCUMENT = {"a": {"n": 0, "text": "x" * 200}, "b": [{"id": 1, "n": 0}]}


def document(n: int) -> dict[str, Any]:
    return {"a": {"n": n, "text": "x" * 200}, "b": [{"id": 1, "n": n}]}


@pytest.fixture
async def backend() -> Any:
    async with scripted_backend(DOCUMENT) as backend:
        yield backend


def other_routes(dice: random.Random) -> dict[str, Any]:
    """Routes beside the one that does not change, each time others."""
    return {
        "/other": route(select=dice.choice(["a", "b"]), **({"key": "id"} if dice.random() < 0.5 else {})),
        **({"/now-and-then": route()} if dice.random() < 0.5 else {}),
        **({"/watched/{id}": {"from": "/kept", "pointer": "/b/{id}"}} if dice.random() < 0.5 else {}),
    }


def kept_route(dice: random.Random) -> dict[str, Any]:
    """The same publishing keys, and everything else by chance."""
    return route(
        description=dice.choice(["", "something"]),
        poll={"every": dice.choice(["10ms", "15ms"]), "linger": dice.choice(["200ms", "1s"])},
        stale={"after": dice.choice([2, 3])},
        history={"events": dice.choice([500, 1000])},
        max_topics=dice.choice([50, 60]),
    )


@pytest.mark.timeout(300)  # 50 reloads beside five clients
async def test_streams_of_what_did_not_change_stay_open_and_miss_nothing(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Whatever else changes, and however often: the same connections, every id in order, the true document at each."""
    dice = random.Random(4)
    async with (
        reloadable_gateway(backend, {"/kept": kept_route(dice), **other_routes(dice)}, tmp_path) as gateway,
        connected("sse", gateway.base, "/kept", emit="snapshot") as witness,
        connected("sse", gateway.base, "/kept", emit="merge") as sse,
        connected("sse framing=message", gateway.base, "/kept") as messages,
        connected("websocket", gateway.base, "/kept") as websocket,
        connected("long_poll", gateway.base, "/kept", emit="patch") as long_poll,
    ):
        links = [witness, sse, messages, websocket, long_poll]
        await see_through(links, DOCUMENT)
        opened = [await gateway.metric("pushgate_connections_total", transport=name) for name in ("sse", "websocket")]
        async with asyncio.TaskGroup() as tasks:
            for link in links:
                tasks.create_task(link.follow(document(150)))
            for n in range(1, 151):
                backend.serve(document(n))
                if n % 3 == 0:
                    limits = {"connections": dice.choice([900, 1000])}
                    server = {**gateway.written.says["server"], "limits": limits}
                    routes = {"/kept": kept_route(dice), **other_routes(dice)}
                    assert (await gateway.rewrite(server=server, routes=routes))["clients_closed"] == 0
                await asyncio.sleep(dice.random() * 0.02)
        for link in links[1:]:
            assert_true_at_every_id(link.replica, witness.replica)
        again = [await gateway.metric("pushgate_connections_total", transport=name) for name in ("sse", "websocket")]
        assert again == opened, "the connections are the ones that there were"


@pytest.mark.parametrize("transport", [*RESUMABLE, "short_poll"])
async def test_who_follows_what_is_made_differently_now_gets_a_document_of_that(
    backend: ScriptedBackend, tmp_path: Path, transport: str
) -> None:
    """Nothing of the old definition is ever taken for the new one's, and no guard compares the two."""
    async with (
        reloadable_gateway(backend, {"/t": route(select="a")}, tmp_path) as gateway,
        connected(transport, gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT["a"])
        before = len(link.heard)
        tally = await gateway.rewrite(routes={"/t": route(select="b", guards={"type": "reject"})})
        assert tally["clients_closed"] == 0
        await link.follow(DOCUMENT["b"])
        changes = [event for event in link.heard[before:] if event["event"] in ("snapshot", "patch", "merge")]
        assert changes[-1]["event"] == "snapshot"
        assert all(event["data"] in (DOCUMENT["a"], DOCUMENT["b"]) for event in changes)
        backend.serve(document(1))
        await link.follow(document(1)["b"])


async def test_the_cursor_of_another_definition_is_a_gap(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Also if the document happens to be the same, and also when the old definition comes back."""
    async with (
        reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        cursor = link.replica.cursor
        await gateway.rewrite(routes={"/t": route(select="@")})
        await link.hear("snapshot")
        await link.disconnect()
        await link.connect(cursor)
        assert (await link.receive())["event"] == "snapshot"


GOES = {
    "the route is gone": ({"/other": route()}, 404, "no_such_topic", 4404),
    "the parameter no longer fits": ({"/t/{city}": route(params={"city": "[0-9]+"})}, 404, "no_such_topic", 4404),
    "the transport is no longer offered": (
        {"/t/{city}": route(transports=["short_poll"])},
        406,
        "transport_not_offered",
        4406,
    ),
    "the mode is no longer offered": ({"/t/{city}": route(emit="snapshot")}, 400, "bad_request", 1008),
}


@pytest.mark.parametrize("why", GOES)
async def test_who_may_not_go_on_is_told_why(backend: ScriptedBackend, tmp_path: Path, why: str) -> None:
    """SSE says it and ends, and its reconnect gets the answer; a WebSocket closes with the code; a poll is answered."""
    routes, status, code, close_code = GOES[why]
    async with (
        reloadable_gateway(backend, {"/t/{city}": route(poll={"every": "1h"})}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t/paris", emit="patch") as sse,
        connected("websocket", gateway.base, "/t/paris", emit="patch") as websocket,
        http_client() as client,
    ):
        await see_through([sse, websocket], DOCUMENT)
        url = f"{gateway.base}/t/paris"
        params = {"cursor": sse.replica.cursor or "", "emit": "patch", "wait": "50"}
        parked = asyncio.create_task(client.get(url, params=params))
        await eventually(
            lambda: gateway.metric("pushgate_subscribers", transport="long_poll"), lambda count: count == 1
        )
        tally = await gateway.rewrite(routes=routes)
        assert tally["clients_closed"] == 3
        problem = await sse.hear("problem")
        assert problem["data"]["code"] == code
        with pytest.raises(StopAsyncIteration):
            await sse.receive()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await websocket.hear("nothing of the kind")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == close_code
        async with asyncio.timeout(3 * PATIENCE):
            answer = await parked
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        async with client.stream("GET", url, params={"emit": "patch"}, headers={"Accept": "text/event-stream"}) as now:
            assert now.status_code == status
        assert await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda count: count == 0) == 0


async def test_views_follow_what_they_show(backend: ScriptedBackend, tmp_path: Path) -> None:
    """A view that shows something else gets a snapshot, whether itself was changed or what it is a part of."""
    view = {"from": "/t", "emit": ["patch", "merge", "snapshot"]}
    async with (
        reloadable_gateway(backend, {"/t": route(), "/v": {**view, "pointer": "/a/n"}}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as parent,
        connected("sse", gateway.base, "/v") as sse,
        connected("websocket", gateway.base, "/v") as websocket,
        connected("long_poll", gateway.base, "/v") as long_poll,
    ):
        links = [sse, websocket, long_poll]
        await see_through([parent], DOCUMENT)
        await see_through(links, 0)
        await gateway.rewrite(routes={"/t": route(), "/v": {**view, "pointer": "/b"}})
        await see_through(links, DOCUMENT["b"])
        backend.serve(document(1))
        await see_through(links, document(1)["b"])
        await see_through([parent], document(1))
        assert parent.replica.kinds.count("snapshot") == 1, "the parent was not touched"
        await gateway.rewrite(routes={"/t": route(select="{b: a}"), "/v": {**view, "pointer": "/b"}})
        await see_through(links, document(1)["a"])
        backend.serve(document(2))
        await see_through(links, document(2)["a"])
        moved = {**view, "from": "/u", "pointer": "/b"}
        await gateway.rewrite(routes={"/t": route(select="{b: a}"), "/u": route(), "/v": moved})
        await see_through(links, document(2)["b"])
        await gateway.rewrite(routes={"/t": route(select="{b: a}")})
        assert (await sse.hear("problem"))["data"]["code"] == "no_such_topic"
        for link in [*links, parent]:
            await link.disconnect()
        assert await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda count: count == 0) == 0


async def test_polling_ends_although_topics_were_made_anew_under_their_clients(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Who left, left: no listener is counted twice, and none is forgotten."""
    view = {"from": "/t", "pointer": "/b"}
    async with (
        reloadable_gateway(backend, {"/t": route(), "/v": view}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as one,
        connected("sse", gateway.base, "/v") as other,
    ):
        await see_through([one], DOCUMENT)
        await see_through([other], DOCUMENT["b"])
        for select in ("a", "@", "{b: b}"):
            await gateway.rewrite(routes={"/t": route(select=select), "/v": view})
        await see_through([other], DOCUMENT["b"])
        await gateway.rewrite(routes={"/t": route(select="{b: b}")})
        await other.hear("problem")
        await one.disconnect()
        await eventually(lambda: backend.is_left_alone(0.3), bool)
        async with connected("sse", gateway.base, "/t") as again:
            await again.follow({"b": DOCUMENT["b"]})
            backend.serve(document(1))
            await again.follow({"b": document(1)["b"]})


async def test_another_interval_is_kept_from_now_on(backend: ScriptedBackend, tmp_path: Path) -> None:
    """What was to be polled in an hour is polled at the new pace, and the document is kept meanwhile."""
    async with (
        reloadable_gateway(backend, {"/t": route(poll={"every": "1h"})}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        await gateway.rewrite(routes={"/t": route()})
        await backend.polled(3)
        assert link.replica.kinds == ["snapshot"], "the same document is no news"
        await gateway.rewrite(routes={"/t": route(poll={"every": "1h"})})
        await eventually(lambda: backend.is_left_alone(0.3), bool)


async def test_a_poll_under_way_ends_as_it_would_have(backend: ScriptedBackend, tmp_path: Path) -> None:
    """A reload neither repeats nor cuts it."""
    async with (
        reloadable_gateway(backend, {"/t": route(poll={"every": "1h"})}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        backend.delay = 0.3
        await link.hear("heartbeat")
        await backend.begun()
        await gateway.rewrite(routes={"/t": route(poll={"every": "2h"})})
        await link.follow(DOCUMENT)
        assert len(backend.requests) == 1


@pytest.mark.parametrize("transport", ["short_poll", "long_poll"])
async def test_who_waits_for_a_first_document_gets_the_one_of_the_new_definition(
    backend: ScriptedBackend, tmp_path: Path, transport: str
) -> None:
    backend.delay = 0.3
    async with reloadable_gateway(backend, {"/t": route(select="a")}, tmp_path) as gateway, http_client() as client:
        params = {"wait": "20"} if transport == "long_poll" else {}
        waiting = asyncio.create_task(client.get(f"{gateway.base}/t", params=params))
        await backend.begun()
        await gateway.rewrite(routes={"/t": route(select="b")})
        async with asyncio.timeout(3 * PATIENCE):
            answer = await waiting
        assert answer.status_code == 200
        assert DOCUMENT["b"] == (answer.json() if transport == "short_poll" else answer.json()["events"][0]["data"])


@pytest.mark.parametrize("transport", ["short_poll", "long_poll"])
async def test_who_waits_is_not_sent_away_by_a_reload_at_the_moment_of_the_answer(
    backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """The document that was waited for is of the old definition, so there is one more to wait for."""
    async with reloadable_gateway(backend, {"/t": route(select="a")}, tmp_path) as gateway, http_client() as client:
        gateway.written.says["routes"] = {"/t": route(select="b")}
        after = [Generation(gateway.written.read(), gateway.running.gateway._generation)]
        settle = PolledChannel.settled

        def settle_and_reload(channel: PolledChannel) -> None:
            settle(channel)
            if after and gateway.running.gateway.reloads is not None:
                gateway.running.gateway.reloads._take_over(after.pop())

        monkeypatch.setattr(PolledChannel, "settled", settle_and_reload)
        params = {"wait": "20"} if transport == "long_poll" else {}
        answer = await client.get(f"{gateway.base}/t", params=params)
        assert not after and answer.status_code == 200
        assert DOCUMENT["b"] == (answer.json() if transport == "short_poll" else answer.json()["events"][0]["data"])


@pytest.mark.parametrize("transport", ["short_poll", "long_poll"])
async def test_who_waits_for_a_first_document_is_told_if_there_is_none_any_more(
    backend: ScriptedBackend, tmp_path: Path, transport: str
) -> None:
    backend.delay = 0.3
    async with reloadable_gateway(backend, {"/t": route(select="a")}, tmp_path) as gateway, http_client() as client:
        params = {"wait": "20"} if transport == "long_poll" else {}
        waiting = asyncio.create_task(client.get(f"{gateway.base}/t", params=params))
        await backend.begun()
        await gateway.rewrite(routes={"/other": route()})
        async with asyncio.timeout(3 * PATIENCE):
            answer = await waiting
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_topic")


async def test_what_is_polled_by_itself_begins_and_ends(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway:
        assert await backend.is_left_alone(0.1)
        tally = await gateway.rewrite(routes={"/t": route(poll={"while": "always"})})
        assert tally["added"] == 1
        await backend.polled(3)
        assert (await gateway.rewrite(routes={"/t": route(poll={"while": "always"}, description="x")}))["added"] == 0
        await gateway.rewrite(routes={"/t": route(poll={"while": "always"}, select="a")})
        await backend.polled(3)
        await gateway.rewrite(routes={"/t": route(select="a")})
        await eventually(lambda: backend.is_left_alone(0.3), bool)


async def test_topics_that_nobody_waits_for_any_more_are_polled_again_after_a_longer_linger(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """A topic that becomes wanted by the file alone does not sleep on."""
    async with reloadable_gateway(backend, {"/t": route(poll={"linger": "0s"})}, tmp_path) as gateway:
        async with connected("sse", gateway.base, "/t") as link:
            await link.follow(DOCUMENT)
        await eventually(lambda: backend.is_left_alone(0.2), bool)
        await gateway.rewrite(routes={"/t": route(poll={"linger": "1h"})})
        await backend.polled(3)
        async with connected("sse", gateway.base, "/t") as link:
            backend.serve(document(1))
            await link.follow(document(1))


async def test_limits_and_cors_count_at_once(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway, http_client() as client:
        origin = {"Origin": "https://app.example"}
        assert "Access-Control-Allow-Origin" not in (await client.get(f"{gateway.base}/t", headers=origin)).headers
        server = {
            **gateway.written.says["server"],
            "cors": {"origins": ["https://app.example"]},
            "limits": {"connections": 1},
            "base_path": "/live",
        }
        async with connected("sse", gateway.base, "/t") as link:
            await link.follow(DOCUMENT)
            await gateway.rewrite(server=server)
            answer = await client.get(f"{gateway.base}/live/t", headers=origin)
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert (await client.get(f"{gateway.base}/t")).status_code == 404
            async with client.stream(
                "GET", f"{gateway.base}/live/t", headers={"Accept": "text/event-stream"}
            ) as refused:
                assert refused.status_code == 503
            backend.serve(document(1))
            await link.follow(document(1))
        assert await gateway.metric("pushgate_limit", resource="connections") == 1


async def test_fewer_topics_may_be_than_there_are(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Those that nobody needs make room, as many as it takes; whoever listens stays, though there is one too many."""
    routes = {"/t/{n}": route(poll={"linger": "0s", "every": "1h"})}
    async with reloadable_gateway(backend, routes, tmp_path) as gateway, http_client() as client:
        for n in range(5):
            assert (await client.get(f"{gateway.base}/t/{n}")).status_code == 200
        async with connected("sse", gateway.base, "/t/0") as link:
            await link.follow(DOCUMENT)
            await gateway.rewrite(server={**gateway.written.says["server"], "limits": {"topics": 2}})
            assert (await client.get(f"{gateway.base}/t/9")).status_code == 200
            topics = (await client.get(f"{gateway.admin}/-/topics")).json()["topics"]
            assert [topic["topic"] for topic in topics] == ["/t/0", "/t/9"]


async def test_what_a_view_is_a_part_of_now_is_given_room_by_topics_that_nobody_needs(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Also where their route has another name than before, and views of theirs are still to be handed over."""
    calm = {"linger": "0s", "every": "1h"}
    old = route(poll=calm, request={"path": "/x"}, params={"x": "[0-9]"})
    other = route(poll=calm, request={"path": "/y"})
    routes = {
        "/a/{x}": old,
        "/b/{y}": other,
        "/v/{y}": {"from": "/b/{y}", "pointer": "/b"},
        "/w/{x}": {"from": "/a/{x}", "pointer": "/b"},
    }
    server = {"limits": {"topics": 2}}
    async with (
        reloadable_gateway(backend, routes, tmp_path, server=server) as gateway,
        connected("sse", gateway.base, "/v/2") as link,
        http_client() as client,
    ):
        await link.follow(DOCUMENT["b"])
        assert (await client.get(f"{gateway.base}/w/1")).status_code == 200, "an idle view of an idle topic"
        renamed = {**old, "params": {"y": "[0-9]"}}
        await gateway.rewrite(
            routes={
                "/a/{y}": renamed,
                "/b/{y}": other,
                "/v/{y}": {"from": "/a/{y}", "pointer": "/b"},
                "/w/{y}": {"from": "/a/{y}", "pointer": "/b"},
            }
        )
        await link.hear("snapshot")
        backend.serve(document(1))
        topics = (await client.get(f"{gateway.admin}/-/topics")).json()["topics"]
        assert {topic["topic"]: topic["subscribers"] + topic["views"] for topic in topics} == {"/b/2": 0, "/a/2": 1}


async def test_what_is_known_of_a_backend_survives(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Reloading in a loop gives nobody a fresh budget; another budget counts at once, for who waits too."""
    hourly = {"every": "1h"}
    async with (
        reloadable_gateway(
            backend, {"/t": route(poll=hourly)}, tmp_path, upstream={"budget": {"rate": "1/h"}}
        ) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        for number in range(20):
            await gateway.rewrite(routes={"/t": route(poll=hourly), f"/n{number}": route(poll=hourly)})
        await gateway.rewrite(routes={"/t": route(poll=hourly, select="a")})
        assert await backend.is_left_alone(0.3)
        assert len(backend.requests) == 1
        says = gateway.written.says["upstreams"]["u"]
        await gateway.rewrite(upstreams={"u": {**says, "budget": {"rate": "50/s", "burst": 5}}})
        await link.follow(DOCUMENT["a"])


async def test_a_reload_is_no_reason_to_log_in_again(tmp_path: Path) -> None:
    """Connections and tokens of a backend stay as long as nothing of it changes; what changes is got anew, once."""

    def answer(asked: Asked) -> bytes:
        body = {"access_token": "t", "expires_in": 3600} if asked.target == "/token" else DOCUMENT
        return respond("200 OK", json.dumps(body).encode(), "Content-Type: application/json")

    async with raw_backend(answer) as backend:

        def credentials(secret: str) -> dict[str, Any]:
            token = {"kind": "oauth2", "token_url": f"{backend.url}/token", "client_id": "me", "client_secret": secret}
            return {"url": backend.url, "credentials": token}

        def logins() -> int:
            return sum(asked.target == "/token" for asked in backend.asked)

        async with (
            reloadable_gateway(backend.url, {"/t": route()}, tmp_path, upstream=credentials("one")) as gateway,
            connected("sse", gateway.base, "/t") as link,
        ):
            await link.follow(DOCUMENT)
            connections = backend.connections
            for number in range(20):
                await gateway.rewrite(routes={"/t": route(), f"/n{number}": route()})
            assert (logins(), backend.connections) == (1, connections)
            await gateway.rewrite(routes={"/t": route(select="a")})  # cuts a poll that is under way
            await link.follow(DOCUMENT["a"])
            assert logins() == 1
            await gateway.rewrite(upstreams={"u": credentials("two")})

            async def count() -> int:
                return logins()

            assert await eventually(count, lambda seen: seen > 1) == 2


async def test_who_has_to_ask_anew_is_told_to_come_back(backend: ScriptedBackend, tmp_path: Path) -> None:
    """A topic that gets another name, a default of its query for instance, is not the one that was followed."""
    async with (
        reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as sse,
        connected("websocket", gateway.base, "/t") as websocket,
    ):
        await see_through([sse, websocket], DOCUMENT)
        query = {"lang": {"pattern": "[a-z]+", "default": "de"}}
        await gateway.rewrite(routes={"/t": route(query=query)})
        assert (await sse.hear("problem"))["data"]["code"] == "reloaded"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await websocket.hear("nothing of the kind")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        assert "retry_after_ms=" in closed.value.rcvd.reason
        await sse.reconnect()
        assert (await sse.receive())["event"] in ("heartbeat", "snapshot")
        await sse.follow(DOCUMENT)


async def test_a_new_end_is_looked_for_although_nothing_changes(backend: ScriptedBackend, tmp_path: Path) -> None:
    """The backend says 304, and its document makes `until` true that the file has only now; and back."""
    backend.is_honest = True
    async with (
        reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        await backend.polled(2)
        await gateway.rewrite(routes={"/t": route(poll={"until": "a.n == `0`"})})
        await link.hear("end")
        await link.disconnect()
        await gateway.rewrite(routes={"/t": route()})
        await link.connect()
        await link.follow(DOCUMENT)
        backend.serve(document(1))
        await link.follow(document(1))


async def test_a_big_document_gets_views_while_it_is_followed(backend: ScriptedBackend, tmp_path: Path) -> None:
    """It was read next door, and is read here from now on: the change after that is still a change."""

    def big(n: int) -> list[dict[str, Any]]:
        return [{"id": number, "n": n if number == 7 else 0, "text": "x" * 600} for number in range(1000)]

    backend.serve(big(0))
    keyed = route(key="id", poll={"every": "50ms"})
    async with (
        reloadable_gateway(backend, {"/t": keyed}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(big(0))
        backend.serve(big(1))
        await link.follow(big(1))
        await gateway.rewrite(routes={"/t": keyed, "/t/{id}": {"from": "/t", "item": "{id}"}})
        async with connected("websocket", gateway.base, "/t/7") as view:
            await view.follow(big(1)[7])
            backend.serve(big(2))
            await see_through([view], big(2)[7])
            await link.follow(big(2))
            await gateway.rewrite(routes={"/t": keyed})
            backend.serve(big(3))
            await link.follow(big(3))
        assert link.replica.kinds == ["snapshot", "patch", "patch", "patch"]


async def test_a_changed_secret_is_shown_from_the_next_poll_on(backend: ScriptedBackend, tmp_path: Path) -> None:
    """The topic goes on, since the backend is still the same one; and nothing ever names the secret."""
    (tmp_path / "token").write_text("first-secret\n")
    credentials = {"credentials": {"kind": "bearer", "token": "${file:token}"}}
    async with (
        reloadable_gateway(backend, {"/t": route()}, tmp_path, upstream=credentials) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        (tmp_path / "token").write_text("second-secret\n")
        tally = await gateway.reload()
        assert (tally["kept"], tally["renewed"]) == (1, 0)
        await backend.polled(2)
        assert backend.requests[-1].headers["authorization"] == "Bearer second-secret"
        backend.serve(document(1))
        await link.follow(document(1))
        assert link.replica.kinds[0] == "snapshot" and "snapshot" not in link.replica.kinds[1:]


async def test_what_cannot_be_taken_over_changes_nothing(backend: ScriptedBackend, tmp_path: Path) -> None:
    """All that is wrong is told, with its place and without secrets; a restart is asked for where it takes one."""
    (tmp_path / "token").write_text("very-secret-token\n")
    async with (
        reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway,
        connected("sse", gateway.base, "/t") as link,
        http_client(headers={"Pushgate-Admin": "1"}) as client,
    ):
        await link.follow(DOCUMENT)
        good = dict(gateway.written.says)
        bad = [
            {**good, "routes": {"/t": route(every="soon"), "/w": route(upstream="nowhere")}},
            {**good, "server": {**good["server"], "listen": "127.0.0.1:1"}},
            {**good, "server": {**good["server"], "admin": {"listen": "127.0.0.1:1"}}},
            {**good, "routes": {"/t": route(select="${file:token}[")}},
            {**good, "upstreams": {"u": {"url": backend.url, "tls": {"ca": "missing.pem"}}}},
        ]
        messages = ["every", "restart it", "restart it", "select", "files cannot be used"]
        for says, message in zip(bad, messages, strict=True):
            gateway.written.says = says
            answer = await client.post(f"{gateway.admin}/-/reload")
            assert answer.status_code == 422, answer.text
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = answer.json()
            assert problem["code"] == "bad_configuration" and message in problem["detail"]
            assert problem["problems"][0]["line"] >= 1 and "very-secret" not in answer.text
            assert await gateway.metric("pushgate_config_last_reload_successful") == 0
        with pytest.raises(ConfigError):
            await gateway.reload()
        backend.serve(document(1))
        await link.follow(document(1))
        gateway.written.says = good
        answers = await asyncio.gather(*(client.post(f"{gateway.admin}/-/reload") for _ in range(3)))
        assert [answer.status_code for answer in answers] == [200] * 3
        assert answers[0].json()["topics"] == {"kept": 1, "renewed": 0, "closed": 0, "added": 0, "clients_closed": 0}
        assert await gateway.metric("pushgate_config_last_reload_successful") == 1
        assert await gateway.metric("pushgate_config_last_reload_success_timestamp_seconds") > 1e9


async def test_only_an_operator_may_reload(backend: ScriptedBackend, tmp_path: Path) -> None:
    async with reloadable_gateway(backend, {"/t": route()}, tmp_path) as gateway, http_client() as client:
        assert (await client.get(f"{gateway.admin}/-/reload")).status_code == 405
        assert (await client.post(f"{gateway.admin}/-/reload")).status_code == 403


async def test_a_socket_that_has_unsubscribed_may_subscribe_to_what_the_topic_is_now(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Also if its topic was forgotten meanwhile; if there is none any more, the socket is told."""
    async with (
        reloadable_gateway(backend, {"/t": route(select="a", poll={"linger": "0s"})}, tmp_path) as gateway,
        connected("websocket", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT["a"])
        await link.say(op="unsubscribe", topic="/t")  # type: ignore[attr-defined]  # a WebSocket
        await link.hear("ack")
        await gateway.rewrite(routes={"/t": route(select="b")})
        await link.say(op="subscribe", topic="/t", cursor=link.replica.cursor)  # type: ignore[attr-defined]
        await link.follow(DOCUMENT["b"])
        await link.say(op="unsubscribe", topic="/t")  # type: ignore[attr-defined]
        await link.hear("ack")
        await gateway.rewrite(routes={"/other": route()})
        with pytest.raises(websockets.ConnectionClosed):
            await link.hear("nothing of the kind")


def living(kinds: tuple[type, ...]) -> int:
    gc.collect()
    return sum(isinstance(one, kinds) for one in gc.get_objects())


def sockets() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except FileNotFoundError:  # not on Linux
        return 0


@pytest.mark.timeout(300)  # each reload waits for a poll or two
async def test_two_hundred_reloads_leave_nothing_behind(backend: ScriptedBackend, tmp_path: Path) -> None:
    """Neither tasks nor sockets nor topics nor connections to a backend that has other credentials each time."""
    kinds = (Channel, Feed, History, Line, Route)

    def says(number: int) -> dict[str, Any]:
        token = {"kind": "bearer", "token": f"secret-{number % 2}"}
        return {
            "upstreams": {"u": {"url": backend.url, "credentials": token}},
            "routes": {
                "/kept": route(),
                "/changing": route(select=["a", "b"][number % 2]),
                "/v": {"from": "/changing", "select": ["@", "[@]"][number // 2 % 2]},
                **({"/new": route(poll={"while": "always"})} if number % 3 == 0 else {}),
            },
        }

    async with (
        reloadable_gateway(backend, says(0)["routes"], tmp_path) as gateway,
        connected("sse", gateway.base, "/kept") as kept,
        connected("sse", gateway.base, "/changing") as changing,
        connected("websocket", gateway.base, "/v") as view,
    ):
        await kept.follow(DOCUMENT)
        counts: list[tuple[int, int, int]] = []
        for number in range(1, 205):
            await gateway.rewrite(**says(number))
            if number in (12, 204):  # the same step of the cycle
                await view.hear("snapshot")
                counts.append((living(kinds), len(asyncio.all_tasks()), sockets()))
            for link in (changing, view):
                await link.receive()
        for before, after in zip(*counts, strict=True):
            assert after <= before + 20, "of what one more at each reload would be 192 more"
        assert await gateway.metric("pushgate_subscribers") == 3
        backend.serve(document(1))
        await kept.follow(document(1))


@pytest.mark.parametrize("transport", SHARED)
async def test_on_a_shared_connection_each_topic_has_its_own_fate(
    backend: ScriptedBackend, tmp_path: Path, transport: str
) -> None:
    """One goes on, one begins anew, one ends with its reason; and the position after that is one to come back to."""
    routes = {"/kept": route(), "/changed": route(select="a"), "/gone": route()}
    replicas = {topic: Replica() for topic in routes}
    async with (
        reloadable_gateway(backend, routes, tmp_path) as gateway,
        SHARED[transport](gateway.base, replicas) as link,
    ):
        await link.connect()
        await link.follow({"/kept": DOCUMENT, "/changed": DOCUMENT["a"], "/gone": DOCUMENT})
        await gateway.rewrite(routes={"/kept": route(description="x"), "/changed": route(select="b")})
        if transport == "long_poll":  # another set of documents: the next question begins anew
            for replica in replicas.values():
                replica.subscribe()
        await link.follow({"/changed": DOCUMENT["b"]})
        for n in range(1, 6):
            backend.serve(document(n))
            await link.follow({"/kept": document(n), "/changed": document(n)["b"]})
        if transport != "long_poll":  # which asks anew each time, and is refused then
            assert [problem["topic"] for problem in link.problems] == ["/gone"]
            assert link.kinds("/kept").count("snapshot") == 1
        del link.replicas["/gone"]  # type: ignore[attr-defined]  # a dict
        backend.serve(document(9))
        await link.reconnect("nothing")
        await link.follow({"/kept": document(9), "/changed": document(9)["b"]})
        await gateway.reload()
        await link.reconnect("set")
        backend.serve(document(10))
        await link.follow({"/kept": document(10), "/changed": document(10)["b"]})
