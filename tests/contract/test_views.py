"""
Views: a part of another topic's document, without a poll of its own, and with every promise kept.

The witness follows the whole document and takes only snapshots. What it holds at a number tells what the view is at
that number, because a view's changes have the numbers of its parent's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from backends import ScriptedBackend, answering
from gateways import EVERY_MODE, Running, eventually, http_client, route, running_gateway
from links import Link
from replicas import GONE, Replica, is_same, position_of
from transports import RESUMABLE, STREAMS, TRANSPORTS, connected, see_through

Project = Callable[[Any], Any]

ROUTES = {
    "/stations": route(key="id", select="data", emit=EVERY_MODE),
    "/stations/{id}": {"from": "/stations", "item": "{id}", "emit": ["patch", "merge", "snapshot"]},
    "/at/{n}": {"from": "/stations", "pointer": "/{n}/docks", "key": "n", "emit": EVERY_MODE},
    "/near/{zone}": {"from": "/stations", "select": "[?zone=={zone}]", "key": "id", "emit": EVERY_MODE},
}


def station(id: Any, step: int = 0, **more: Any) -> dict[str, Any]:
    docks = [{"n": n, "free": (step + n) % 3 == 0, "since": "2026-01-05T06:00:00Z"} for n in range(8)]
    return {"id": id, "zone": "north", "bikes": step, "docks": docks, **more}


def item(id: Any) -> Project:
    return lambda stations: next((one for one in stations if one["id"] == id), GONE)


# A topic and what it shows of the parent's document.
VIEWS: dict[str, tuple[str, Project]] = {
    "item": ("/stations/b", item("b")),
    "pointer": ("/at/1", lambda stations: stations[1]["docks"] if len(stations) > 1 else GONE),
    "select": ("/near/north", lambda stations: [one for one in stations if one["zone"] == "north"]),
}
WAYS = [
    (transport, kind, mode)
    for transport in TRANSPORTS
    for kind in VIEWS
    for mode in ([None] if transport == "short_poll" else EVERY_MODE)
    if (kind, mode) != ("item", "items")
]
RESUMING_WAYS = [way for way in WAYS if way[0] != "short_poll"]


def serve(backend: ScriptedBackend, stations: list[Any]) -> None:
    backend.serve({"data": stations})


@asynccontextmanager
async def watched(backend: ScriptedBackend, first: list[Any], **server: Any) -> AsyncIterator[tuple[Running, Link]]:
    serve(backend, first)
    async with (
        running_gateway(backend, ROUTES, server=server) as gateway,
        connected("sse", gateway.base, "/stations", emit="snapshot") as witness,
    ):
        await witness.follow(first)
        yield gateway, witness


def assert_true_at_every_id(replica: Replica, witness: Replica, project: Project) -> None:
    """Promise 1 for a part: at every number it was what the witness had there."""
    truth = {position: document for position, document, _ in witness.states}
    assert replica.states, "the replica saw nothing"
    for position, document, is_ordered in replica.states:
        numbers = [number for epoch, number in truth if epoch == position[0] and number <= position[1]]
        assert is_same(document, project(truth[position[0], max(numbers)]), ordered=is_ordered), position


def series(seed: int, count: int) -> list[list[Any]]:
    """Stations that change, come, go, move and change their zone."""
    chance = Random(seed)
    stations = [station(id, n) for n, id in enumerate("abcdef")]
    result = []
    for step in range(count):
        stations = [dict(one) for one in stations]
        changed = chance.randrange(len(stations))
        stations[changed] = station(stations[changed]["id"], step, zone=chance.choice(["north", "north", "south"]))
        if chance.random() < 0.5:
            stations.append(stations.pop(0))
        if chance.random() < 0.3:
            stations = [one for one in stations if one["id"] != "b"] or stations
        elif chance.random() < 0.5 and item("b")(stations) is GONE:
            stations.insert(chance.randrange(len(stations)), station("b", step))
        result.append(stations)
    return result


@pytest.mark.parametrize(("transport", "kind", "mode"), WAYS)
async def test_every_state_of_a_part_is_held_in_turn(
    backend: ScriptedBackend, transport: str, kind: str, mode: str | None
) -> None:
    """A client of a view goes through every state of its part, also through those in which there is none."""
    topic, project = VIEWS[kind]
    documents = series(4, 16)
    async with (
        watched(backend, documents[0]) as (gateway, witness),
        connected(transport, gateway.base, topic, emit=mode, key="n" if kind == "pointer" else "id") as client,
    ):
        for document in documents:
            serve(backend, document)
            await witness.follow(document)
            if not (transport == "short_poll" and project(document) is GONE):  # whose clients see an error then
                await client.follow(project(document))
        assert_true_at_every_id(client.replica, witness.replica, project)
        assert await gateway.metric("pushgate_patch_rejected_total") == 0
        if mode in ("patch", "items"):
            assert mode in client.replica.kinds


@pytest.mark.parametrize(("transport", "kind", "mode"), RESUMING_WAYS)
async def test_a_client_that_returns_continues(backend: ScriptedBackend, transport: str, kind: str, mode: str) -> None:
    """What it missed of its part it gets, what it missed of the rest it never hears of, and no snapshot."""
    topic, project = VIEWS[kind]
    start = [station(id) for id in "abc"]
    async with (
        watched(backend, start) as (gateway, witness),
        connected(transport, gateway.base, topic, emit=mode, key="n" if kind == "pointer" else "id") as client,
    ):
        await client.follow(project(start))
        await client.disconnect()
        for step in range(1, 4):
            start = [start[0] | {"zone": f"zone {step}"}, station("b", step), *start[2:]]
            serve(backend, start)
            await witness.follow(start)
        before = len(client.replica.kinds)
        await client.reconnect()
        await client.follow(project(start))
        start = [start[0], station("b", 9), *start[2:]]
        serve(backend, start)
        await see_through([witness], start)
        await client.follow(project(start))
        assert_true_at_every_id(client.replica, witness.replica, project)
        if mode in ("patch", "items"):
            assert "snapshot" not in client.replica.kinds[before:], client.replica.kinds


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_view_that_was_forgotten_continues_too(backend: ScriptedBackend, transport: str) -> None:
    """A view can be forgotten whenever nobody listens; its parent's history still knows what it was at any cursor."""
    start = [station(id) for id in "abcd"]
    async with (
        watched(backend, start, limits={"topics": 2}) as (gateway, witness),
        connected(transport, gateway.base, "/stations/b") as client,
        http_client() as http,
    ):

        async def forget() -> None:
            """Ask for as many other views as there may be."""
            for other in "acd":
                assert (await http.get(f"{gateway.base}/stations/{other}")).status_code == 200

        await client.follow(start[1])
        for has_changed in (True, False):
            await client.disconnect()
            if has_changed:
                start = [start[0], start[1] | {"bikes": 77}, *start[2:]]
                serve(backend, start)
                await witness.follow(start)
            start = [start[0] | {"bikes": start[0]["bikes"] + 1}, *start[1:]]
            serve(backend, start)
            await witness.follow(start)
            await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda count: count == 1)
            await forget()
            before = len(client.replica.kinds)
            await client.reconnect()
            await client.follow(start[1])
            if transport != "long_poll":
                assert client.replica.kinds[before:] == (["patch"] if has_changed else [])
        assert "snapshot" not in client.replica.kinds[1:]
        assert_true_at_every_id(client.replica, witness.replica, item("b"))


