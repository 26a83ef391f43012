"""What a gateway tells Prometheus is what happened: counted by clients and by the backend, and compared."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest

from backends import ScriptedBackend, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from transports import connected, see_through

ROWS = [{"id": n, "n": 0} for n in range(40)]


def rows(n: int) -> list[dict[str, int]]:
    return [{**row, "n": n if row["id"] == 3 else 0} for row in ROWS]


@asynccontextmanager
async def gated(**changes: object) -> AsyncIterator[tuple[ScriptedBackend, Running]]:
    """A gateway of one route, and the backend that it polls."""
    async with (
        scripted_backend(rows(0)) as backend,
        running_gateway(backend, {"/t": route(key="id", **changes)}) as gateway,
    ):
        yield backend, gateway


async def scraped(gateway: Running) -> str:
    async with http_client() as client:
        return (await client.get(f"{gateway.admin}/metrics")).text


async def test_every_event_is_counted_for_each_who_got_it() -> None:
    """By transport and event, with the bytes that went over the wire, for streams and for polls alike."""
    async with gated() as (backend, gateway):
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            transports = ("sse", "sse", "websocket", "long_poll")
            links = [await stack.enter_async_context(connected(one, gateway.base, "/t")) for one in transports]
            for n in range(6):
                backend.serve(rows(n))
                await see_through(links, rows(n))

        async def delivered(transport: str, event: str) -> float:
            return await gateway.metric("pushgate_deliveries_total", route="/t", transport=transport, event=event)

        assert await delivered("sse", "snapshot") == 2
        assert await delivered("sse", "patch") == 10
        assert await delivered("websocket", "snapshot") == 1
        assert await delivered("websocket", "patch") == 5
        assert await delivered("long_poll", "snapshot") == 1
        assert await delivered("long_poll", "patch") == 5
        assert await gateway.metric("pushgate_changes_total", route="/t") == 6
        late = await gateway.metric("pushgate_delivery_seconds_count", route="/t")
        assert 15 <= late <= 20  # who joined before there was a document waited for the first, too
        assert await gateway.metric("pushgate_delivery_seconds_sum", route="/t") < late
        assert await gateway.metric("pushgate_requests_total", route="/t", transport="sse", code="200") == 2
        assert await gateway.metric("pushgate_requests_total", route="/t", transport="websocket", code="101") == 1
        assert await gateway.metric("pushgate_requests_total", route="/t", transport="long_poll", code="200") == 6


async def test_sent_bytes_are_those_that_a_client_reads() -> None:
    """A stream's events, without the head of its answer and the line that tells when to come back."""
    async with gated() as (backend, gateway), http_client() as client:
        url, fields = f"{gateway.base}/t", {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        async with client.stream("GET", url, headers=fields) as stream:
            read = b""
            async for piece in stream.aiter_raw():
                read += piece
                if b'"value":9' in read:
                    break
                if read.endswith(b"\n\n"):
                    n = len(re.findall(rb"^event: (?:snapshot|patch)", read, re.MULTILINE))
                    backend.serve(rows(n if n < 5 else 9))
            told = read.partition(b"\n")[2] if read.startswith(b"retry:") else read
        assert await gateway.metric("pushgate_sent_bytes_total", route="/t", transport="sse") == len(told)
        answer = await client.get(url, headers={"Accept-Encoding": "identity"})
        sent = await gateway.metric("pushgate_sent_bytes_total", route="/t", transport="short_poll")
        assert sent == len(answer.content)


async def test_what_is_saved_is_what_clients_would_have_asked_less_what_was_asked() -> None:
    """Ten who listen: nine requests and nine answers of each poll, as the backend counts its polls."""
    async with gated(poll={"linger": "0s"}) as (backend, gateway):
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            links = [await stack.enter_async_context(connected("sse", gateway.base, "/t")) for _ in range(10)]
            await see_through(links, rows(0))
            before = len(backend.requests), await gateway.metric("pushgate_upstream_requests_saved_total")
            size_before = await gateway.metric("pushgate_bytes_saved_total")
            await backend.polled(20)
            after = await gateway.metric("pushgate_upstream_requests_saved_total")
            size_after, polls = await gateway.metric("pushgate_bytes_saved_total"), len(backend.requests) - before[0]
        assert after - before[1] == pytest.approx(9 * polls, abs=9 * 3)  # some began before and ended after
        assert size_after - size_before == pytest.approx((after - before[1]) * len(json.dumps(rows(0))), rel=0.2)


async def test_short_polls_from_memory_are_requests_that_the_backend_was_spared() -> None:
    """All but those polls that were made for them."""
    async with gated(poll={"every": "10m"}) as (backend, gateway), http_client() as client:
        for _ in range(30):
            assert (await client.get(f"{gateway.base}/t")).status_code == 200
        assert len(backend.requests) == 1
        assert await gateway.metric("pushgate_upstream_requests_saved_total", route="/t") == 29
        assert await gateway.metric("pushgate_bytes_saved_total", route="/t") == 29 * len(backend.body)
        assert await gateway.metric("pushgate_requests_total", transport="short_poll", code="200") == 30


async def test_a_topic_spends_its_time_in_its_states() -> None:
    """One second a second while somebody listens: live, then stale; and none when nobody does."""
    async with gated(poll={"every": "20ms", "linger": "0s"}, stale={"after": 2}) as (backend, gateway):
        began = monotonic()

        async def spent(state: str | None = None) -> float:
            labels = {} if state is None else {"state": state}
            return await gateway.metric("pushgate_topic_seconds_total", route="/t", **labels)

        async with connected("sse", gateway.base, "/t") as link:
            await link.follow(rows(0))
            await eventually(lambda: spent("live"), lambda seconds: seconds > 0.2)
            backend.say(b"no", status=500)
            await eventually(lambda: spent("stale"), lambda seconds: seconds > 0.2)
            assert await gateway.metric("pushgate_topics", route="/t", state="stale") == 1
        await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda number: number == 0)
        total = await spent()
        assert total <= monotonic() - began
        assert await spent() == pytest.approx(total, abs=0.05)


