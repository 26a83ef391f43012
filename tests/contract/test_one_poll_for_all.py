"""Promise 5: n clients cost an upstream request exactly what one costs; none after ``linger`` if nobody listens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from backends import ScriptedBackend
from gateways import http_client, route, running_gateway
from links import Link
from transports import STREAMS, TRANSPORTS, connected, see_through

EVERY = 0.05


async def crowd(stack: AsyncExitStack, base: str, number: int) -> list[Link]:
    """So many clients on each transport."""
    names = [name for name in TRANSPORTS for _ in range(number)]
    return [await stack.enter_async_context(connected(name, base, "/t")) for name in names]


async def polls_in(backend: ScriptedBackend, seconds: float) -> int:
    before = len(backend.requests)
    await asyncio.sleep(seconds)
    return len(backend.requests) - before


@pytest.mark.parametrize("number", [1, 8])
async def test_many_cost_what_one_costs(backend: ScriptedBackend, number: int) -> None:
    """However many listen over whatever transports, the upstream is asked once in an interval, never twice at once."""
    backend.serve({"n": 1})
    async with (
        running_gateway(backend, {"/t": route(poll={"every": "50ms"})}) as gateway,
        AsyncExitStack() as stack,
    ):
        clients = await crowd(stack, gateway.base, number)
        await see_through(clients, {"n": 1})
        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(polls_in(backend, 10 * EVERY))
            followers = [tasks.create_task(client.follow({"n": 2})) for client in clients]
            assert 1 <= await counting <= 11
            backend.serve({"n": 2})
            await asyncio.wait(followers)
        assert backend.most_under_way == 1
        gaps = [
            later.at - earlier.at for earlier, later in zip(backend.requests[1:], backend.requests[2:], strict=False)
        ]
        assert sum(gaps) / len(gaps) > 0.9 * EVERY


async def test_everybody_who_finds_a_document_overdue_gets_the_new_one(backend: ScriptedBackend) -> None:
    """Who wakes a topic waits for its poll, and so does everybody who comes while that poll is under way."""
    backend.serve({"n": 1})
    async with (
        running_gateway(backend, {"/t": route(poll={"every": "50ms", "linger": "0s"})}) as gateway,
        http_client() as client,
    ):
        assert (await client.get(f"{gateway.base}/t")).json() == {"n": 1}
        await asyncio.sleep(3 * EVERY)  # the document becomes overdue by the passing of time alone
        backend.serve({"n": 2})
        backend.delay = 0.2
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(client.get(f"{gateway.base}/t"))
            await backend.begun()
            second = tasks.create_task(client.get(f"{gateway.base}/t"))
        assert (first.result().json(), second.result().json()) == ({"n": 2}, {"n": 2})
        assert len(backend.requests) == 2


@pytest.mark.parametrize("number", [1, 10])
async def test_a_cold_topic_is_polled_once_for_everybody(backend: ScriptedBackend, number: int) -> None:
    """Everybody who waits for the first document of a topic shares one poll."""
    backend.serve({"n": 1})
    backend.delay = 0.1
    async with (
        running_gateway(backend, {"/t": route(poll={"every": "1m"})}) as gateway,
        AsyncExitStack() as stack,
    ):
        clients = await crowd(stack, gateway.base, number)
        await see_through(clients, {"n": 1})
        assert len(backend.requests) == 1
        late = await crowd(stack, gateway.base, 1)
        await see_through(late, {"n": 1})
        assert len(backend.requests) == 1, "a document is kept, and not polled again before its next scheduled time"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nobody_listens_and_nobody_asks(backend: ScriptedBackend, transport: str) -> None:
    """After ``linger`` the upstream is left alone; the next client finds the document, and polling goes on."""
    backend.serve({"n": 1})
    async with running_gateway(backend, {"/t": route(poll={"linger": "100ms"})}) as gateway:
        async with connected(transport, gateway.base, "/t") as client:
            await client.follow({"n": 1})
            await backend.polled(2)
        await backend.polled()  # it lingers
        async with asyncio.timeout(2):
            while not await backend.is_left_alone(0.1):
                pass
        assert await backend.is_left_alone(0.2)
        backend.serve({"n": 2})
        async with connected(transport, gateway.base, "/t") as client:
            await client.follow({"n": 2})


async def test_a_client_that_vanishes_is_no_listener(backend: ScriptedBackend) -> None:
    """A client that leaves without a word, also one that waits for a cold topic, does not keep the topic awake."""
    backend.serve({"n": 1})
    backend.delay = 0.2
    async with running_gateway(backend, {"/t": route(poll={"linger": "50ms"})}) as gateway, http_client() as client:
        for headers in [{}, {"Accept": "text/event-stream"}]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.get(f"{gateway.base}/t", headers=headers)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(f"{gateway.base}/t?cursor=x&wait=20")
        async with asyncio.timeout(3):
            while not await backend.is_left_alone(0.3):
                pass
        assert await gateway.metric("pushgate_subscribers") == 0


async def test_short_polls_between_two_polls_cost_nothing(backend: ScriptedBackend) -> None:
    """A document that is not overdue is served as it is, listener or not."""
    backend.serve({"n": 1})
    slow = route(poll={"every": "1m", "linger": "0s"})
    async with running_gateway(backend, {"/t": slow}) as gateway, http_client() as client:
        for _ in range(20):
            assert (await client.get(f"{gateway.base}/t")).json() == {"n": 1}
        assert len(backend.requests) == 1


async def test_an_overdue_document_is_polled_before_it_is_served(backend: ScriptedBackend) -> None:
    """Whoever comes to a topic that slept past its next poll waits for that poll and gets what is there now."""
    backend.serve({"n": 1})
    slow = route(poll={"every": "50ms", "linger": "0s"})
    async with running_gateway(backend, {"/t": slow}) as gateway, http_client() as client:
        assert (await client.get(f"{gateway.base}/t")).json() == {"n": 1}
        backend.serve({"n": 2})
        assert await backend.is_left_alone(0.15)
        assert (await client.get(f"{gateway.base}/t")).json() == {"n": 2}
        assert len(backend.requests) == 2


async def test_every_spelling_is_one_topic(backend: ScriptedBackend) -> None:
    """Spellings of one name are one topic, so they are polled once."""
    backend.serve({"n": 1})
    varied = route(poll={"every": "1m"}, query={"lang": {"default": "en"}, "page": "[0-9]+"})
    async with running_gateway(backend, {"/t/{x}": varied}) as gateway, http_client() as client:
        for spelling in ["a~b?page=1", "a%7eb?page=1", "%61%7Eb?lang=en&page=1", "a~b?page=%31&lang=en"]:
            assert (await client.get(f"{gateway.base}/t/{spelling}")).json() == {"n": 1}
        assert [asked.path for asked in backend.requests] == ["/t/a~b?lang=en&page=1"]


async def test_standing_topics_are_polled_without_listeners(backend: ScriptedBackend) -> None:
    """``while: always`` polls from the start, and the first client finds a document that is already there."""
    backend.serve({"n": 1})
    standing = route(poll={"while": "always"})
    async with running_gateway(backend, {"/t": standing}):
        await backend.polled(3)


@pytest.mark.parametrize("transport", STREAMS)
async def test_an_unchanged_answer_is_no_news(backend: ScriptedBackend, transport: str) -> None:
    """Polls that bring nothing new are not told: neither the same bytes, nor a 304, nor the same document anew."""
    backend.is_honest = True
    backend.say(b'{"a": 1, "b": [1, 2]}')
    async with running_gateway(backend, {"/t": route()}) as gateway, connected(transport, gateway.base, "/t") as client:
        await client.follow({"a": 1, "b": [1, 2]})
        await backend.polled(3)
        backend.say(b'{"b":[1.0,2e0],"a":1}')
        await backend.polled(3)
        backend.serve({"a": 2})
        await client.follow({"a": 2})
        assert client.replica.kinds == ["snapshot", "snapshot"]
        assert await gateway.metric("pushgate_changes_total", route="/t") == 2
        assert await gateway.metric("pushgate_polls_total", route="/t", outcome="not_modified") >= 3
        assert any("if-none-match" in asked.headers for asked in backend.requests)


async def test_a_backend_that_knows_only_last_modified_is_asked_with_it(backend: ScriptedBackend) -> None:
    """``If-Modified-Since`` repeats the date word for word, and there is no ``If-None-Match`` without an ETag."""
    date = "Mon, 05 Jan 2026 06:00:00 GMT"
    backend.is_honest = False
    backend.say(b'{"n":1}', Last_Modified=date)
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected("sse", gateway.base, "/t") as client,
    ):
        await client.follow({"n": 1})
        await backend.polled(2)
        asked = backend.requests[-1].headers
        assert (asked.get("if-modified-since"), asked.get("if-none-match")) == (date, None)
        assert "if-modified-since" not in backend.requests[0].headers


async def test_two_changes_within_one_second_are_both_seen(backend: ScriptedBackend) -> None:
    """A Last-Modified of right now would be that of the next change too, and hide it behind a 304."""
    now = "Mon, 05 Jan 2026 06:00:00 GMT"
    backend.is_honest = False
    backend.say(b'{"n":1}', Last_Modified=now, Date=now)
    async with running_gateway(backend, {"/t": route()}) as gateway, connected("sse", gateway.base, "/t") as client:
        await client.follow({"n": 1})
        await backend.polled(2)
        assert not any("if-modified-since" in asked.headers for asked in backend.requests)
        backend.say(b'{"n":1}', Last_Modified=now, Date="Mon, 05 Jan 2026 06:00:05 GMT")
        await backend.polled(2)
        assert backend.requests[-1].headers["if-modified-since"] == now
