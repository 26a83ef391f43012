"""Many topics on one connection: how they are asked for, what is refused, and what a connection has for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import httpx_sse
import pytest
import websockets

from backends import PATIENCE
from gateways import Running, eventually, http_client, route, running_gateway
from pushgate import sets
from pushgate.wishes import MAX_TOPICS
from sharedlinks import SHARED, SharedLink, SharedPoll, SharedSse, SharedWebSocket, replicas_of
from shelves import Shelf, shelf
from sidebyside import side_by_side
from transports import connected

ROUTES: dict[str, Any] = {
    "/t/{n}": route(params={"n": "[0-9]+"}),
    "/order/{n}": route(poll={"until": "done"}),
    "/mine/{n}": route(share="identity", forward={"headers": ["Authorization"]}),
    "/short": route(transports=["short_poll"]),
}
BROWSER = {"Sec-Fetch-Mode": "cors"}


def topics(count: int) -> list[str]:
    return [f"/t/{n}" for n in range(count)]


def all_of(names: list[str], document: Any) -> dict[str, Any]:
    return dict.fromkeys(names, document)


@pytest.fixture
async def backend() -> AsyncIterator[Shelf]:
    async with shelf() as backend:
        backend.serve(topics(1000), {"n": 0})
        backend.serve(["/order/1", "/order/2"], {"done": False})
        backend.serve(["/mine/1", "/short"], {"n": 0})
        yield backend


@pytest.fixture
async def gateway(backend: Shelf) -> AsyncIterator[Running]:
    async with running_gateway(backend.url, ROUTES) as gateway:
        yield gateway


async def ask(gateway: Running, path: str, *, method: str = "GET", **options: Any) -> httpx.Response:
    async with http_client() as client:
        return await client.request(method, gateway.base + path, **options)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("", "name the topics"),
        ("topic=/t/1&topic=/t/2&topic=/t/3&cursor=a&cursor=b", "2 cursors for 3 topics"),
        ("topic=/t/1&lang=de", "'lang'"),
        ("topic=/t/1&wait=1&wait=2", "given twice"),
        ("&".join(f"topic=/t/{n}" for n in range(MAX_TOPICS + 1)), f"at most {MAX_TOPICS} topics"),
        ("topic=/t/1&emit=items", "'items'"),
        ("topic=/t/1&throttle=often", "throttle"),
        ("topic=/t/1&wait=soon", "'soon'"),
    ],
)
async def test_what_makes_no_sense_is_refused(gateway: Running, query: str, complaint: str) -> None:
    """One word about what is wrong, and nothing is opened."""
    answer = await ask(gateway, f"/-/poll?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert complaint in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "application/json"),
        (b"[]", 400, "application/json"),
        (b'{"topics":[{"topic":1}]}', 400, "application/json"),
        (b'{"topics":[{"topic":"/t/1","more":1}]}', 400, "application/json"),
        (b'{"topics":[]}', 400, "application/json"),
        (b'{"topics":[{"topic":"/t/1"}]}', 415, "text/plain"),
        (b"x" * 300_000, 413, "application/json"),
        (json.dumps({"topics": [{"topic": "/t/1"}] * (MAX_TOPICS + 1)}).encode(), 400, "application/json"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(gateway: Running, body: bytes, status: int, kind: str) -> None:
    """A body says the same as a query, and only as JSON: no page of another site can send that unasked."""
    answer = await ask(gateway, "/-/poll", method="POST", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text


async def test_methods_and_preflight(backend: Shelf) -> None:
    """GET and POST, and a preflight that allows the body's type."""
    server = {"cors": {"origins": ["https://app.example"]}}
    async with running_gateway(backend.url, ROUTES, server=server) as gateway:
        for path in ("/-/events", "/-/poll"):
            refused = await ask(gateway, f"{path}?topic=/t/1", method="PUT")
            assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, POST, OPTIONS")
            allowed = await ask(gateway, path, method="OPTIONS", headers={"Origin": "https://app.example"})
            assert allowed.status_code == 204
            assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
            assert "Content-Type" in allowed.headers["Access-Control-Allow-Headers"]
        answer = await ask(gateway, "/-/poll?topic=/t/1", headers={"Origin": "https://app.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Pushgate-Cursor" in answer.headers["Access-Control-Expose-Headers"]
        assert (await ask(gateway, "/-/nothing")).status_code == 404


async def test_prefix_and_base_path(backend: Shelf) -> None:
    """The URLs are where ``server.prefix`` says, below ``base_path``; topics are called as in gateway.yaml."""
    server = {"prefix": "/_push/", "base_path": "/live"}
    async with running_gateway(backend.url, ROUTES, server=server) as gateway:
        answer = await ask(gateway, "/live/_push/poll?topic=/t/1")
        assert [event["topic"] for event in answer.json()["events"]] == ["/t/1"]
        for path in ("/_push/poll", "/live/-/poll", "/-/poll"):
            assert (await ask(gateway, f"{path}?topic=/t/1")).status_code == 404


async def test_spellings_of_one_topic_are_one(gateway: Running) -> None:
    """Each is told once, and by its one name."""
    answer = await ask(gateway, "/-/poll", params={"topic": ["/t/1", "/%74/1", "/t/%31", "/t/1?"]})
    assert [event["topic"] for event in answer.json()["events"]] == ["/t/1"]


async def test_by_post_each_topic_has_its_own_mode_and_cursor(gateway: Running, backend: Shelf) -> None:
    """An entry says what the query says of all."""
    async with connected("sse", gateway.base, "/t/1") as link:
        await link.follow({"n": 0})
        cursor = link.replica.cursor
    entries = [{"topic": "/t/1", "cursor": cursor}, {"topic": "/t/2", "emit": "snapshot"}]
    answer = await ask(gateway, "/-/poll", method="POST", json={"topics": entries})
    told = answer.json()
    assert [(event["event"], event["topic"]) for event in told["events"]] == [("snapshot", "/t/2")]
    body = {"topics": entries, "cursor": told["cursor"]}
    waiting = asyncio.create_task(ask(gateway, "/-/poll", method="POST", json=body))
    await eventually(lambda: gateway.metric("pushgate_connections", transport="long_poll"), lambda count: count == 1)
    backend.serve(["/t/2"], {"n": 1, "pad": "x" * 99})
    answer = await waiting
    assert [(event["event"], event["topic"]) for event in answer.json()["events"]] == [("snapshot", "/t/2")]


# Refusals.


@pytest.mark.parametrize("transport", SHARED)
async def test_one_refusal_is_a_problem_of_that_topic(gateway: Running, backend: Shelf, transport: str) -> None:
    """What one topic is refused for is told with its name; the others are followed."""
    names = ["/t/1", "/none", "/short", "/t/2"]
    async with SHARED[transport](gateway.base, replicas_of(names)) as client:
        await client.connect()
        await client.follow({"/t/1": {"n": 0}, "/t/2": {"n": 0}})
        told = {event["topic"]: event["data"]["code"] for event in client.problems}
        assert told == {"/none": "no_such_topic", "/short": "transport_not_offered"}
        backend.serve(["/t/2"], {"n": 1})
        await client.follow({"/t/2": {"n": 1}})


@pytest.mark.parametrize("path", ["/-/events", "/-/poll"])
async def test_if_all_are_refused_the_request_is(gateway: Running, path: str) -> None:
    """With the first refusal, as if that topic had been asked for alone."""
    answer = await ask(gateway, path, params={"topic": ["/none", "/short"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_topic")
    answer = await ask(gateway, path, params={"topic": ["/short", "/none"]})
    assert (answer.status_code, answer.json()["code"]) == (406, "transport_not_offered")


async def test_a_websocket_of_refused_topics_is_closed_with_the_reason(gateway: Running) -> None:
    """A browser is told by the close code, everybody else by the HTTP status."""
    url = f"{gateway.base.replace('http', 'ws')}/-/ws?topic=/none"
    async with websockets.connect(url, proxy=None, subprotocols=["pushgate.v1"]) as socket:
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (4404, "no_such_topic")
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url, proxy=None)


async def test_problems_alone_do_not_answer_a_long_poll(gateway: Running) -> None:
    """They are told at first contact and beside other news: a client would only ask again, and again."""
    first = await ask(gateway, "/-/poll", params={"topic": ["/t/1", "/none"]})
    assert [event["event"] for event in first.json()["events"]] == ["problem", "snapshot"]
    again = await ask(
        gateway, "/-/poll", params={"topic": ["/t/1", "/none"], "cursor": first.json()["cursor"], "wait": 0.1}
    )
    assert again.status_code == 204 and again.headers["Pushgate-Cursor"] == first.json()["cursor"]


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_topic_that_is_denied_later_is_let_go(gateway: Running, backend: Shelf, transport: str) -> None:
    """When the upstream no longer shows a topic to this client, that is a problem of the topic; the rest goes on."""
    async with SHARED[transport](gateway.base, replicas_of(["/mine/1", "/t/1"])) as client:
        await client.connect()
        await client.follow({"/mine/1": {"n": 0}, "/t/1": {"n": 0}})
        backend.documents["/mine/1"] = 401
        problem = await client.hear("problem")
        assert (problem["topic"], problem["data"]["code"]) == ("/mine/1", "upstream_denied")
        backend.serve(["/t/1"], {"n": 1})
        await client.follow({"/t/1": {"n": 1}})


async def test_a_parked_long_poll_hears_of_a_denial_once(backend: Shelf) -> None:
    """At once, since it is news; after that the others are waited for as if it had never been asked for."""
    seldom = route(share="identity", forward={"headers": ["Authorization"]}, poll={"every": "1s"})
    async with (
        running_gateway(backend.url, ROUTES | {"/mine/{n}": seldom}) as gateway,
        SharedPoll(gateway.base, replicas_of(["/mine/1", "/t/1"])) as client,
    ):
        await client.connect()
        await client.follow({"/mine/1": {"n": 0}, "/t/1": {"n": 0}})
        denied = asyncio.create_task(client.hear("problem"))
        await eventually(lambda: gateway.metric("pushgate_connections", transport="long_poll"), lambda n: n == 1)
        backend.documents["/mine/1"] = 401
        assert (await denied)["topic"] == "/mine/1"
        waiting = asyncio.create_task(client.follow({"/t/1": {"n": 1}}))
        await eventually(lambda: gateway.metric("pushgate_connections", transport="long_poll"), lambda n: n == 1)
        backend.serve(["/t/1"], {"n": 1})
        await waiting
        assert client.replicas["/t/1"].kinds == ["snapshot", "snapshot"]
        assert client.answers == [200, 200, 200]


async def test_a_reconnect_that_is_refused_comes_back(backend: Shelf) -> None:
    """EventSource never returns from another status than 200, so it is told within one, as everything is told here."""
    async with running_gateway(backend.url, ROUTES, server={"limits": {"connections": 1}}) as gateway:
        answer = await ask(gateway, "/-/events?topic=/none", headers=BROWSER)
        assert answer.status_code == 404  # it would be refused again
        async with connected("sse", gateway.base, "/t/1") as only:
            await only.follow({"n": 0})
            for query, name in [("topic=/t/1", "event: problem\n"), ("topic=/t/1&framing=message", "")]:
                answer = await ask(gateway, f"/-/events?{query}", headers=BROWSER)
                retry, _, block = answer.text.partition("\n")
                assert answer.status_code == 200 and retry.startswith("retry: ")
                assert block.startswith(f"{name}data: ")
                told = json.loads(block.partition("data: ")[2])
                assert (told["event"], told["data"]["code"]) == ("problem", "overloaded")
                refused = await ask(gateway, f"/-/events?{query}")
                assert refused.status_code == 503 and refused.headers["Retry-After"]


async def read_first(client: httpx.AsyncClient, gateway: Running, query: str) -> httpx_sse.ServerSentEvent:
    """The first event that is not about the state of a topic without a document."""
    url = f"{gateway.base}/-/events?{query}"
    retry = None
    async with httpx_sse.aconnect_sse(client, "GET", url) as source, aclosing(source.aiter_sse()) as blocks:  # type: ignore[type-var]
        async for block in blocks:
            retry = retry or block.retry
            if block.event not in ("status", "heartbeat"):
                return httpx_sse.ServerSentEvent(block.event, block.data, block.id, retry)
    raise AssertionError("the stream ended")


async def test_topics_of_one_request_make_no_room_for_each_other(backend: Shelf) -> None:
    """Where there may be three topics, the fourth of a request is refused, and the first is not forgotten for it."""
    async with (
        running_gateway(backend.url, ROUTES | {"/t/{n}": route(params={"n": "[0-9]+"}, max_topics=3)}) as gateway,
        SharedSse(gateway.base, replicas_of(topics(5))) as client,
    ):
        await client.connect()
        await client.follow(all_of(topics(3), {"n": 0}))
        assert [(event["topic"], event["data"]["code"]) for event in client.problems] == [
            ("/t/3", "overloaded"),
            ("/t/4", "overloaded"),
        ]
        backend.serve(topics(5), {"n": 1})
        await client.follow(all_of(topics(3), {"n": 1}))


# Ends.


async def test_the_end_of_a_topic_is_not_the_end_of_the_stream(gateway: Running, backend: Shelf) -> None:
    """Only that topic is over, and is not told again; when all are, the stream is, and 204 keeps everybody away."""
    names = ["/order/1", "/order/2"]
    async with SharedSse(gateway.base, replicas_of(names)) as client:
        await client.connect()
        await client.follow(all_of(names, {"done": False}))
        backend.serve(["/order/1"], {"done": True})
        assert (await client.hear("end"))["topic"] == "/order/1"
        await client.reconnect("set")
        backend.serve(["/order/2"], {"done": True})
        while client.position is None or client.kinds("/order/2")[-1:] != ["end"]:
            await client.receive()
        with pytest.raises(StopAsyncIteration):
            await client.receive()
        assert client.kinds("/order/1").count("end") == 1
        headers = {"Last-Event-ID": client.position}
        assert (await ask(gateway, "/-/events", params={"topic": names}, headers=headers)).status_code == 204


@pytest.mark.parametrize("transport", ["long_poll", "websocket"])
async def test_the_end_is_told_once_on_the_others_too(gateway: Running, backend: Shelf, transport: str) -> None:
    """The last document, then ``end``; what else is followed goes on."""
    async with SHARED[transport](gateway.base, replicas_of(["/order/1", "/t/1"])) as client:
        await client.connect()
        await client.follow({"/order/1": {"done": False}, "/t/1": {"n": 0}})
        ending = asyncio.create_task(client.hear("end"))
        backend.serve(["/order/1"], {"done": True})
        await ending
        assert client.replicas["/order/1"].holds({"done": True})
        going_on = asyncio.create_task(client.follow({"/t/1": {"n": 1}}))
        backend.serve(["/t/1"], {"n": 1})
        await going_on
        assert client.kinds("/order/1").count("end") == 1


# What a connection has for itself.


async def beats(client: SharedLink, count: int) -> list[dict[str, Any]]:
    return [await client.hear("heartbeat") for _ in range(count)]


async def test_a_connection_beats_once_for_all_its_topics(backend: Shelf, subtests: pytest.Subtests) -> None:
    """One sign of life for each interval, which is about no topic; on SSE with the position, which it does not move."""

    async def beats_once(transport: str, gateway: Running) -> None:
        async with SHARED[transport](gateway.base, replicas_of(topics(30))) as client:
            await client.connect()
            await client.follow(all_of(topics(30), {"n": 0}))
            position = client.position
            loop = asyncio.get_running_loop()
            await client.hear("heartbeat")
            began = loop.time()
            for beat in await beats(client, 2):
                assert (beat["topic"], beat["data"].keys()) == (None, {"at"})
            assert loop.time() - began > 2.0, "not one for each topic"
            assert client.position == position

    async with running_gateway(backend.url, ROUTES, server={"heartbeat": "2s"}) as gateway:
        await side_by_side(subtests, {transport: beats_once(transport, gateway) for transport in ("sse", "websocket")})


async def test_the_first_block_comes_at_once(gateway: Running, backend: Shelf) -> None:
    """A stream opens with an event even if no topic has a document yet, and does not wait for one."""
    backend.is_open.clear()
    async with http_client() as client:
        url = f"{gateway.base}/-/events?topic=/t/1&topic=/t/2"
        async with (
            asyncio.timeout(PATIENCE),
            httpx_sse.aconnect_sse(client, "GET", url) as source,
            aclosing(source.aiter_sse()) as blocks,  # type: ignore[type-var]  # it is a generator
        ):
            first = await anext(blocks)
            assert first.retry is not None and first.event in ("status", "heartbeat")


async def test_a_cold_topic_holds_nobody_up(gateway: Running, backend: Shelf) -> None:
    """What there is comes; what there is not yet follows when it is there."""
    async with SharedSse(gateway.base, replicas_of(["/t/1", "/t/2"])) as client:
        backend.documents["/t/2"] = 500
        await client.connect()
        await client.follow({"/t/1": {"n": 0}})
        assert client.position
        await client.reconnect("set")
        backend.serve(["/t/2"], {"n": 5})
        await client.follow({"/t/2": {"n": 5}})
        assert client.replicas["/t/1"].kinds == ["snapshot"]


async def test_a_parked_connection_is_given_back(gateway: Running, backend: Shelf) -> None:
    """One TCP connection serves any number of long polls, shared or not."""
    async with http_client() as client:
        params: dict[str, Any] = {"topic": topics(3), "wait": 5}
        params["cursor"] = (await client.get(f"{gateway.base}/-/poll", params=params)).json()["cursor"]
        for n in range(1, 5):
            waiting = asyncio.create_task(client.get(f"{gateway.base}/-/poll", params=params))
            await eventually(lambda: gateway.metric("pushgate_connections", transport="long_poll"), lambda n: n == 1)
            backend.serve(["/t/1"], {"n": n})
            answer = await waiting
            assert [event["topic"] for event in answer.json()["events"]] == ["/t/1"]
            params["cursor"] = answer.headers["Pushgate-Cursor"]
            assert (await client.get(f"{gateway.base}/t/2")).json() == {"n": 0}
        pool = client._transport._pool  # type: ignore[attr-defined]  # httpx does not tell how many it opened
        assert len(pool.connections) == 1


@pytest.mark.parametrize("transport", SHARED)
async def test_subscribers_are_topics_and_connections_are_sockets(gateway: Running, transport: str) -> None:
    """Both gauges say what they say of single connections, and are back where they were afterwards."""

    async def gauges() -> tuple[float, float]:
        connections = await gateway.metric("pushgate_connections", transport=transport)
        return connections, await gateway.metric("pushgate_subscribers", transport=transport, route="/t/{n}")

    async with SHARED[transport](gateway.base, replicas_of(topics(20))) as client:
        await client.connect()
        await client.follow(all_of(topics(20), {"n": 0}))
        waiting = asyncio.create_task(client.receive())
        assert await eventually(gauges, lambda seen: seen == (1, 20))
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await eventually(gauges, lambda seen: seen == (0, 0))


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_change_costs_only_its_subscribers(backend: Shelf, transport: str) -> None:
    """Of a thousand topics on a connection, and as many on another, one changes: one message, to one of them."""
    quiet = route(params={"n": "[0-9]+"}, poll={"every": "1h", "linger": "1h"}, max_topics=MAX_TOPICS)
    fast = route(params={"n": "[0-9]+"})
    backend.serve(["/fast/1"], {"n": 0})
    patient = {"timeout": {"connect": "20s", "total": "30s"}}  # a thousand at once, of a backend in the same process
    async with running_gateway(backend.url, {"/t/{n}": quiet, "/fast/{n}": fast}, upstream=patient) as gateway:
        here, there = ["/fast/1", *topics(MAX_TOPICS - 1)], topics(MAX_TOPICS)
        async with (
            SHARED[transport](gateway.base, replicas_of(here)) as one,
            SHARED[transport](gateway.base, replicas_of(there)) as other,
        ):
            for client, names in ((one, here), (other, there)):
                await client.connect()
                await client.follow(all_of(names, {"n": 0}))
            before = await gateway.metric("pushgate_deliveries_total")
            looks = sum(sets.weigh.cache_info()[:2])
            one.heard.clear()
            for n in range(1, 4):
                backend.serve(["/fast/1"], {"n": n})
                await one.follow({"/fast/1": {"n": n}})
            assert [event["topic"] for event in one.heard if event["id"]] == ["/fast/1"] * 3
            assert await gateway.metric("pushgate_deliveries_total") - before == 3
            # The position is kept, and not made anew from all topics.
            assert sum(sets.weigh.cache_info()[:2]) - looks <= 3
            other.heard.clear()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await other.hear("nothing")
            assert not [event for event in other.heard if event["id"]]


# What a WebSocket says.


async def test_subscribe_and_unsubscribe_while_it_is_open(gateway: Running, backend: Shelf) -> None:
    """Each is answered with its ``ref``; after ``unsubscribe`` there is nothing more of that topic."""
    async with SharedWebSocket(gateway.base, replicas_of(["/t/1", "/t/2"])) as client:
        client.replicas, mine = {}, client.replicas
        await client.connect()
        client.replicas = mine
        await client.say(op="subscribe", topic="/t/1", ref="a")
        assert (await client.hear("ack"))["ref"] == "a"
        await client.follow({"/t/1": {"n": 0}})
        await client.say(op="subscribe", topic="/%74/2", ref="b", emit="snapshot")
        assert (await client.hear("ack"))["ref"] == "b"
        await client.follow({"/t/2": {"n": 0}})
        await client.say(op="unsubscribe", topic="/t/1", ref={"any": 1})
        assert (await client.hear("ack"))["ref"] == {"any": 1}
        backend.serve(topics(3), {"n": 1})
        await client.follow({"/t/2": {"n": 1}})
        assert client.replicas["/t/1"].holds({"n": 0})
        await client.say(op="subscribe", topic="/t/1", cursor=client.replicas["/t/1"].cursor, ref="c")
        client.replicas["/t/1"].subscribe()
        await client.follow({"/t/1": {"n": 1}})


async def test_what_cannot_be_done_is_a_problem_with_its_ref(gateway: Running) -> None:
    """And the connection stays what it was."""
    async with SharedWebSocket(gateway.base, replicas_of(["/t/1"])) as client:
        await client.connect()
        await client.follow({"/t/1": {"n": 0}})
        for number, (message, code) in enumerate(
            [
                ({"op": "subscribe", "topic": "/none"}, "no_such_topic"),
                ({"op": "subscribe", "topic": "/short"}, "transport_not_offered"),
                ({"op": "subscribe", "topic": "/t/1", "emit": "items"}, "bad_request"),
                ({"op": "subscribe", "topic": "/t/1?cursor=x"}, "bad_request"),
                ({"op": "unsubscribe", "topic": "/t/2"}, "bad_request"),
                ({"op": "unsubscribe", "topic": "none"}, "no_such_topic"),
                ({"op": "send", "topic": "/t/1", "data": 1}, "method_not_allowed"),
                ({"op": "auth", "token": "x"}, "bad_request"),
            ]
        ):
            await client.say(**message, ref=number)
            problem = await client.hear("problem")
            assert (problem["ref"], problem["code"]) == (number, code), message
            assert problem["topic"] == message.get("topic")
        await client.say(op="ping", ref="still here")
        assert (await client.hear("ack"))["ref"] == "still here"


async def test_what_no_client_says_closes_the_connection(gateway: Running) -> None:
    """As on a topic's own URL: 1008."""
    async with SharedWebSocket(gateway.base, replicas_of(["/t/1"])) as client:
        await client.connect()
        await client.socket.send("hello")
        with pytest.raises(websockets.ConnectionClosed):
            await client.hear("nothing")
        assert client.socket.close_code == 1008


async def test_a_websocket_knows_only_topics_own_cursors(gateway: Running) -> None:
    """One cursor for several topics cannot be one of theirs."""
    url = f"{gateway.base.replace('http', 'ws')}/-/ws?topic=/t/1&topic=/t/2&cursor=x"
    async with websockets.connect(url, proxy=None, subprotocols=["pushgate.v1"]) as socket:
        await socket.wait_closed()
        assert socket.close_code == 1008


@pytest.mark.parametrize("transport", SHARED)
async def test_now_begins_at_the_present(gateway: Running, backend: Shelf, transport: str) -> None:
    """``cursor=now`` tells what happens from here on, of topics that have a document."""
    async with connected("sse", gateway.base, "/t/1") as witness:
        await witness.follow({"n": 0})
        query = "topic=/t/1&cursor=now" if transport == "websocket" else "topic=/t/1&topic=/t/1&cursor=now"
        if transport == "long_poll":
            waiting = asyncio.create_task(ask(gateway, f"/-/poll?{query}"))
        elif transport == "sse":
            waiting = asyncio.create_task(read_told(gateway, query))
        else:
            waiting = asyncio.create_task(read_socket(gateway, query))
        await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 2)
        backend.serve(["/t/1"], {"n": 1})
        told = await waiting
        event = told.json()["events"][0] if isinstance(told, httpx.Response) else told
        assert (event["event"], event["data"]) == ("snapshot", {"n": 1})


async def read_told(gateway: Running, query: str) -> Any:
    async with http_client() as client:
        return json.loads((await read_first(client, gateway, query)).data)


async def read_socket(gateway: Running, query: str) -> Any:
    async with websockets.connect(f"{gateway.base.replace('http', 'ws')}/-/ws?{query}", proxy=None) as socket:
        return json.loads(await socket.recv())
