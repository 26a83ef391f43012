"""Budgets, breaker and memory cap of a running gateway, as the backend and its clients see them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from links import Link
from pushgate.budgeting import most_within
from transports import connected, see_through


def arrivals(backend: ScriptedBackend, since: int = 0) -> list[float]:
    return [asked.at for asked in backend.requests[since:]]


async def follow(stack: AsyncExitStack, gateway: Running, paths: list[str]) -> list[Link]:
    return [await stack.enter_async_context(connected("sse", gateway.base, path)) for path in paths]


async def test_all_routes_of_an_upstream_share_its_budget(backend: ScriptedBackend) -> None:
    """Twelve topics that want 1,200 polls a second get 40 together, and each of them gets its share."""
    backend.serve({"n": 1})
    paths = [f"/{name}/{n}" for name in "ab" for n in range(6)]
    routes = {"/a/{n}": route(poll={"linger": "1m"}), "/b/{n}": route(poll={"linger": "1m"})}
    async with (
        running_gateway(backend, routes, upstream={"budget": {"rate": "40/s"}}) as gateway,
        AsyncExitStack() as stack,
    ):
        await follow(stack, gateway, paths)
        await backend.polled(24)
        since = len(backend.requests)
        await backend.polled(60)
        moments = arrivals(backend)
        assert most_within(moments, 1.0) <= 42  # they arrive a little closer together, or further apart, than they left
        rounds = [asked.path for asked in backend.requests[since : since + 60]]
        assert {rounds.count(path) for path in paths} <= {4, 5, 6}
        assert await gateway.metric("pushgate_budget_wait_seconds_sum", upstream="u") > 1


async def test_only_so_many_requests_are_under_way(backend: ScriptedBackend) -> None:
    """`concurrency: 2` is what the backend sees, however many topics are due at once."""
    backend.serve({"n": 1})
    backend.delay = 0.05
    async with (
        running_gateway(backend, {"/t/{n}": route()}, upstream={"budget": {"concurrency": 2}}) as gateway,
        http_client() as client,
    ):
        answers = await asyncio.gather(*(client.get(f"{gateway.base}/t/{n}") for n in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert backend.most_under_way == 2


async def test_a_spent_budget_fails_polls_that_it_was_told_to_fail(backend: ScriptedBackend) -> None:
    """The topic says why, and when it is worth another try; the backend does not hear of it."""
    backend.serve({"n": 1})
    budget = {"rate": "1/d", "spent": "fail"}
    async with (
        running_gateway(backend, {"/t/{n}": route(poll={"every": "1d"})}, upstream={"budget": budget}) as gateway,
        http_client() as client,
    ):
        assert (await client.get(f"{gateway.base}/t/1")).status_code == 200
        refused = await client.get(f"{gateway.base}/t/2")
        assert refused.status_code == 502
        assert int(refused.headers["Retry-After"]) > 60
        assert len(backend.requests) == 1
        assert await gateway.metric("pushgate_poll_failures_total", reason="budget") == 1


async def test_a_429_holds_all_topics_of_the_upstream(backend: ScriptedBackend) -> None:
    """`Retry-After: 2` from one topic: for two seconds nobody asks, then everybody is served again."""
    backend.serve({"n": 1})
    async with (
        running_gateway(backend, {"/t/{n}": route(poll={"linger": "1m"})}) as gateway,
        AsyncExitStack() as stack,
    ):
        clients = await follow(stack, gateway, ["/t/1", "/t/2", "/t/3"])
        await see_through(clients, {"n": 1})
        backend.say(b"slow down", status=429, Retry_After="2")
        await backend.polled()
        backend.serve({"n": 2})
        await asyncio.sleep(0.2)  # what was on its way already
        assert await backend.is_left_alone(1.2)
        await asyncio.gather(*(client.follow({"n": 2}) for client in clients))


async def test_a_failing_upstream_is_left_alone_by_all_topics(backend: ScriptedBackend) -> None:
    """After three failures in a row nobody asks for the cooldown; then one trial, and everybody is back."""
    backend.serve({"n": 1})
    breaker = {"failures": 3, "cooldown": "1s"}
    async with (
        running_gateway(backend, {"/t/{n}": route(poll={"linger": "1m"})}, upstream={"breaker": breaker}) as gateway,
        AsyncExitStack() as stack,
    ):
        clients = await follow(stack, gateway, [f"/t/{n}" for n in range(6)])
        await see_through(clients, {"n": 1})
        backend.say(b"down", status=500)

        async def is_open() -> float:
            return await gateway.metric("pushgate_breaker_state", upstream="u", state="open")

        await eventually(is_open, lambda value: value == 1)
        assert await gateway.metric("pushgate_upstream_up", upstream="u") == 0
        backend.serve({"n": 2})
        assert await backend.is_left_alone(0.7)
        await asyncio.gather(*(client.follow({"n": 2}) for client in clients))
        assert await gateway.metric("pushgate_breaker_state", upstream="u", state="closed") == 1
        assert await gateway.metric("pushgate_upstream_up", upstream="u") == 1


async def test_standing_topics_do_not_start_together(backend: ScriptedBackend) -> None:
    """What is polled from the start is spread over the interval, or a tenth of a second apart."""
    backend.serve({"n": 1})
    names = [str(n) for n in range(10)]
    standing = route(params={"n": names}, poll={"every": "2s", "while": "always"})
    async with running_gateway(backend, {"/t/{n}": standing}):
        await backend.polled(8)
        moments = arrivals(backend)
        assert moments[7] - moments[0] >= 0.4
        await backend.polled(10)
        moments = arrivals(backend)
        assert moments[17] - moments[10] >= 0.4, "and stays so"


# Limits of memory and topics.

PAD = "x" * 20_000


async def test_what_is_too_much_is_forgotten_and_nobody_is_told_anything_wrong(backend: ScriptedBackend) -> None:
    """A client that comes back after the cap has struck gets a snapshot: what it missed is no longer remembered."""

    def document(n: int) -> dict[str, object]:
        return {"pad": PAD, "news": chr(97 + n) * 2000}  # a tenth of it changes

    async with (
        running_gateway(backend, {"/t/{n}": route()}, server={"limits": {"memory": "150KB"}}) as gateway,
        AsyncExitStack() as stack,
    ):
        backend.serve(document(0))
        (watching, leaving) = await follow(stack, gateway, ["/t/1", "/t/1"])
        await see_through([watching, leaving], document(0))
        await leaving.disconnect()
        for n in range(1, 12):
            backend.serve(document(n))
            await watching.follow(document(n))
        assert watching.replica.kinds == ["snapshot"] + ["patch"] * 11
        await leaving.reconnect()
        await leaving.follow(document(11))
        assert leaving.replica.kinds == ["snapshot", "snapshot"]
        assert 100_000 < await gateway.metric("pushgate_memory_bytes") <= 150_000


async def test_idle_topics_are_forgotten_when_their_documents_are_too_much(backend: ScriptedBackend) -> None:
    """Topics that nobody follows make room; those in use stay, and if they fill the memory, new ones are refused."""
    backend.serve({"pad": PAD})
    lingering = route(poll={"every": "1m", "linger": "0s"})
    async with (
        running_gateway(
            backend, {"/t/{n}": lingering}, server={"limits": {"memory": "500KB"}, "heartbeat": "2s"}
        ) as gateway,
        http_client() as client,
        AsyncExitStack() as stack,
    ):
        for n in range(20):
            assert (await client.get(f"{gateway.base}/t/{n}")).status_code == 200
        assert await gateway.metric("pushgate_memory_bytes") <= 600_000
        used = await follow(stack, gateway, [f"/t/{n}" for n in range(100, 105)])
        await see_through(used, {"pad": PAD})
        refused = await client.get(f"{gateway.base}/t/200")
        assert refused.status_code == 503
        assert refused.json()["code"] == "overloaded"
        assert "server.limits.memory" in refused.json()["detail"]
        assert (await client.get(f"{gateway.base}/t/100")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "server", "words"),
    [({"max_topics": 2}, {}, "max_topics"), ({}, {"limits": {"topics": 2}}, "server.limits.topics")],
)
async def test_there_are_never_more_topics_than_may_be(
    backend: ScriptedBackend, changes: dict[str, object], server: dict[str, object], words: str
) -> None:
    """Of a route, or of all: idle ones make room; if all are in use, a new one is refused with a reason."""
    backend.serve({"n": 1})
    lingering = route(poll={"every": "1m", "linger": "0s"}, **changes)
    async with (
        running_gateway(backend, {"/t/{n}": lingering}, server=server) as gateway,
        http_client() as client,
        AsyncExitStack() as stack,
    ):
        for n in range(5):
            assert (await client.get(f"{gateway.base}/t/{n}")).status_code == 200
        used = await follow(stack, gateway, ["/t/10", "/t/11"])
        await see_through(used, {"n": 1})
        refused = await client.get(f"{gateway.base}/t/12")
        assert refused.status_code == 503
        assert words in refused.json()["detail"]
        assert "Retry-After" in refused.headers