@pytest.mark.parametrize("transport", STREAMS)
async def test_an_item_comes_and_goes(backend: ScriptedBackend, transport: str) -> None:
    """Absent is ``gone``: an event, a state, and 404 for who asks once; when it is back there is a snapshot."""
    a, b = station("a"), station("b")
    async with (
        watched(backend, [a]) as (gateway, witness),
        connected(transport, gateway.base, "/stations/b") as client,
        http_client() as http,
    ):
        await client.follow(GONE)
        assert (await client.hear_state("gone"))["data"]["reason"] is None
        answer = await http.get(f"{gateway.base}/stations/b")
        assert (answer.status_code, answer.json()["code"]) == (404, "gone")
        assert answer.headers["Pushgate-State"] == "gone"
        for stations in ([a, b], [a], [b, a]):
            serve(backend, stations)
            await witness.follow(stations)
            await client.follow(item("b")(stations))
            await client.hear_state("live" if b in stations else "gone")
        assert client.replica.kinds == ["gone", "snapshot", "gone", "snapshot"]
        assert (await http.get(f"{gateway.base}/stations/b")).json() == b
        backend.say(b"", status=404)
        await client.follow(GONE)
        await client.hear_state("gone")
        serve(backend, [b])
        await client.follow(b)


async def test_parents_trouble_is_the_views(backend: ScriptedBackend) -> None:
    """A view is as stale, as fresh and as cold as the document that it is a part of."""
    b = station("b")
    backend.say(b"", status=500)
    async with running_gateway(backend, ROUTES) as gateway, http_client() as http:
        answer = await http.get(f"{gateway.base}/stations/b")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
        async with connected("sse", gateway.base, "/stations/b") as client:
            assert (await client.receive())["data"]["state"] == "cold"
            serve(backend, [b])
            await client.follow(b)
            await client.hear_state("live")
            backend.say(b"", status=500)
            assert (await client.hear_state("stale"))["data"]["reason"] == "http_5xx"
            answer = await http.get(f"{gateway.base}/stations/b")
            assert (answer.status_code, answer.json(), answer.headers["Pushgate-State"]) == (200, b, "stale")
            serve(backend, [b])
            await client.hear_state("live")
            assert client.replica.kinds == ["snapshot"]


