"""Promise 7: upstream trouble is news, not an outage. No error page is ever a document."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from typing import Any

import pytest

import pushgate.refinery
from backends import ScriptedBackend, scripted_backend
from gateways import eventually, http_client, route, running_gateway
from replicas import GONE
from transports import RESUMABLE, STREAMS, TRANSPORTS, connected, see_through

GOOD, BETTER = {"n": 1, "pad": "x" * 100}, {"n": 2, "pad": "x" * 100}
LOGIN = b"<!doctype html><title>Please sign in</title><form>"
IMPATIENT = {"timeout": {"connect": "200ms", "total": "200ms"}, "max_body": "10KB"}


def commit(crime: Any) -> Callable[[ScriptedBackend], None]:
    def do(backend: ScriptedBackend) -> None:
        backend.crime = crime

    return do


def say(body: bytes, **answer: Any) -> Callable[[ScriptedBackend], None]:
    return lambda backend: backend.say(body, **answer)


# What goes wrong, and the reason under which it is counted.
TROUBLES: dict[str, tuple[Callable[[ScriptedBackend], None], str]] = {
    "500": (say(b'{"n": 500}', status=500), "http_5xx"),
    "503 with JSON": (say(b'{"n": 503}', status=503), "http_5xx"),
    "400": (say(b'{"n": 400}', status=400), "http_4xx"),
    "401": (say(b'{"n": 401}', status=401), "upstream_auth"),
    "429": (say(b'{"n": 429}', status=429), "rate_limited"),
    "302 to a login": (say(b"", status=302, Location="/login"), "protocol"),
    "login page with 200": (say(LOGIN, Content_Type="text/html"), "decode"),
    "login page that claims to be JSON": (say(LOGIN), "decode"),
    "nothing but spaces": (say(b" "), "decode"),
    "half a body, whole length": (say(b'{"n": 2, "pad'), "decode"),
    "not UTF-8": (say(b'{"n": "\xe9"}'), "decode"),
    "an unknown charset": (say(b'{"n": 2}', Content_Type="application/json; charset=klingon"), "decode"),
    "an impossible charset": (say(b'{"n": 2}', Content_Type="text/json; charset*=us-ascii''utf%00"), "decode"),
    "nested too deep": (say(b"[" * 100_0 + b"]" * 100_0), "decode"),
    "a number beyond all doubles": (say(b'{"n": 1e999}'), "decode"),
    "too large": (say(b'{"n": "' + b"x" * 20_000 + b'"}'), "too_large"),
    "a gzip bomb": (say(gzip.compress(b" " * 1_000_000), Content_Encoding="gzip"), "too_large"),
    "cut": (commit("cuts"), "truncated"),
    "stalled": (commit("stalls"), "timeout"),
    "hung up": (commit("hangs up"), "connect"),
    "a strange Retry-After": (say(b"", status=503, Retry_After="Mon, 01 Jan 0001 00:00:00 -0000"), "http_5xx"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_keeps_the_document_and_is_announced(backend: ScriptedBackend, trouble: str) -> None:
    """Whatever goes wrong: streams are told ``stale``, everybody keeps the last good document, and then it goes on."""
    go_wrong, reason = TROUBLES[trouble]
    backend.serve(GOOD)
    async with (
        running_gateway(backend, {"/t": route()}, upstream=IMPATIENT) as gateway,
        connected("sse", gateway.base, "/t") as sse,
        connected("websocket", gateway.base, "/t") as websocket,
        connected("long_poll", gateway.base, "/t") as long_poll,
    ):
        clients = [sse, websocket, long_poll]
        await see_through(clients, GOOD)
        go_wrong(backend)
        for client in (sse, websocket):
            status = (await client.hear_state("stale"))["data"]
            assert status["reason"] == reason
            assert status.keys() == {"state", "since", "reason", "confirmed_at", "next_poll_at"}
        async with http_client() as http:
            answer = await http.get(f"{gateway.base}/t")
        assert (answer.status_code, answer.json(), answer.headers["Pushgate-State"]) == (200, GOOD, "stale")
        assert await gateway.metric("pushgate_poll_failures_total", route="/t", reason=reason) >= 2
        backend.serve(BETTER)
        await see_through(clients, BETTER)
        assert [client.replica.kinds for client in clients] == [["snapshot", "patch"]] * 3
        for client in (sse, websocket):
            await client.hear_state("live")


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_comes_while_it_is_stale_is_told_at_once(backend: ScriptedBackend, transport: str) -> None:
    """Right behind its first event, who comes to a stale topic is told so."""
    backend.serve(GOOD)
    async with running_gateway(backend, {"/t": route()}) as gateway:
        async with connected("sse", gateway.base, "/t") as client:
            await client.follow(GOOD)
            backend.say(b"", status=500)
            await client.hear_state("stale")
        async with connected(transport, gateway.base, "/t") as client:
            first, second = await client.receive(), await client.receive()
            assert (first["event"], first["data"]) == ("snapshot", GOOD)
            assert (second["event"], second["id"] or client.replica.cursor) == ("status", client.replica.cursor)
            assert second["data"]["state"] == "stale"


async def test_a_single_failure_is_not_announced(backend: ScriptedBackend) -> None:
    """``stale.after`` failed polls in a row make a topic stale; one less is nobody's business."""
    backend.serve(GOOD)
    tolerant = route(stale={"after": 4})
    async with running_gateway(backend, {"/t": tolerant}) as gateway, connected("sse", gateway.base, "/t") as client:
        await client.follow(GOOD)
        for _ in range(3):
            backend.say(b"", status=500)
            await backend.polled(2)
            backend.serve(GOOD)
            await backend.polled(2)
        backend.serve(BETTER)
        await client.follow(BETTER)
        assert {event["data"]["state"] for event in client.heard if event["event"] == "status"} <= {"cold", "live"}


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_missing_is_believed_when_it_is_said_twice(backend: ScriptedBackend, transport: str) -> None:
    """One 404 between two answers is a hiccup; two in a row are ``gone``."""
    backend.serve(GOOD)
    async with (
        running_gateway(backend, {"/t": route(poll={"every": "50ms"})}) as gateway,
        connected(transport, gateway.base, "/t") as client,
    ):
        await client.follow(GOOD)
        backend.say(b"", status=404)
        await backend.polled()
        backend.serve(BETTER)
        await client.follow(BETTER)
        assert "gone" not in client.replica.kinds
        backend.say(LOGIN, status=410)
        await client.follow(GONE)
        async with http_client() as http:
            answer = await http.get(f"{gateway.base}/t")
        assert (answer.status_code, answer.json()["code"]) == (404, "gone")
        assert answer.headers["Pushgate-State"] == "gone"
        backend.serve(GOOD)
        await client.follow(GOOD)


