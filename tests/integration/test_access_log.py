"""The access log: a line for each request that is answered, and for each stream that has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import websockets
from structlog.testing import capture_logs

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from pushgate.adapters.downstream.access import shown
from reloads import reloadable_gateway

ON = {"access_log": True}
ROUTES = {"/t": route(emit=["snapshot"]), "/calm": route(poll={"every": "1h"}, write={"POST": {"wait": "0s"}})}
PROXY = {"/legacy": {"upstream": "u", "auth": "none", "methods": ["GET"], "credentials": "client"}}

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured


def told(lines: Lines, event: str = "request.answered") -> Lines:
    return [line for line in lines if line["event"] == event]


async def until_told(lines: Lines, event: str) -> MutableMapping[str, Any]:
    async def look() -> Lines:
        return told(lines, event)

    return (await eventually(look, bool))[-1]


async def test_who_asked_what_and_what_they_got(backend: ScriptedBackend, lines: Lines) -> None:
    """One line, with all that tells one request from another."""
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES, server=ON) as gateway, http_client(base_url=gateway.base) as client:
        await client.get("/calm?access_token=secret", headers={"X-Request-Id": "7f3c"})
        await client.get("/calm", headers={"X-Request-Id": "7f3d"})
    line = told(lines)[-1]
    assert isinstance(line.pop("seconds"), float)
    assert line == {
        "event": "request.answered",
        "log_level": "info",
        "method": "GET",
        "path": "/calm",
        "client": "127.0.0.1",
        "request_id": "7f3d",
        "route": "/calm",
        "transport": "short_poll",
        "status": 200,
        "bytes": 7,
    }
    assert "secret" not in str(lines)


async def test_every_answer_is_written_down(backend: ScriptedBackend, lines: Lines) -> None:
    """Whatever it is, and whoever gives it."""
    backend.serve({"n": 0})
    asked = [("GET", "/t"), ("HEAD", "/t"), ("GET", "/t?wait=1"), ("GET", "/nothing"), ("POST", "/calm"),
             ("DELETE", "/t"), ("OPTIONS", "/t"), ("GET", "/legacy/a"), ("GET", "/-/poll?topic=/t")]  # fmt: skip
    async with (
        running_gateway(backend, ROUTES, server=ON, proxy=PROXY) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        answers = [await client.request(*one) for one in asked]
    written = told(lines)
    assert [(line["method"], line["path"]) for line in written] == asked
    assert [line["status"] for line in written] == [answer.status_code for answer in answers]
    sizes = [line.get("bytes") for line in written]
    assert sizes == [len(answer.content) for answer in answers]
    assert [line.get("transport") for line in written] == [
        *("short_poll", "short_poll", "long_poll", None, "write"),
        *("short_poll", None, "proxy", "long_poll"),
    ]


async def test_who_waited_is_written_down_with_the_answer(backend: ScriptedBackend, lines: Lines) -> None:
    """Each time, on one connection too."""
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES, server=ON) as gateway, http_client(base_url=gateway.base) as client:
        cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
        for n in range(1, 4):
            async with asyncio.TaskGroup() as tasks:
                asked = tasks.create_task(client.get(f"/t?wait=55&cursor={cursor}"))
                await eventually(lambda: parked(gateway), bool)
                assert len(told(lines)) == n
                backend.serve({"n": n})
            answer = asked.result()
            cursor = answer.headers["Pushgate-Cursor"]
            line = told(lines)[-1]
            assert (line["status"], line["transport"], line["bytes"]) == (200, "long_poll", len(answer.content))
            assert line["request_id"] == answer.headers["X-Request-Id"]
    assert len(told(lines)) == 4 and not told(lines, "stream.ended")


async def parked(gateway: Running) -> float:
    return await gateway.metric("pushgate_subscribers", transport="long_poll")


@pytest.mark.parametrize("path", ["/t", "/-/events?topic=/t"])
async def test_a_stream_has_a_line_at_each_end(backend: ScriptedBackend, lines: Lines, path: str) -> None:
    """With the same id, and at its end with why, and how long it was there."""
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES, server=ON) as gateway, http_client(base_url=gateway.base) as client:
        headers = {"Accept": "text/event-stream", "X-Request-Id": "7f3c"}
        async with client.stream("GET", path, headers=headers):
            begun = await until_told(lines, "request.answered")
            assert (begun["status"], begun["transport"], begun["request_id"]) == (200, "sse", "7f3c")
        ended = await until_told(lines, "stream.ended")
    assert (ended["reason"], ended["request_id"], ended["path"]) == ("client", "7f3c", path)
    assert ended["seconds"] >= begun["seconds"]


async def test_a_websocket_has_them_too(backend: ScriptedBackend, lines: Lines) -> None:
    """And one that was let in only to be told why not says so."""
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES, server=ON) as gateway:
        url = gateway.base.replace("http", "ws")
        async with websockets.connect(f"{url}/t", proxy=None):
            begun = await until_told(lines, "request.answered")
        ended = await until_told(lines, "stream.ended")
        async with websockets.connect(f"{url}/nothing", origin=gateway.base, proxy=None) as refused:  # type: ignore[arg-type]
            await refused.wait_closed()
    assert (begun["status"], begun["transport"], ended["reason"]) == (101, "websocket", "client")
    assert (told(lines)[-1]["status"], told(lines)[-1]["close_code"]) == (101, 4404)


async def test_a_drain_ends_streams(backend: ScriptedBackend, lines: Lines) -> None:
    backend.serve({"n": 0})
    async with running_gateway(backend, ROUTES, server=ON) as gateway, http_client(base_url=gateway.base) as client:
        async with client.stream("GET", "/t", headers={"Accept": "text/event-stream"}) as stream:
            await gateway.gateway.departures.finish(window=0.0, grace=5.0)  # type: ignore[union-attr]  # it serves
            async for _ in stream.aiter_bytes():
                pass
        assert (await until_told(lines, "stream.ended"))["reason"] == "drained"


async def test_a_client_behind_a_proxy_is_named(backend: ScriptedBackend, lines: Lines) -> None:
    """As far as the proxy is believed."""
    backend.serve({"n": 0})
    server = {**ON, "trusted_proxies": ["127.0.0.0/8"]}
    async with running_gateway(backend, ROUTES, server=server) as gateway, http_client(base_url=gateway.base) as client:
        await client.get("/t", headers={"X-Forwarded-For": "198.51.100.7"})
    assert told(lines)[-1]["client"] == "198.51.100.7"


async def test_it_is_off_unless_it_is_on(backend: ScriptedBackend, lines: Lines, tmp_path: Path) -> None:
    """And a reload turns it on and off; connections go on as they are."""
    backend.serve({"n": 0})
    async with (
        reloadable_gateway(backend, ROUTES, tmp_path) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        own = gateway.written.says["server"]
        for is_on, number in ((None, 0), (True, 1), (False, 1)):
            if is_on is not None:
                await gateway.rewrite(server={**own, "access_log": is_on})
            await client.get("/t")
            assert len(told(lines)) == number


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/t?a=1&b=2", "/t?a=1&b=2"),
        ("/t?access_token=x&a=1", "/t?access_token=REDACTED&a=1"),
        ("/t?a=1&ticket=x", "/t?a=1&ticket=REDACTED"),
        ("/t?access%5Ftoken=x", "/t?access%5Ftoken=REDACTED"),
        ("/t?%74icket=x&ticket=y", "/t?%74icket=REDACTED&ticket=REDACTED"),
        ("/t?ticket", "/t?ticket"),
        ("http://u:p@host/t?ticket=x", "/t?ticket=REDACTED"),
        (f"/{'x' * 5000}", f"/{'x' * 2047}…"),
    ],
)
def test_no_credential_is_written_down(target: str, expected: str) -> None:
    """However its name is spelled."""
    assert shown(target) == expected