async def test_a_change_elsewhere_is_no_news(backend: ScriptedBackend) -> None:
    """Clients of one station hear nothing of the others, and their cursors stay good."""
    stations = [station(id) for id in "abc"]
    async with (
        watched(backend, stations) as (gateway, witness),
        connected("websocket", gateway.base, "/stations/b") as client,
        http_client() as http,
    ):
        await client.follow(stations[1])
        plain = await http.get(f"{gateway.base}/stations/b")
        for step in range(5):
            stations = [station("a", step + 1), *stations[1:]]
            serve(backend, stations)
            await witness.follow(stations)
        again = await http.get(f"{gateway.base}/stations/b", headers={"If-None-Match": plain.headers["ETag"]})
        assert again.status_code == 304
        cursor = plain.headers["Pushgate-Cursor"]
        assert (await http.get(f"{gateway.base}/stations/b?cursor={cursor}&wait=0")).status_code == 204
        serve(backend, [*stations[:1], station("b", 9), *stations[2:]])
        await client.follow(station("b", 9))
        assert client.replica.kinds == ["snapshot", "patch"]
        assert await gateway.metric("pushgate_changes_total", route="/stations/{id}") == 2
        assert position_of(client.replica.cursor or "")[1] > position_of(cursor)[1]


async def test_views_cost_no_poll(backend: ScriptedBackend) -> None:
    """However many are followed: the parent is polled for all of them, as long as anybody follows one."""
    stations = [station(f"s{n}") for n in range(40)]
    serve(backend, stations)
    slow = {**ROUTES, "/stations": route(key="id", select="data", poll={"every": "1h"})}
    async with running_gateway(backend, slow) as gateway, http_client() as http:
        asked = [http.get(f"{gateway.base}/stations/s{n}") for n in range(40)]
        answers = await asyncio.gather(*asked, http.get(f"{gateway.base}/stations"))
        assert [answer.json() for answer in answers] == [*stations, stations]
        assert len(backend.requests) == 1
        assert int(answers[0].headers["Cache-Control"].partition("max-age=")[2]) > 3000


async def test_who_follows_a_view_keeps_its_parent_awake(backend: ScriptedBackend) -> None:
    """And when the last has left, the upstream is left alone."""
    serve(backend, [station("b")])
    async with running_gateway(backend, ROUTES) as gateway:
        async with connected("sse", gateway.base, "/stations/b") as client:
            await client.follow(station("b"))
            await backend.polled(30)
            serve(backend, [station("b", 1)])
            await client.follow(station("b", 1))
        async with asyncio.timeout(5):
            while not await backend.is_left_alone(0.3):
                pass


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_parent_that_ends_ends_its_views(backend: ScriptedBackend, transport: str) -> None:
    """The last state of the part, if that is new, and then the end; whoever comes later gets both."""
    ending = {**ROUTES, "/stations": route(key="id", select="data", poll={"until": "length(@) == `3`"})}
    first, last = [station("a"), station("b")], [station("a", 1), station("b", 2), station("c")]
    serve(backend, first)
    async with (
        running_gateway(backend, ending) as gateway,
        connected(transport, gateway.base, "/stations/a") as changed,
        connected("sse", gateway.base, "/stations/c") as came,
        connected("sse", gateway.base, "/stations") as whole,
        http_client() as http,
    ):
        await changed.follow(first[0])
        await came.follow(GONE)
        unseen = (await http.get(f"{gateway.base}/stations/b")).headers["Pushgate-Cursor"]
        serve(backend, last)
        await whole.follow(last)
        for client, document in ((changed, last[0]), (came, last[2])):
            await client.follow(document)
            assert (await client.hear("end"))["data"].keys() == {"at"}
        late = await http.get(f"{gateway.base}/stations/b?cursor={unseen}&wait=5")
        assert [event["event"] for event in late.json()["events"]] == ["patch", "end"]
        answer = await http.get(f"{gateway.base}/stations/b")
        assert (answer.json(), answer.headers["Pushgate-State"]) == (last[1], "ended")
        again = {"Accept": "text/event-stream", "Last-Event-ID": answer.headers["Pushgate-Cursor"]}
        assert (await http.get(f"{gateway.base}/stations/b", headers=again)).status_code == 204