@pytest.mark.parametrize(
    ("trouble", "status", "code"), [("500", 502, "upstream_failed"), ("stalled", 504, "upstream_timed_out")]
)
@pytest.mark.parametrize("query", ["", "?wait=5", "?wait=0"])
async def test_cold_and_failing_is_a_gateway_error(
    backend: ScriptedBackend, trouble: str, status: int, code: str, query: str
) -> None:
    """Without any document there is an error that says when to come back, and no request beyond the backing off."""
    TROUBLES[trouble][0](backend)
    slow = route(poll={"every": "1m"})
    async with running_gateway(backend, {"/t": slow}, upstream=IMPATIENT) as gateway, http_client() as client:
        # A long poll that is not willing to wait is told so until the poll has ended.
        answer = await eventually(lambda: client.get(f"{gateway.base}/t{query}"), lambda seen: seen.status_code != 204)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["Pushgate-State"] == "cold"
        for _ in range(5):
            assert (await client.get(f"{gateway.base}/t")).status_code == status
        assert len(backend.requests) == 1


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_cold_stream_waits_with_its_client(backend: ScriptedBackend, transport: str) -> None:
    """A stream on a topic without a document opens with a heartbeat and the state, and goes on when there is one."""
    backend.say(b"", status=500)
    async with running_gateway(backend, {"/t": route()}) as gateway, connected(transport, gateway.base, "/t") as client:
        first, second = await client.receive(), await client.receive()
        assert (first["event"], first["id"], first["data"]["state"]) == ("heartbeat", None, "cold")
        assert (second["event"], second["data"]["state"]) == ("status", "cold")
        backend.serve(GOOD)
        await client.follow(GOOD)
        assert client.replica.kinds == ["snapshot"]


