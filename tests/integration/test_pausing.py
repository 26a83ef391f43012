"""Operators pause a route, or leave a backend alone: what reaches it, what clients see, and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets

from backends import ScriptedBackend
from gateways import eventually, http_client, route, running_gateway
from legacy import BEARER, SELDOM, Site, site
from links import Link
from sharedlinks import SHARED, replicas_of
from transports import STREAMS, TRANSPORTS, connected, see_through

UPSTREAMS = ["u", "ups-a", "ups-b"]  # all of them
KEY = {"Authorization": "Bearer an-api-key-of-acme"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as found:
        yield found


class TestClients:
    """What they see while a topic that they follow is paused, and afterwards."""

    @pytest.mark.parametrize("transport", TRANSPORTS)
    @pytest.mark.parametrize("what", [{"route": "/t"}, {"upstream": "u"}])
    async def test_they_lose_nothing(self, backend: ScriptedBackend, transport: str, what: dict[str, str]) -> None:
        """They keep what they have and are told ``paused``, then ``live``, and then what has changed meanwhile."""
        one, two = ({"n": n, "pad": "x" * 100} for n in (1, 2))
        backend.serve(one)
        async with (
            running_gateway(backend, {"/t": route()}) as gateway,
            connected(transport, gateway.base, "/t") as client,
            http_client(base_url=gateway.base) as http,
            http_client(base_url=gateway.admin, headers={"Pushgate-Admin": "1"}) as admin,
        ):
            await client.follow(one)
            await admin.post("/-/pause", params=what)
            if transport in STREAMS:
                status = (await client.hear_state("paused"))["data"]
                assert (status["next_poll_at"], status["reason"]) == (None, None)
            backend.serve(two)
            assert await backend.is_left_alone(0.1)
            answer = await http.get("/t")
            assert (answer.status_code, answer.json(), answer.headers["Pushgate-State"]) == (200, one, "paused")
            assert (await admin.get("/readyz")).status_code == 200
            await admin.post("/-/resume", params=what)
            if transport in STREAMS:
                await client.hear_state("live")
            await client.follow(two)
            assert (await http.get("/t")).headers["Pushgate-State"] == "live"
            told = ["snapshot", "snapshot" if transport == "short_poll" else "patch"]
            assert client.replica.kinds == told

    async def test_who_comes_without_a_document_there(self, place: Site) -> None:
        """Polls are 503 and told when to come back; streams stay and are told the state, and then everything."""
        await place.obeyed("pause", route="/plain/{n}")
        async with AsyncExitStack() as stack:
            links: list[Link] = []
            for transport in STREAMS:
                link = await stack.enter_async_context(connected(transport, place.gateway.base, "/plain/1"))
                assert [(await link.receive())["event"] for _ in range(2)] == ["heartbeat", "status"]
                assert link.heard[-1]["data"]["state"] == "paused"
                links.append(link)
            for asked in ["", "/part", "?wait=20", "?cursor=E.1.S.H&wait=20"]:
                answer = await place.client.get(f"/plain/1{asked}")
                assert (answer.status_code, answer.json()["code"]) == (503, "paused")
                assert (answer.headers["Retry-After"], answer.headers["Pushgate-State"]) == ("30", "paused")
            again = await place.client.get("/plain/1", headers={"If-None-Match": "*", "Prefer": "wait=20"})
            assert again.status_code == 503
            assert place.requests == 0
            await place.obeyed("resume", route="/plain/{n}")
            await see_through(links, {"n": 1, "path": "/plain/1"})
        assert place.requests == 1

    @pytest.mark.parametrize("transport", SHARED)
    async def test_many_topics_on_one_connection(self, place: Site, transport: str) -> None:
        """A topic that is paused holds up no other one; when it goes on, it is told like any other."""
        await place.obeyed("pause", upstream="ups-a")
        async with SHARED[transport](place.gateway.base, replicas_of(["/plain/1", "/via/a"])) as link:
            await link.connect()
            await link.follow({"/plain/1": {"n": 1, "path": "/plain/1"}})
            assert [asked.path for asked in place.backend.requests] == ["/plain/1"]
            await place.obeyed("resume", upstream="ups-a")
            await link.follow({"/via/a": {"n": 1, "path": "/via/a"}})

    async def test_nothing_but_topics_that_are_paused_on_one_connection(self, place: Site) -> None:
        """A long poll of them has no more to say than one of each."""
        await place.obeyed("pause", upstream="u")
        answer = await place.client.get("/-/poll", params=[("topic", "/plain/1"), ("topic", "/plain/2")])
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "paused", "30")

    async def test_coming_back_to_a_restarted_gateway(self, backend: ScriptedBackend) -> None:
        """Whether a set goes on where it was is judged without the topics that are paused: nobody waits for these."""
        backend.serve({"n": 1})
        routes = {"/t": route(), "/paused": route(upstream="v")}
        upstreams = {"u": {"url": backend.url}, "v": {"url": backend.url}}
        link = SHARED["sse"]("", replicas_of(routes))
        async with running_gateway(backend, routes, upstreams=upstreams) as gateway, link:
            link.base = gateway.base
            await link.connect()
            await link.follow({key: {"n": 1} for key in routes})
        async with running_gateway(backend, routes, upstreams=upstreams) as gateway, link:
            async with http_client(base_url=gateway.admin, headers={"Pushgate-Admin": "1"}) as admin:
                await admin.post("/-/pause", params={"upstream": "v"})
            link.base = gateway.base
            await link.connect("set")
            async with asyncio.timeout(5):
                assert (await link.hear("snapshot"))["topic"] == "/t"

    async def test_a_view_stops_with_its_parent(self, place: Site) -> None:
        """Who follows a part is told as if it were the whole."""
        async with connected("sse", place.gateway.base, "/plain/1/part") as link:
            await link.follow(1)
            await place.obeyed("pause", route="/plain/{n}")
            await link.hear_state("paused")
            place.backend.number = 2
            assert (await place.order("refresh", topic="/plain/1/part")).status_code == 409
            await place.obeyed("resume", route="/plain/{n}")
            await link.hear_state("live")
            await link.follow(2)

    async def test_who_waits_for_a_poll_that_is_turned_away(self, tmp_path: Path) -> None:
        """A short poll that waits for its first document does not wait for the end of the pause."""
        budget = {"budget": {"concurrency": 1}}
        async with site(tmp_path, {"/plain/{n}": route(poll=SELDOM)}) as place:
            sections = {**place.gateway.written.says["upstreams"]}
            await place.gateway.rewrite(upstreams={**sections, "u": {**sections["u"], **budget}})
            place.backend.gate.clear()
            first = asyncio.create_task(place.client.get("/plain/1"))
            await place.backend.until(lambda: len(place.backend.requests) == 1)
            second = asyncio.create_task(place.client.get("/plain/2"))
            await eventually(place.topics, lambda seen: len(seen) == 2)
            await place.obeyed("pause", upstream="u")
            assert (await second).status_code == 503
            place.backend.gate.set()
            assert ((await first).status_code, (await first).headers["Pushgate-State"]) == (200, "paused")
            assert place.requests == 1

    async def test_who_waits_for_a_poll_that_has_not_begun(self, place: Site) -> None:
        """After a reload topics are polled one after the other; a pause before that is answered at once."""
        place.backend.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            for n in range(1, 13):
                asked = tasks.create_task(place.client.get(f"/plain/{n}"))
                await place.backend.until(lambda: len(place.backend.requests) == n)  # noqa: B023  # awaited here
            routes = place.gateway.written.says["routes"]
            await place.gateway.rewrite(routes={**routes, "/plain/{n}": {**routes["/plain/{n}"], "select": "{m: n}"}})
            await place.obeyed("pause", route="/plain/{n}")
            async with asyncio.timeout(5):
                assert (await asked).status_code == 503
            place.backend.gate.set()


async def short_poll(place: Site) -> None:
    assert (await place.client.get("/plain/1")).json()["code"] == "paused"
    assert (await place.client.get("/via/a")).json()["code"] == "paused"
    assert (await place.client.get("/via/b")).json()["code"] == "paused"


async def streams(place: Site) -> None:
    for transport in STREAMS:
        for topic in ("/plain/1", "/via/a", "/via/b"):
            async with connected(transport, place.gateway.base, topic) as link:
                await link.hear_state("paused")


async def poke(place: Site) -> None:
    answer = await place.client.post("/-/poke?topic=/plain/*&topic=/via/*", headers=BEARER)
    assert (answer.status_code, answer.json()) == (202, {"polled": 0})


async def refresh(place: Site) -> None:
    await place.client.get("/plain/1")  # it is alive, and has nothing
    answer = await place.order("refresh", topic="/plain/1")
    assert (answer.status_code, answer.text) == (
        409,
        "/plain/1 is paused; resume the route /plain/{n} or the upstream u first\n",
    )


async def write(place: Site) -> None:
    answer = await place.client.post("/plain/1", json={"a": 1})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "paused", "30")
    assert answer.json()["detail"] == "the upstream u is paused by an operator; nothing was sent"


async def send(place: Site) -> None:
    async with websockets.connect(f"{place.gateway.base.replace('http', 'ws', 1)}/-/ws", proxy=None) as socket:
        await socket.send('{"op": "send", "topic": "/plain/1", "data": 1, "ref": 7}')
        said = await socket.recv()
        assert '"code":"paused"' in str(said) and '"ref":7' in str(said)


async def proxied(place: Site) -> None:
    for method, path, headers in (("GET", "/old/x", {}), ("POST", "/old/write", {}), ("GET", "/own/x", KEY)):
        answer = await place.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "paused", "30")


async def upgrade(place: Site) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"{place.gateway.base.replace('http', 'ws', 1)}/old/ws", proxy=None)
    assert refused.value.response.status_code == 503


async def reload(place: Site) -> None:
    """The upstreams get other times and other URLs, and a route is polled from the start."""
    says = place.gateway.written.says
    slower = {name: {**one, "timeout": {"total": "9s"}} for name, one in says["upstreams"].items()}
    moved = {**slower, "u": {**slower["u"], "url": f"{place.backend.url}/below"}}
    standing = {"auth": "none", **route(poll={"every": "10ms", "while": "always"})}
    routes = {**says["routes"], "/page": standing}
    assert (await place.gateway.rewrite(upstreams=slower, routes=routes))["added"] == 1
    await place.gateway.rewrite(upstreams=moved)


WAYS: dict[str, Callable[[Site], Awaitable[None]]] = {
    way.__name__: way for way in (short_poll, streams, poke, refresh, write, send, proxied, upgrade, reload)
}


class TestTheKillSwitch:
    """While an upstream is paused, its owner sees nothing of us."""

    @pytest.mark.parametrize("way", WAYS)
    async def test_nothing_reaches_the_backend(self, place: Site, way: str) -> None:
        """Whatever is asked of the gateway, no request goes out, and none to a token server for its sake."""
        for upstream in UPSTREAMS:
            told = await place.obeyed("pause", upstream=upstream)
        assert told == {"paused": {"routes": [], "upstreams": sorted(UPSTREAMS)}}
        await WAYS[way](place)
        assert await place.backend.is_left_alone(0.05)
        assert place.requests == 0

    async def test_what_was_asked_for_follows(self, place: Site) -> None:
        """After it, every way in works: tokens and logins are got, and writes and passages go through."""
        for upstream in UPSTREAMS:
            await place.obeyed("pause", upstream=upstream)
        await short_poll(place)
        await proxied(place)
        for upstream in UPSTREAMS:
            await place.obeyed("resume", upstream=upstream)
        for topic in ("/plain/1", "/via/a", "/via/b"):
            assert (await place.client.get(topic)).json() == {"n": 1, "path": topic}
        answer = await place.client.post("/plain/1", json={"a": 1})
        assert (answer.status_code, answer.headers["Pushgate-Settled"]) == (200, "yes")
        for path, headers in (("/old/x", {}), ("/own/x", KEY)):
            assert (await place.client.get(path, headers=headers)).json()["path"] == path
        assert [asked.path for asked in place.backend.requests].count("/login") == 1
        assert len(place.tokens.requests) == 1

    async def test_who_waits_for_a_turn_is_turned_away(self, tmp_path: Path) -> None:
        """Of eight topics one is being polled; the others wait for the budget, and go home. What was asked is told."""
        async with site(tmp_path, {"/plain/{n}": route(poll=SELDOM)}) as place, AsyncExitStack() as stack:
            says = place.gateway.written.says["upstreams"]
            await place.gateway.rewrite(upstreams={**says, "u": {**says["u"], "budget": {"concurrency": 1}}})
            place.backend.gate.clear()
            links = [
                await stack.enter_async_context(connected("sse", place.gateway.base, f"/plain/{n}")) for n in range(8)
            ]
            await place.backend.until(lambda: len(place.backend.requests) == 1)
            await place.obeyed("pause", upstream="u")
            place.backend.gate.set()
            (first,) = [link for link in links if place.backend.requests[0].path == link.topic]
            await first.follow({"n": 1, "path": first.topic})
            assert await place.backend.is_left_alone(0.05)
            assert place.requests == 1
            await place.obeyed("resume", upstream="u")
            await asyncio.gather(*(link.follow({"n": 1, "path": link.topic}) for link in links))
            assert place.requests == 8
            assert all(not told["last_failures"] and told["failures"] == 0 for told in await place.topics())

    async def test_a_poll_of_many_pages_stops_between_two(self, place: Site) -> None:
        """What was under way is one request; the next page would be another."""
        async with connected("sse", place.gateway.base, "/page") as link:
            place.backend.gate.clear()
            await link.hear("heartbeat")
            await place.backend.until(lambda: len(place.backend.requests) == 1)
            await place.obeyed("pause", upstream="u")
            place.backend.gate.set()
            (told,) = await eventually(place.topics, lambda seen: seen[0]["next_poll"]["why"] != "polling now")
            assert place.requests == 1
            assert (told["state"], told["last_failures"]) == ("paused", [])

    async def test_a_websocket_that_is_passed_on_is_closed(self, place: Site) -> None:
        """It would never end by itself, and what its client says next would reach the backend. Others go on."""
        url = place.gateway.base.replace("http", "ws", 1)
        async with (
            websockets.connect(f"{url}/old/ws", proxy=None) as passed,
            websockets.connect(f"{url}/own/ws", proxy=None, additional_headers=KEY) as other,
        ):
            await passed.send("hello")
            assert await passed.recv() == "hello"
            await place.obeyed("pause", upstream="u")
            with pytest.raises(websockets.ConnectionClosed):
                await passed.recv()
            await other.send("hello")
            assert await other.recv() == "hello"

    async def test_the_clients_of_one_parameter(self, place: Site) -> None:
        """Of a route that asks many upstreams, those topics stop that are asked of this one."""
        await place.obeyed("pause", upstream="ups-b")
        assert (await place.client.get("/via/a")).status_code == 200
        assert (await place.client.get("/via/b")).status_code == 503
        told = {one["topic"]: (one["upstream"], one["paused_by_operator"]) for one in await place.topics()}
        assert told == {"/via/a": ("ups-a", False), "/via/b": ("ups-b", True)}

    async def test_a_route_that_is_paused_can_be_written_to(self, place: Site) -> None:
        """The write goes through at once, is not settled, and is seen when the pause is over."""
        assert (await place.client.get("/plain/1")).status_code == 200
        await place.obeyed("pause", route="/plain/{n}")
        place.backend.number = 2
        answer = await place.client.post("/plain/1", json={"a": 1})
        assert (answer.status_code, answer.headers["Pushgate-Settled"]) == (200, "no")
        await place.client.post("/old/write")
        assert [asked.method for asked in place.backend.requests] == ["GET", "POST", "POST"]
        async with connected("sse", place.gateway.base, "/plain/1") as link:
            await link.follow({"n": 1, "path": "/plain/1"})
            await place.obeyed("resume", route="/plain/{n}")
            await link.follow({"n": 2, "path": "/plain/1"})
        assert [asked.method for asked in place.backend.requests] == ["GET", "POST", "POST", "GET"]


class TestResuming:
    async def test_topics_do_not_come_back_together(self, place: Site) -> None:
        """What is due is polled one after the other, a tenth of a second apart where intervals are long."""
        async with AsyncExitStack() as stack:
            links = [
                await stack.enter_async_context(connected("sse", place.gateway.base, f"/plain/{n}")) for n in range(6)
            ]
            await asyncio.gather(*(link.follow({"n": 1, "path": link.topic}) for link in links))
            await place.obeyed("pause", route="/plain/{n}")
            await place.client.post("/-/poke?topic=/plain/*", headers=BEARER)
            before, place.backend.number = place.requests, 2
            await place.obeyed("resume", route="/plain/{n}")
            await asyncio.gather(*(link.follow({"n": 2, "path": link.topic}) for link in links))
        moments = [asked.at for asked in place.backend.requests[before:]]
        assert len(moments) == 6
        assert max(moments) - min(moments) > 0.2

    async def test_what_is_not_due_is_not_polled(self, place: Site) -> None:
        """A pause within an interval costs the backend nothing."""
        async with connected("sse", place.gateway.base, "/plain/1") as link:
            await link.follow({"n": 1, "path": "/plain/1"})
            await place.obeyed("pause", upstream="u")
            await place.obeyed("resume", upstream="u")
            await link.hear_state("live")
            assert await place.backend.is_left_alone(0.05)
        (told,) = await place.topics()
        assert (told["state"], told["next_poll"]["why"]) == ("live", "every 1h")

    async def test_one_pause_of_two(self, place: Site) -> None:
        """What is paused by its route and by its upstream goes on when neither is."""
        await place.obeyed("pause", upstream="u")
        await place.obeyed("pause", route="/plain/{n}")
        told = await place.obeyed("resume", upstream="u")
        assert told == {"paused": {"routes": ["/plain/{n}"], "upstreams": []}}
        assert (await place.client.get("/plain/1")).status_code == 503
        await place.obeyed("resume", route="/plain/{n}")
        assert (await place.client.get("/plain/1")).status_code == 200


class TestReloads:
    async def test_they_keep_what_is_paused(self, place: Site) -> None:
        """By the name, whatever else is said of it; a topic that another reload makes anew is paused, too."""
        async with connected("sse", place.gateway.base, "/plain/1") as link:
            await link.follow({"n": 1, "path": "/plain/1"})
            await place.obeyed("pause", route="/plain/{n}")
            await link.hear_state("paused")
            routes = place.gateway.written.says["routes"]
            faster = {**routes["/plain/{n}"], "poll": {"every": "10ms"}}
            await place.gateway.rewrite(routes={**routes, "/plain/{n}": faster})
            other = {**faster, "select": "{m: n}"}
            assert (await place.gateway.rewrite(routes={**routes, "/plain/{n}": other}))["renewed"] == 1
            await link.hear_state("paused")
            assert await place.backend.is_left_alone(0.05)
            assert place.requests == 1
            await place.obeyed("resume", route="/plain/{n}")
            await link.follow({"m": 1})

    async def test_they_forget_what_is_no_more(self, place: Site) -> None:
        """Whatever has the name later is something else."""
        says = place.gateway.written.says
        await place.obeyed("pause", route="/page")
        await place.obeyed("pause", upstream="ups-b")
        routes = {path: entry for path, entry in says["routes"].items() if path != "/page"}
        await place.gateway.rewrite(routes=routes)
        await place.gateway.rewrite(routes=says["routes"])
        told = await place.obeyed("pause", upstream="ups-b")
        assert told == {"paused": {"routes": [], "upstreams": ["ups-b"]}}

    async def test_a_topic_that_is_asked_of_another_upstream(self, place: Site) -> None:
        """It is paused if that one is, and goes on if that one is not."""
        url = place.backend.url
        says = place.gateway.written.says
        both = {**says["upstreams"], "v": {"url": url}}
        await place.gateway.rewrite(upstreams=both)
        async with connected("sse", place.gateway.base, "/plain/1") as link:
            await link.follow({"n": 1, "path": "/plain/1"})
            await place.obeyed("pause", upstream="v")
            moved = {**says["routes"], "/plain/{n}": {**says["routes"]["/plain/{n}"], "upstream": "v"}}
            await place.gateway.rewrite(routes=moved)
            await link.hear_state("paused")
            await place.gateway.rewrite(routes=says["routes"])
            await link.hear_state("live")


class TestAccounts:
    async def test_what_is_told_of_a_topic(self, place: Site) -> None:
        """Who listens over what, when its document changed, and the latest failures with their details."""
        async with (
            connected("sse", place.gateway.base, "/plain/1") as stream,
            connected("websocket", place.gateway.base, "/plain/1"),
            connected("websocket", place.gateway.base, "/plain/1/part"),
        ):
            await stream.follow({"n": 1, "path": "/plain/1"})
            (told,) = await place.topics(route="/plain/{n}")
            assert (told["subscribers"], told["transports"]) == (2, {"sse": 1, "websocket": 1})
            assert (told["views"], told["view_subscribers"], told["last_failures"]) == (1, 1, [])
            changed_at = told["changed_at"]
            assert changed_at is not None
            place.backend.status = 500
            for times in range(1, 8):
                assert await place.obeyed("refresh", topic="/plain/1") == {"topics": 1}
                (told,) = await eventually(place.topics, lambda seen: seen[0]["failures"] == times)  # noqa: B023
            failures = told["last_failures"]
            assert [one["detail"] for one in failures] == ["the upstream answered 500"] * 5
            assert [one["reason"] for one in failures] == ["http_5xx"] * 5
            assert failures == sorted(failures, key=lambda one: one["at"], reverse=True)
            assert (told["changed_at"], told["last_failure"]) == (changed_at, "http_5xx")

    async def test_what_is_looked_for_by_a_name_that_is_wrong(self, place: Site) -> None:
        """An empty list would say that all is well."""
        async with http_client(base_url=place.gateway.admin) as client:
            for query, status, said in [
                ("?route=/plane/{n}", 404, "did you mean `/plain/{n}`?"),
                ("?route=/plain/{n}/part", 400, "name its parent, /plain/{n}"),
                ("?rout=/page", 400, "rout: is not known here"),
            ]:
                answer = await client.get(f"/-/topics{query}")
                assert answer.status_code == status and said in answer.text

    async def test_a_cold_topic_is_refreshed(self, place: Site) -> None:
        """Who has mended the backend need not wait until it is asked again by itself."""
        place.backend.status = 500
        assert (await place.client.get("/plain/1")).status_code == 502
        place.backend.status = 200
        assert await place.obeyed("refresh", topic="/plain/1") == {"topics": 1}
        assert (await place.client.get("/plain/1")).status_code == 200