# Names.


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("gare du nord", "gare%20du%20nord"),
        ("Zürich/x", None),
        ("Zürich", "Z%C3%BCrich"),
        ("a?b#c%20", "a%3Fb%23c%2520"),
        ("it's `b`", "it's%20%60b%60"),
        (7, "7"),
        (7.5, "7.5"),
        (True, "true"),
    ],
)
async def test_an_item_is_named_by_the_text_of_its_key(backend: ScriptedBackend, id: Any, path: str | None) -> None:
    """Percent-encoded where a path has to be; a key with a slash in it cannot be named."""
    serve(backend, [station("other"), station(id)])
    async with running_gateway(backend, ROUTES) as gateway, http_client() as http:
        answer = await http.get(f"{gateway.base}/stations/{path or 'Z%C3%BCrich%2Fx'}")
        assert (answer.json() == station(id)) if path else (answer.status_code == 404)


async def test_a_string_comes_before_a_number(backend: ScriptedBackend) -> None:
    """``1`` and ``"1"`` are two keys with one text."""
    serve(backend, [station(1), station("1")])
    async with (
        running_gateway(backend, ROUTES) as gateway,
        connected("sse", gateway.base, "/stations/1") as client,
    ):
        await client.follow(station("1"))
        serve(backend, [station(1, 5)])
        await client.follow(station(1, 5))


async def test_a_view_takes_its_parents_parameters(backend: ScriptedBackend) -> None:
    """Those of the path, checked as there, and the query, passed on as there; each city has its own document."""
    cities = route(key="id", params={"city": ["paris", "lyon"]}, query={"lang": {"default": "en"}})
    routes = {"/stations/{city}": cities, "/stations/{city}/{id}": {"from": "/stations/{city}", "item": "{id}"}}
    backend.serve([station("b")])
    async with running_gateway(backend, routes) as gateway, http_client() as http:
        assert (await http.get(f"{gateway.base}/stations/paris/b?lang=fr")).json() == station("b")
        assert (await http.get(f"{gateway.base}/stations/lyon/b")).json() == station("b")
        assert {asked.path for asked in backend.requests} == {"/stations/paris?lang=fr", "/stations/lyon?lang=en"}
        assert (await http.get(f"{gateway.base}/stations/rome/b")).status_code == 404
        assert (await http.get(f"{gateway.base}/stations/lyon/b?page=1")).status_code == 400


async def test_a_view_is_json_whatever_its_parent_answers(backend: ScriptedBackend) -> None:
    """``short_poll: raw`` gives the parent's clients the upstream's bytes; a part of them would be nobody's."""
    backend.say(b'[ {"id": "b" } ]', Content_Type="application/vnd.bikes+json")
    raw = {**ROUTES, "/stations": route(key="id", short_poll="raw")}
    async with running_gateway(backend, raw) as gateway, http_client() as http:
        assert (await http.get(f"{gateway.base}/stations")).text == '[ {"id": "b" } ]'
        answer = await http.get(f"{gateway.base}/stations/b")
        assert (answer.text, answer.headers["Content-Type"]) == ('{"id":"b"}', "application/json")
        assert answer.headers["Pushgate-Cursor"]