async def test_a_stale_document_expires(backend: ScriptedBackend) -> None:
    """After ``stale.expire`` the old document is no longer served, and when the upstream is back it is again."""
    backend.serve(GOOD)
    short = route(stale={"after": 1, "expire": "100ms"})
    async with running_gateway(backend, {"/t": short}) as gateway, http_client() as client:
        assert (await client.get(f"{gateway.base}/t")).status_code == 200
        backend.say(b"", status=500)
        answer = await eventually(lambda: client.get(f"{gateway.base}/t"), lambda seen: seen.status_code != 200)
        assert answer.status_code == 502
        backend.serve(GOOD)
        answer = await eventually(lambda: client.get(f"{gateway.base}/t"), lambda seen: seen.status_code == 200)
        assert answer.headers["Pushgate-State"] == "live"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_upstream_that_is_not_there_yet(transport: str) -> None:
    """Clients may come before the upstream listens; nothing breaks, and its first document reaches them."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    async with (
        running_gateway(f"http://127.0.0.1:{port}", {"/t": route()}) as gateway,
        connected(transport, gateway.base, "/t") as client,
        asyncio.TaskGroup() as tasks,
    ):
        following = tasks.create_task(client.follow(GOOD))
        await eventually(lambda: gateway.metric("pushgate_poll_failures_total", reason="connect"), bool)
        async with scripted_backend(GOOD, port=port) as backend:
            await backend.polled(2)
            await following


async def test_a_failing_topic_disturbs_no_other() -> None:
    """One upstream's trouble is not another route's."""
    async with (
        scripted_backend(GOOD) as backend,
        running_gateway(backend, {"/t": route(), "/bad": route(select="nothing.here")}) as gateway,
        connected("sse", gateway.base, "/bad") as bad,
        connected("sse", gateway.base, "/t") as good,
    ):
        while (await bad.hear_state("cold"))["data"]["reason"] != "select":
            pass
        await good.follow(GOOD)
        backend.serve(BETTER)
        await good.follow(BETTER)


async def test_trouble_never_makes_the_gateway_unready(backend: ScriptedBackend) -> None:
    """That a backend is down makes pushgate neither dead nor unready."""
    backend.say(b"", status=500)
    async with running_gateway(backend, {"/t": route()}) as gateway, connected("sse", gateway.base, "/t") as client:
        await client.hear("status")
        async with http_client() as http:
            for probe in ("livez", "readyz", "startupz"):
                assert (await http.get(f"{gateway.admin}/{probe}")).status_code == 200


async def test_a_bug_of_ours_is_a_failed_poll(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """If pushgate itself fails on an answer, that poll has failed, and what it brought is not taken for known."""

    def crash(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    backend.serve(GOOD)
    async with (
        running_gateway(backend, {"/t": route(), "/other": route()}) as gateway,
        connected("sse", gateway.base, "/t") as client,
    ):
        await client.follow(GOOD)
        monkeypatch.setattr(pushgate.refinery, "compare", crash)
        backend.serve(BETTER)
        await client.hear_state("stale")
        async with http_client() as http:
            assert (await http.get(f"{gateway.base}/t")).json() == GOOD
            assert (await http.get(f"{gateway.base}/other")).json() == BETTER
        monkeypatch.undo()
        await client.follow(BETTER)
