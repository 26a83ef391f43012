"""Behind nginx, HAProxy, Caddy and Traefik, each with the configuration in examples/proxies that users copy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
import websockets

from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from links import Link
from proxiedlinks import linked
from proxies import EXAMPLES, PROXIES, Changes, Proxy, behind
from sidebyside import side_by_side
from transports import LongPoll

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

STREAMS = ["sse", "sse gzip", "websocket"]

# How to make those that are written in Go ask for gzip by themselves.
READING: dict[str, Changes] = {
    "caddy": {"reverse_proxy 127.0.0.1:8080 {": "reverse_proxy 127.0.0.1:8080 {\n    header_up -Accept-Encoding"},
    "traefik": {
        "      service: pushgate\n": "      service: pushgate\n      middlewares: [plain]\n"
        '  middlewares:\n    plain: {headers: {customRequestHeaders: {Accept-Encoding: ""}}}\n'
    },
}


def document(n: int) -> dict[str, Any]:
    """So large that whoever compresses anything compresses it, and that a patch is smaller."""
    return {"n": n, "rows": [{"id": f"r{k}", "name": f"row {k}"} for k in range(60)]}


@pytest.fixture(params=PROXIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def proxied(
    name: str, backend: ScriptedBackend, *, also: Changes | None = None, **server: Any
) -> AsyncIterator[tuple[Proxy, Running]]:
    """A gateway with the topic ``/rows``, and the proxy in front of it."""
    backend.serve(document(0))
    async with (
        running_gateway(backend, {"/rows": route()}, server={"drain": {"window": "0s"}, **server}) as gateway,
        behind(name, gateway, also=also) as proxy,
    ):
        yield proxy, gateway


async def see_changes(link: Link, backend: ScriptedBackend, numbers: range) -> None:
    """Change again and again: each change has to arrive before the next one is made."""
    for n in numbers:
        backend.serve(document(n))
        assert (await link.hear("patch"))["data"] == [{"op": "replace", "path": "/n", "value": n}]


@pytest.mark.parametrize("kind", STREAMS)
async def test_every_change_arrives_as_it_happens(name: str, kind: str, backend: ScriptedBackend) -> None:
    """Nothing waits for a buffer to be full: behind each change there comes nothing that could push it out."""
    async with proxied(name, backend, heartbeat="1h") as (proxy, _), linked(kind, proxy, "/rows") as client:
        await see_changes(client, backend, range(1, 6))


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_proxy_that_compresses_does_not_hold_it_up(name: str, kind: str, backend: ScriptedBackend) -> None:
    """It compresses documents, so it is on; a stream it may compress as well, or leave as it is."""
    compressing = PROXIES[name].compressing
    async with proxied(name, backend, also=compressing, heartbeat="1h") as (proxy, _), http_client() as http:
        answer = await http.get(f"{proxy.url}/rows", headers={"Accept-Encoding": "gzip"})
        assert (answer.headers["Content-Encoding"], answer.json()) == ("gzip", document(0))
        async with linked(kind, proxy, "/rows") as client:
            await see_changes(client, backend, range(1, 6))


@pytest.mark.parametrize("topic", ["/rows", "/-/events?topic=/rows"])
@pytest.mark.parametrize("name", READING)
async def test_a_proxy_that_inflates_does_not_hold_it_up(name: str, topic: str, backend: ScriptedBackend) -> None:
    """Programs in Go ask for gzip by themselves if nobody says otherwise, and hand on what they have inflated."""
    async with proxied(name, backend, also=READING[name], heartbeat="2s") as (proxy, _), http_client() as http:
        asked = {"Accept-Encoding": "identity"}
        async with httpx_sse.aconnect_sse(http, "GET", proxy.url + topic, headers=asked) as source:
            assert "Content-Encoding" not in source.response.headers
            events = source.aiter_sse()
            async with asyncio.timeout(PATIENCE):
                for n in range(4):
                    kind = "patch" if n else "snapshot"
                    while (await anext(events)).event != kind:
                        pass
                    backend.serve(document(n + 1))
            await events.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_heartbeats_keep_idle_streams(subtests: pytest.Subtests) -> None:
    """A proxy that gives up after three seconds of silence does not, if there is a heartbeat every two."""

    async def are_kept(name: str) -> None:
        async with (
            scripted_backend() as backend,
            proxied(name, backend, also=PROXIES[name].shortened, heartbeat="2s") as (proxy, _),
            linked("sse", proxy, "/rows") as stream,
            linked("websocket", proxy, "/rows") as socket,
        ):
            for client in (stream, socket) * 3:
                await client.hear("heartbeat")
            await see_changes(stream, backend, range(1, 3))
            await socket.follow(document(2))

    await side_by_side(subtests, {name: are_kept(name) for name in PROXIES})


async def test_without_them_it_is_cut(subtests: pytest.Subtests) -> None:
    """So that is what keeps it. Traefik alone has no timeout for silence in an answer."""

    async def is_cut(name: str) -> None:
        async with (
            scripted_backend() as backend,
            proxied(name, backend, also=PROXIES[name].shortened, heartbeat="1h") as (proxy, _),
            linked("sse", proxy, "/rows") as client,
        ):
            with pytest.raises((httpx.RemoteProtocolError, StopAsyncIteration)):
                await client.hear("heartbeat")

    await side_by_side(subtests, {name: is_cut(name) for name in PROXIES if name != "traefik"})


async def test_a_websocket_is_told_why_it_ends(name: str, backend: ScriptedBackend) -> None:
    """The close code and its reason arrive, so a client knows when to come back."""
    async with (
        proxied(name, backend) as (proxy, gateway),
        linked("websocket", proxy, "/rows") as client,
        http_client() as http,
    ):
        await http.post(f"{gateway.admin}/-/drain", headers={"Pushgate-Admin": "1"})
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.hear("snapshot")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert re.fullmatch(r"retry_after_ms=\d+", closed.value.rcvd.reason)


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_cut_stream_resumes(name: str, kind: str, backend: ScriptedBackend) -> None:
    """The proxy is restarted, and two changes happen meanwhile: they come as changes, and not as a document."""
    async with proxied(name, backend) as (proxy, _), linked(kind, proxy, "/rows") as client:
        await see_changes(client, backend, range(1, 3))
        await proxy.stop()
        for n in (3, 4):
            backend.serve(document(n))
            await backend.polled(2)
        heard = len(client.heard)
        await proxy.start()
        await client.reconnect()
        await client.follow(document(4))
        told = [event["data"][0]["value"] for event in client.heard[heard:] if event["event"] == "patch"]
        assert told == [3, 4]
        assert "snapshot" not in {event["event"] for event in client.heard[heard:]}


async def test_polls_of_both_kinds(name: str, backend: ScriptedBackend) -> None:
    """An answer with the change, one without when the wait is over, a document, and none: all on one connection."""
    ports = set()

    async def note(answer: httpx.Response) -> None:
        ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))

    hooks = {"response": [note]}
    async with proxied(name, backend) as (proxy, _), http_client(http2=True, event_hooks=hooks) as http:
        first = await http.get(f"{proxy.url}/rows")
        unchanged = await http.get(f"{proxy.url}/rows", headers={"If-None-Match": first.headers["ETag"]})
        params = {"cursor": first.headers["Pushgate-Cursor"], "wait": "0.5"}
        over = await http.get(f"{proxy.url}/rows", params=params)
        async with asyncio.TaskGroup() as tasks:
            parked = tasks.create_task(http.get(f"{proxy.url}/rows", params=params | {"wait": "50"}))
            await backend.polled(10)
            backend.serve(document(1))
        changed = parked.result()
    assert (first.status_code, first.json()) == (200, document(0))
    assert [unchanged.status_code, over.status_code, changed.status_code] == [304, 204, 200]
    assert [event["event"] for event in changed.json()["events"]] == ["patch"]
    assert len(ports) == 1


async def test_a_loop_of_long_polls_misses_nothing(name: str, backend: ScriptedBackend) -> None:
    async with proxied(name, backend) as (proxy, _), LongPoll(proxy.url, "/rows") as client:
        await client.connect()
        await client.hear("snapshot")
        await see_changes(client, backend, range(1, 11))


async def test_the_gateway_may_be_served_under_a_path(name: str, backend: ScriptedBackend) -> None:
    """With ``base_path`` the proxy hands on the path as it is."""
    async with (
        proxied(name, backend, base_path="/live") as (proxy, _),
        linked("sse", proxy, "/live/rows") as client,
        http_client() as http,
    ):
        await see_changes(client, backend, range(1, 3))
        assert (await http.get(f"{proxy.url}/rows")).status_code == 404


@pytest.mark.parametrize("kind", ["sse http/1.1", "websocket"])
async def test_a_proxy_that_is_reloaded(name: str, kind: str, backend: ScriptedBackend) -> None:
    """Who is there stays, and gets every change, also if everybody else is now sent to another gateway."""
    async with (
        proxied(name, backend) as (proxy, gateway),
        linked(kind, proxy, "/rows") as client,
        running_gateway(backend, {"/elsewhere": route()}) as other,
        http_client() as http,
    ):
        proxy.gateway = other
        await proxy.reload()

        async def look() -> int:
            return (await http.get(f"{proxy.url}/elsewhere", headers={"Connection": "close"})).status_code

        await eventually(look, lambda status: status == 200)
        await see_changes(client, backend, range(1, 6))
        assert await gateway.metric("pushgate_connections") == 1


@pytest.mark.parametrize("name", [name for name in PROXIES if name != "traefik"])
async def test_an_eventsource_is_not_sent_away_for_good(name: str, backend: ScriptedBackend) -> None:
    """While the gateway is away it gets an answer that it comes back from; everybody else is told the truth."""
    backend.serve(document(0))
    async with AsyncExitStack() as life:
        gateway = await life.enter_async_context(running_gateway(backend, {"/rows": route()}))
        async with behind(name, gateway) as proxy, http_client() as http:
            await http.get(f"{proxy.url}/rows")
            await life.aclose()
            asked = {"Accept": "text/event-stream", "Origin": "https://app.example"}
            stream, other = await asyncio.gather(
                http.get(f"{proxy.url}/rows", headers=asked), http.get(f"{proxy.url}/rows")
            )
            assert (stream.status_code, stream.headers["Content-Type"]) == (200, "text/event-stream")
            assert stream.headers["Access-Control-Allow-Origin"] == asked["Origin"]
            assert other.status_code in (502, 503)


@pytest.mark.parametrize("name", PROXIES)
async def test_what_the_gateway_refuses_passes_through(name: str, backend: ScriptedBackend) -> None:
    """Its own answers are not taken for those of a proxy without a gateway."""
    async with (
        proxied(name, backend, limits={"connections": 1}) as (proxy, _),
        linked("sse", proxy, "/rows"),
        http_client() as http,
    ):
        refused = await http.get(f"{proxy.url}/rows", headers={"Accept": "text/event-stream"})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) > 0
        back = await http.get(f"{proxy.url}/rows?cursor=now", headers={"Accept": "text/event-stream"})
        assert (back.status_code, back.text[:7]) == (200, "retry: ")


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_two_silent_minutes_with_the_defaults(name: str, backend: ScriptedBackend) -> None:
    """Heartbeats every 15 s are enough for whatever a proxy does by itself, and so is the longest wait, 55 s."""
    async with (
        proxied(name, backend) as (proxy, gateway),
        linked("sse", proxy, "/rows") as stream,
        linked("websocket", proxy, "/rows") as socket,
        http_client() as http,
    ):
        cursor = stream.replica.cursor
        for _ in range(2):
            answer = await http.get(f"{proxy.url}/rows", params={"cursor": cursor, "wait": "55"})
            assert answer.status_code == 204
        await asyncio.sleep(20)
        backend.serve(document(1))
        await stream.follow(document(1))
        await socket.follow(document(1))
        assert [event["event"] for event in stream.heard].count("heartbeat") >= 8
        assert await gateway.metric("pushgate_connections_total", transport="sse") == 1


BLOCK = re.compile(r"^```\w*\n(# (?:nginx|HAProxy|Caddy|Traefik) .*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_manual_shows_these_very_files() -> None:
    """Whoever copies from docs/operations.md gets what is tested here."""
    shown = BLOCK.findall(OPERATIONS.read_text())
    assert sorted(shown) == sorted(file.read_text() for file in EXAMPLES.iterdir())
