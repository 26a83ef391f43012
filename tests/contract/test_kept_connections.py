"""A connection that is kept serves one request after another, behind a proxy of many clients: nothing is mixed up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from slowclients import raw_client

SMUGGLED = b"GET /secret HTTP/1.1\r\nHost: gateway\r\n\r\n"


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    backend.serve({"n": 0})
    async with running_gateway(backend, {"/t": route()}) as running, http_client(base_url=running.base) as client:
        assert (await client.get("/t")).status_code == 200
        yield running


async def parked(gateway: Running) -> None:
    async def count() -> float:
        return await gateway.metric("pushgate_subscribers", transport="long_poll")

    await eventually(count, lambda seen: seen == 1)


@pytest.mark.parametrize("path", ["/t?wait=0.3&cursor=now", "/-/poll?topic=/t&wait=0.3&cursor=now"])
@pytest.mark.parametrize(
    ("field", "body"),
    [
        (f"Content-Length: {len(SMUGGLED)}", SMUGGLED),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    ],
)
async def test_a_body_that_nobody_asked_for_is_no_request(gateway: Running, path: str, field: str, body: bytes) -> None:
    """Not even if it comes while its request waits; a proxy would give that answer to whoever comes next."""
    async with raw_client(gateway.port) as raw:
        await raw.ask(path, f"{field}\r\n")
        await parked(gateway)
        await raw.send(body)
        answer = await raw.read_all()
        assert answer.count(b"HTTP/1.") == 1
        assert b"HTTP/1.1 204" in answer
        assert b"Connection: close" in answer


async def test_a_body_that_has_come_is_left_out(gateway: Running) -> None:
    """And the connection is kept."""
    async with raw_client(gateway.port) as raw:
        fields = f"Host: gateway\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n".encode()
        await raw.send(b"GET /t?wait=0.2&cursor=now HTTP/1.1\r\n" + fields + SMUGGLED)
        await raw.read_until(b"\r\n\r\n")
        await raw.ask("/t", "Connection: close\r\n")
        answer = await raw.read_all()
        assert b"HTTP/1.1 204" in answer
        assert answer.count(b"HTTP/1.") == 2


async def test_a_client_of_http_1_0_is_not_left_waiting_for_the_end(gateway: Running) -> None:
    """It takes a connection for closing unless it is told otherwise, which an answer of HTTP/1.1 does not."""
    async with raw_client(gateway.port) as raw:
        await raw.send(b"GET /t?wait=0.2&cursor=now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await raw.read_all()
        assert b"204 No Content" in answer
        assert b"Connection: close" in answer