async def test_a_view_offers_what_it_says(backend: ScriptedBackend) -> None:
    """Its transports and modes are its own."""
    serve(backend, [station("b")])
    narrow = {**ROUTES, "/stations/{id}": {"from": "/stations", "item": "{id}", "emit": "merge", "transports": ["sse"]}}
    async with running_gateway(backend, narrow) as gateway, http_client() as http:
        assert (await http.get(f"{gateway.base}/stations")).status_code == 200
        assert (await http.get(f"{gateway.base}/stations/b")).status_code == 406
        sse = {"Accept": "text/event-stream"}
        assert (await http.get(f"{gateway.base}/stations/b?emit=patch", headers=sse)).status_code == 400
        async with connected("sse", gateway.base, "/stations/b") as client:
            await client.follow(station("b"))
            serve(backend, [station("b") | {"bikes": 5}])
            assert (await client.hear("merge"))["data"] == {"bikes": 5}


async def test_there_are_not_more_views_than_may_be(backend: ScriptedBackend) -> None:
    """Those that nobody follows make room; if all are followed, a new one is refused."""
    serve(backend, [station(id) for id in "abc"])
    async with (
        running_gateway(backend, ROUTES, server={"limits": {"topics": 2}}) as gateway,
        connected("sse", gateway.base, "/stations/a") as a,
        http_client() as http,
    ):
        await a.follow(station("a"))
        for name in "bcb":
            assert (await http.get(f"{gateway.base}/stations/{name}")).json() == station(name)
        async with connected("websocket", gateway.base, "/stations/b") as b:
            await b.follow(station("b"))
            answer = await http.get(f"{gateway.base}/stations/c")
            assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            assert (await http.get(f"{gateway.base}/stations")).status_code == 200


async def test_a_websocket_that_left_a_view_may_come_back(backend: ScriptedBackend) -> None:
    """Also if the view was forgotten while nobody followed it; what comes then is no other than for everybody."""
    serve(backend, [station(id) for id in "ab"])
    async with (
        running_gateway(backend, ROUTES, server={"limits": {"topics": 1}}) as gateway,
        connect(f"{gateway.base.replace('http', 'ws')}/stations/a") as client,
        http_client() as http,
    ):
        await client.recv()
        await client.send('{"op":"unsubscribe","topic":"/stations/a"}')
        while json.loads(await client.recv())["event"] != "ack":
            pass
        assert (await http.get(f"{gateway.base}/stations/b")).json() == station("b")
        await client.send('{"op":"subscribe","topic":"/stations/a"}')
        events = [json.loads(await client.recv()) for _ in range(2)]
        assert [event["event"] for event in events] == ["ack", "snapshot"]
        assert (await http.get(f"{gateway.base}/stations/b")).status_code == 503, "there is one that is followed"


# Identities.


@asynccontextmanager
async def accounts(closed: set[str]) -> AsyncIterator[str]:
    """A backend that shows to each caller what is theirs, and nothing any more to those that are closed."""

    async def show(request: web.BaseRequest) -> web.StreamResponse:
        who = request.headers["Authorization"]
        return web.Response(status=403) if who in closed else web.json_response({"of": who})

    async with answering(show) as url:
        yield url


async def test_a_view_is_of_its_callers_own_document() -> None:
    """Nobody's part is made of another's document; who loses the rights to it loses its views."""
    own = route(share="identity", forward={"headers": ["Authorization"]})
    ann, bob = {"Authorization": "ann"}, {"Authorization": "bob"}
    closed: set[str] = set()
    async with (
        accounts(closed) as url,
        running_gateway(url, {"/me": own, "/me/of": {"from": "/me", "pointer": "/of"}}) as gateway,
        http_client() as http,
    ):
        of = f"{gateway.base}/me/of"
        anns, bobs = await http.get(of, headers=ann), await http.get(of, headers=bob)
        assert (anns.json(), bobs.json()) == ("ann", "bob")
        assert anns.headers["Cache-Control"] == "private, no-cache"
        stolen = {"cursor": anns.headers["Pushgate-Cursor"]}
        resumed = await http.get(of, params=stolen, headers=bob)
        assert [event["data"] for event in resumed.json()["events"]] == ["bob"]
        async with connect(of.replace("http", "ws"), additional_headers=ann) as client:
            assert json.loads(await client.recv())["data"] == "ann"
            closed.add("ann")
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4403, "upstream_denied")
        assert (await http.get(of, headers=ann)).status_code == 403
        assert (await http.get(of, headers=bob)).json() == "bob"
        closed.clear()
        again = await eventually(lambda: http.get(of, params=stolen, headers=ann), lambda seen: seen.status_code != 403)
        assert [event["event"] for event in again.json()["events"]] == ["snapshot"], "nothing was kept"
