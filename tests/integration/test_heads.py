"""
Heads of requests that take too long or are too large, pinned to the installed aiohttp, on both event loops.

heads.py uses what aiohttp does not promise. If a new version fails here, it must not be installed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web

from pushgate.adapters.downstream.heads import (
    HEAD_PATIENCE,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_FIELDS_BYTES,
    MAX_LINE_BYTES,
    Server,
)
from slowclients import RawClient, raw_client, status_of

# Short enough to be waited for, and long enough for a busy machine to finish a head in it.
PATIENCE = 0.3

HEAD = b"GET /x HTTP/1.1\r\nHost: gateway\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Any:
    """Run a coroutine on either loop."""

    def run(coroutine: Any) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(coroutine)

    return run


@asynccontextmanager
async def serving(*, patience: float = HEAD_PATIENCE, **options: Any) -> AsyncIterator[tuple[Server, RawClient]]:
    """A server that answers everything, and a client of it."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=str(len(await request.read())))

    server = Server(answer, access_log=None, tcp_keepalive=False, **options)
    server.head_patience, server.linger = patience, 0.1
    runner = web.ServerRunner(server, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with raw_client(runner.addresses[0][1], receive_buffer=65536) as client:
            yield server, client
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (nobody tells when aiohttp has seen it)
            await asyncio.sleep(0.01)


def problem(client: RawClient) -> tuple[int, str]:
    """The status and the code of the answer, which is the last one."""
    fields = dict(line.lower().split(": ", 1) for line in client.head.split("\r\n")[1:])
    assert (fields["content-type"], fields["connection"]) == ("application/problem+json", "close")
    return status_of(client.head), json.loads(client.body)["code"]


class TestTime:
    @pytest.mark.parametrize("begin", [b"G", HEAD, HEAD + b"Cookie: "], ids=["letter", "line", "field"])
    def test_a_head_that_stops_in_the_middle(self, run: Any, begin: bytes) -> None:
        async def test() -> None:
            async with serving(patience=PATIENCE) as (server, client):
                await client.send(begin)
                await client.read_all()
                assert problem(client) == (408, "request_too_late")
                assert len(server.heads) <= 1  # until the client has closed, too

        run(test())

    def test_a_head_that_comes_byte_by_byte(self, run: Any) -> None:
        """Whatever comes meanwhile, the time is counted from the first byte."""

        async def test() -> None:
            async with serving(patience=PATIENCE) as (_, client):
                began = asyncio.get_running_loop().time()
                await client.send(b"GET /")
                while not client.received:
                    await client.send(b"a")
                    try:
                        async with asyncio.timeout(0.01):
                            await client.read()
                    except TimeoutError:
                        continue
                assert asyncio.get_running_loop().time() - began < 3 * PATIENCE
                assert problem(client) == (408, "request_too_late")

        run(test())

    def test_the_second_request_of_a_connection_has_no_more_time(self, run: Any) -> None:
        async def test() -> None:
            async with serving(patience=PATIENCE) as (_, client):
                await client.send(HEAD + b"\r\n")
                await client.read_until(b"\r\n\r\n0")
                client.received = b""
                await client.send(HEAD)
                await client.read_all()
                assert problem(client) == (408, "request_too_late")

        run(test())

    def test_whoever_does_not_leave_is_cut(self, run: Any) -> None:
        """The refusal is written and the connection closed for writing; what comes after that is not read for long."""

        async def test() -> None:
            async with serving(patience=0.05) as (server, client):
                await client.send(HEAD)
                await client.read_all()
                await until(lambda: not server.connections)
                assert len(server.heads) == 0

        run(test())

    def test_a_head_that_comes_in_time(self, run: Any) -> None:
        """In two pieces, and nothing of it is left behind."""

        async def test() -> None:
            async with serving(patience=PATIENCE) as (server, client):
                for _ in range(2):
                    await client.send(HEAD)
                    await asyncio.sleep(0.02)
                    assert len(server.heads) == 1
                    await client.send(b"\r\n")
                    await client.read_until(b"\r\n\r\n0")
                    assert status_of(client.head) == 200
                    client.received = b""
                    assert len(server.heads) == 0
                await asyncio.sleep(2 * PATIENCE)  # an idle connection is kept
                await client.send(HEAD + b"\r\n")
                await client.read_until(b"\r\n\r\n0")

        run(test())

    def test_a_body_is_no_head(self, run: Any) -> None:
        """It has a deadline of its own, where it is read."""

        async def test() -> None:
            async with serving(patience=PATIENCE) as (server, client):
                await client.send(HEAD + b"Content-Length: 3\r\n\r\na")
                await asyncio.sleep(0.02)
                await client.send(b"b")
                assert len(server.heads) == 0
                await asyncio.sleep(2 * PATIENCE)
                await client.send(b"c")
                await client.read_until(b"\r\n\r\n3")
                assert len(server.heads) == 0

        run(test())

    def test_a_client_that_leaves_in_the_middle_is_forgotten(self, run: Any) -> None:
        async def test() -> None:
            async with serving() as (server, client):
                await client.send(HEAD)
                await until(lambda: len(server.heads) == 1)
                client.leave()
                await until(lambda: len(server.heads) == 0)

        run(test())


def field(size: int, name: str = "X-Large") -> bytes:
    return f"{name}: ".encode() + b"x" * size + b"\r\n"


class TestSize:
    @pytest.mark.parametrize(
        "head",
        [
            HEAD + field(MAX_FIELD_BYTES + 1) + b"\r\n",
            HEAD + b"".join(field(10_000, f"X-{n}") for n in range(7)) + b"\r\n",
            HEAD + b"".join(field(1, f"X-{n}") for n in range(MAX_FIELDS)) + b"\r\n",
            HEAD + b"".join(field(10_000, f"X-{n}") for n in range(20)),
        ],
        ids=["one", "together", "number", "endless"],
    )
    @pytest.mark.parametrize("piece", [1 << 20, 1000], ids=["at once", "in pieces"])
    def test_fields_that_are_too_large(self, run: Any, head: bytes, piece: int) -> None:
        async def test() -> None:
            async with serving() as (_, client):
                for at in range(0, len(head), piece):
                    await client.send(head[at : at + piece])
                    await asyncio.sleep(0)
                await client.read_until(b"}")
                assert problem(client) == (431, "fields_too_large")

        run(test())

    def test_a_line_that_is_too_long(self, run: Any) -> None:
        async def test() -> None:
            async with serving() as (_, client):
                await client.send(b"GET /" + b"x" * MAX_LINE_BYTES + b" HTTP/1.1\r\nHost: g\r\n\r\n")
                await client.read_until(b"}")
                assert problem(client) == (414, "line_too_long")

        run(test())

    def test_what_browsers_and_proxies_send_fits(self, run: Any) -> None:
        async def test() -> None:
            async with serving() as (_, client):
                line = b"GET /" + b"x" * (MAX_LINE_BYTES - 5) + b" HTTP/1.1\r\nHost: g\r\n"
                fields = [field(MAX_FIELD_BYTES - 10), *[field(10, f"X-{n}") for n in range(MAX_FIELDS - 2)]]
                await client.send(line + b"".join(fields) + b"\r\n")
                await client.read_until(b"\r\n\r\n0")
                assert status_of(client.head) == 200
                assert sum(map(len, fields)) < MAX_FIELDS_BYTES

        run(test())


@pytest.mark.parametrize(
    "line",
    [
        b"SECRET / HTTP/1.1",
        b"GET /?access_token=SECRET HTTP/9",
        b"GET / HTTP/1.1\r\nAuthoriz\0ation: SECRET",
        b"\x16\x03SECRET",
    ],
)
def test_nothing_of_what_cannot_be_read_is_repeated(run: Any, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It may be a credential; and whoever sends such lines would fill the log."""

    async def test() -> None:
        async with serving() as (_, client):
            await client.send(line + b"\r\nHost: x\r\n\r\n")
            await client.read_until(b"}")
            assert problem(client) == (400, "bad_request")
            assert b"SECRET" not in client.received

    with caplog.at_level(logging.DEBUG):
        run(test())
    assert "SECRET" not in caplog.text