async def test_staleness_and_frozen_feeds_can_be_seen() -> None:
    """When the upstream last vouched for the oldest document, and when there was a change last: they part."""
    async with gated() as (backend, gateway):
        async with connected("sse", gateway.base, "/t") as link:
            await link.follow(rows(0))
            changed = await gateway.metric("pushgate_last_change_timestamp_seconds", route="/t")

            async def confirmed() -> float:
                return await gateway.metric("pushgate_last_success_timestamp_seconds", route="/t")

            await eventually(confirmed, lambda at: at > changed + 0.1)
            assert await gateway.metric("pushgate_last_change_timestamp_seconds", route="/t") == changed
            backend.serve(rows(1))
            await link.follow(rows(1))
        assert await gateway.metric("pushgate_last_change_timestamp_seconds", route="/t") > changed


async def test_subscribers_are_counted_where_they_are() -> None:
    """By route and transport, views and parked long polls too, and not any more when they have left."""
    views = {"/v": {"from": "/t", "pointer": "/0", "emit": ["snapshot"]}}
    async with (
        scripted_backend(rows(0)) as backend,
        running_gateway(backend, {"/t": route(key="id"), **views}) as gateway,
    ):
        async with connected("sse", gateway.base, "/t"), connected("websocket", gateway.base, "/v", emit="snapshot"):

            async def counts() -> Counter[str]:
                found = re.findall(r"^pushgate_subscribers\{(.*)\} (\S+)$", await scraped(gateway), re.MULTILINE)
                return Counter({labels: int(float(count)) for labels, count in found})

            expected = {'route="/t",transport="sse"': 1, 'route="/v",transport="websocket"': 1}
            await eventually(counts, lambda seen: +seen == Counter(expected))
        await eventually(counts, lambda seen: not +seen)


async def test_no_label_comes_from_a_request() -> None:
    """Whatever is asked for, in whatever way, the series are those of the configuration."""
    async with gated() as (_, gateway), http_client() as client:
        for path in ("/t/evil-one", "/evil-two", "/t?emit=evil-three", "/%65vil-four", "/-/evil-five", "/t?evil=six"):
            await client.get(gateway.base + path, headers={"X-Evil": "evil-seven", "Accept": "evil/eight"})
            await client.delete(gateway.base + path, headers={"X-Evil": "evil-nine"})
        assert "evil" not in (await scraped(gateway)).lower()
        assert await gateway.metric("pushgate_requests_total", route="/t", code="405") == 2


async def test_a_poll_that_comes_back_to_a_gap_is_counted_as_one() -> None:
    """On a topic's own URL and on that of many; one that has missed nothing, or a little, is not."""
    async with gated() as (backend, gateway), http_client() as client:
        url, many = f"{gateway.base}/t", f"{gateway.base}/-/poll"
        first = (await client.get(url, params={"wait": 0})).json()["cursor"]

        async def resumed(result: str) -> float:
            return await gateway.metric("pushgate_resumes_total", transport="long_poll", result=result)

        assert await resumed("snapshot") == await resumed("current") == 0
        await client.get(url, params={"wait": 0, "cursor": first})
        assert await resumed("current") == 1
        backend.serve(rows(1))
        assert (await client.get(url, params={"wait": 5, "cursor": first})).status_code == 200
        replayed = await resumed("replayed")  # or it was parked, and woken
        await client.get(url, params={"wait": 0, "cursor": first})
        assert await resumed("replayed") == replayed + 1
        await client.get(url, params={"wait": 0, "cursor": "x.1.y.z"})
        assert await resumed("snapshot") == 1
        await client.get(many, params={"wait": 0, "cursor": "x.1.y.z", "topic": "/t"})
        assert await resumed("snapshot") == 2


async def test_a_poll_that_reaches_nobody_took_no_time() -> None:
    """It is counted as skipped; how long polls take is about those that went out."""
    breaker = {"failures": 1, "cooldown": "1h"}
    async with scripted_backend(rows(0)) as backend:
        backend.say(b"no", status=500)
        async with running_gateway(backend, {"/t": route()}, upstream={"breaker": breaker}) as gateway:

            async def polled(outcome: str) -> float:
                return await gateway.metric("pushgate_polls_total", route="/t", outcome=outcome)

            async with connected("sse", gateway.base, "/t"):
                await eventually(lambda: polled("skipped"), lambda count: count >= 1)
            assert await polled("failed") == len(backend.requests) == 1
            assert await gateway.metric("pushgate_poll_duration_seconds_count", route="/t") == 1


async def test_waiting_for_the_budget_is_in_no_duration() -> None:
    """It has a histogram of its own."""
    upstream = {"budget": {"rate": ["2/s"], "burst": 1}}
    async with (
        scripted_backend(rows(0)) as backend,
        running_gateway(backend, {"/t/{x}": route()}, upstream=upstream) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        await asyncio.gather(*(client.get(f"/t/{x}") for x in range(3)))
        waited = await gateway.metric("pushgate_budget_wait_seconds_sum")
        assert waited > 1
        assert await gateway.metric("pushgate_poll_duration_seconds_sum") < waited / 2
