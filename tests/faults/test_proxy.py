"""`proxy:` between those who do what they should not: what one side breaks does not look whole to the other."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from backends import PATIENCE
from gateways import Running, config_of, eventually
from passages import OPEN, Backend, Came, ask, connection, get, passage, serving
from upstreams import listening, respond

IMPATIENT = {"timeout": {"idle": "200ms"}}

# More than all buffers between two sockets of the loopback and in the gateway hold.
MUCH = 64 * 1024 * 1024


async def until(is_it: Callable[[], bool]) -> None:
    async def look() -> bool:
        return is_it()

    await eventually(look, bool)


def code_of(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    return str(json.loads(body)["code"])


class TestSmugglesARequest:
    @pytest.mark.parametrize(
        "fields",
        [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 4\r\nContent-Length: 4",
            "Content-Length: 4, 4",
            "Content-Length: +4",
            "Content-Length: 0x4",
            "Content-Length : 4",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding:\x0bchunked",
            "Transfer-Encoding: \tchunked\x0c",
            "X: y\r\n Content-Length: 4",
            "X: y\nContent-Length: 4",
            "X: y\rContent-Length: 4",
            "X: y\x00z",
            "X y: z",
            ": z",
            "Host: b",
        ],
    )
    async def test_by_a_body_whose_end_two_servers_see_in_two_places(self, fields: str) -> None:
        """All of it is refused, and none of it is repaired or sent on."""
        async with passage() as (backend, gateway):
            request = (
                f"POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            answer = await ask(gateway, request.encode("latin-1"))
            assert answer.split()[1] == b"400" and answer.count(b"HTTP/1.") == 1
            assert not backend.came

    @pytest.mark.parametrize(
        "request_",
        [
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /?\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"GET /?a#b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \xff\r\n\r\n",
        ],
    )
    async def test_by_what_cannot_be_written_down_again(self, request_: bytes) -> None:
        """What would not arrive as it was sent is not sent at all."""
        async with passage() as (backend, gateway):
            assert (await ask(gateway, request_)).split()[1] == b"400"
            assert not backend.came

    @pytest.mark.parametrize("target", ["*", "gateway.example:443", "//", "http://other.example"])
    async def test_by_a_target_of_another_kind(self, target: str) -> None:
        """The authority of a whole URL is the gateway's, whatever it is called; the others are no paths."""
        async with passage(entry={"methods": ["OPTIONS"]}) as (backend, gateway):
            await ask(gateway, get(target, method="OPTIONS"))
            assert {came.target for came in backend.came} <= {"/", "//"}

    async def test_by_chunks_that_break_off(self) -> None:
        """Neither does the body end there upstream, nor is what follows a request."""
        async with passage() as (backend, gateway):
            backend.reads_bodies = False
            answer = await ask(
                gateway,
                get(
                    "/", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\nzz\r\nGET /x HTTP/1.1\r\n\r\n"
                ),
            )
            assert b"HTTP/1.1 400 " in answer or answer == b"" or b" 200 " in answer
            assert b"/x" not in b"".join(came.head for came in backend.came)

    async def test_by_a_body_that_looks_like_a_request(self) -> None:
        """A GET may have a body; it stays one."""
        body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        async with passage() as (backend, gateway):
            await ask(gateway, get("/", f"Content-Length: {len(body)}", body=body))
            assert [(came.target, came.body) for came in backend.came] == [("/", body)]


class TestSendsWhatIsNoAnswer:
    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: y\x01z\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: y\rz\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
            b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        ],
    )
    async def test_and_the_client_is_told_so(self, said: bytes) -> None:
        """Nothing of it goes on, and the next request gets an answer of its own."""
        async with passage(said) as (backend, gateway):
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 502 ") and code_of(answer) == "upstream_failed"
            backend.say = respond("200 OK", b"fine")
            assert (await ask(gateway, get("/"))).endswith(b"fine")

    async def test_more_than_it_announced(self) -> None:
        """The surplus is nobody's: neither of this answer nor of the next one's."""
        async with passage(respond("200 OK", b"abcHTTP/1.1 200 OK\r\n\r\nevil", length=3)) as (backend, gateway):
            assert (await ask(gateway, get("/"))).endswith(b"\r\n\r\nabc")
            backend.say = respond("200 OK", b"fine")
            assert (await ask(gateway, get("/"))).endswith(b"fine")

    @pytest.mark.parametrize(
        "said", [respond("200 OK", b"abc"), b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"]
    )
    async def test_more_after_a_while(self, said: bytes) -> None:
        """On a connection that nobody uses, such as a body that a 304 has not: it is not the answer to the next one."""
        read, written = asyncio.Event(), asyncio.Event()

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said if came.target == "/first" else respond("200 OK", b"fine"))
            if came.target == "/first":
                await read.wait()
                writer.write(respond("200 OK", b"evil"))
                await writer.drain()
                written.set()

        async with passage(serve) as (backend, gateway):
            await ask(gateway, get("/first"))
            read.set()
            await written.wait()
            await gateway.metric("pushgate_build_info")  # the gateway has been at its sockets since
            assert (await ask(gateway, get("/"))).endswith(b"fine")
            assert [came.connection for came in backend.came] == [1, 2]


class TestHangsUp:
    async def test_before_it_answers(self) -> None:
        """It is not asked again: what became of the request, nobody but the backend knows."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with passage(serve) as (backend, gateway):
            for method in ("GET", "POST"):
                answer = await ask(gateway, get("/", method=method))
                assert answer.startswith(b"HTTP/1.1 502 ") and b"Retry-After" not in answer
            assert [came.method for came in backend.came] == ["GET", "POST"]

    async def test_on_a_connection_that_was_kept(self) -> None:
        """A request that meets its end is not sent again either."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if came.target == "/second":
                writer.transport.abort()
            writer.write(respond("200 OK", b"ok"))

        async with passage(serve) as (backend, gateway):
            assert (await ask(gateway, get("/"))).endswith(b"ok")
            for method in ("POST", "GET"):
                assert (await ask(gateway, get("/second", method=method))).startswith(b"HTTP/1.1 502 ")
            assert [came.method for came in backend.came] == ["GET", "POST", "GET"]

    async def test_before_it_is_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unheard:
            port = unheard.getsockname()[1]
        config = config_of(f"http://127.0.0.1:{port}", {}, upstream={}, server={}, proxy={"/": OPEN})
        async with serving(config) as gateway:
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 502 ") and code_of(answer) == "upstream_failed"
            assert await gateway.metric("pushgate_proxy_requests_total", upstream="u", code="502") == 1

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
        ],
    )
    async def test_in_the_middle_of_a_body(self, said: bytes) -> None:
        """The client's connection ends so that it cannot take the half for the whole."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            await writer.drain()
            writer.close()

        async with passage(serve) as (_, gateway):
            for version in (b"1.1", b"1.0"):
                request = b"GET / HTTP/%s\r\nHost: a\r\n\r\n" % version
                with pytest.raises(ConnectionResetError):
                    await ask(gateway, request)


class TestStandsStill:
    async def test_the_backend_before_it_answers(self) -> None:
        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with passage(serve, entry=IMPATIENT) as (backend, gateway):
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 504 ") and code_of(answer) == "upstream_timed_out"
            await until(lambda: backend.lost == 1)

    async def test_the_backend_in_the_middle(self) -> None:
        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
            await reader.read()

        async with passage(serve, entry=IMPATIENT) as (_, gateway):
            with pytest.raises(ConnectionResetError):
                await ask(gateway, get("/"))

    async def test_not_who_is_only_slow(self) -> None:
        """As long as something moves, it may take as long as it likes."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.06)
                writer.write(b"x")

        async with passage(serve, entry=IMPATIENT) as (_, gateway):
            assert (await ask(gateway, get("/"))).endswith(b"\r\n\r\nxxxxxxxx")

    async def test_the_client_in_the_middle_of_its_body(self) -> None:
        """It is told, and the backend never sees the end of a body that had none."""
        async with passage(entry=IMPATIENT) as (backend, gateway), connection(gateway) as (reader, writer):
            writer.write(get("/", "Content-Length: 10", method="POST", body=b"half"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
            await until(lambda: backend.lost == 1)
            assert not backend.came

    async def test_a_websocket_on_which_nobody_says_anything(self) -> None:
        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.read()

        request = get("/").replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket")
        async with passage(serve, entry=IMPATIENT) as (backend, gateway):
            with pytest.raises(ConnectionResetError):
                await ask(gateway, request)
            await until(lambda: backend.lost == 1)


class TestLeaves:
    async def test_the_client_before_the_answer(self) -> None:
        """Its request ends with it."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with passage(serve) as (backend, gateway):
            async with connection(gateway) as (_, writer):
                writer.write(get("/"))
                await until(lambda: len(backend.came) == 1)
            await until(lambda: backend.lost == 1)

    async def test_the_client_in_the_middle_of_its_body(self) -> None:
        async with passage() as (backend, gateway):
            async with connection(gateway) as (_, writer):
                writer.write(get("/", "Content-Length: 10", method="POST", body=b"half"))
                await until(lambda: backend.connections == 1)
            await until(lambda: backend.lost == 1)
            assert not backend.came

    async def test_the_gateway(self) -> None:
        """What goes through it ends with it, on both sides."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            await reader.read()

        request = get("/").replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket")
        backend = Backend(serve)
        async with listening(backend.serve) as url:
            async with serving(config_of(url, {}, upstream={}, server={}, proxy={"/": OPEN})) as gateway:
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                writer.write(request)
                await reader.readuntil(b"hello")
                assert gateway.gateway.departures is not None
                await gateway.gateway.departures.finish(window=0.0, grace=0.0)
            await until(lambda: backend.lost == 1)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()


class TestNeverReads:
    async def test_the_client(self) -> None:
        """The backend is held up, instead of filling the gateway's memory; and it is not held up for ever."""
        written = 0

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH)
            while written < MUCH:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536

        async with passage(serve, entry=IMPATIENT) as (backend, gateway), connection(gateway) as (_, writer):
            writer.write(get("/"))
            await until(lambda: backend.lost == 1)
            assert 0 < written < MUCH / 2

    async def test_the_backend(self) -> None:
        """So is the client."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(PATIENCE)

        sent = 0

        async def pour(writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            while sent < MUCH:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536

        async with passage(serve, entry=IMPATIENT) as (backend, gateway), connection(gateway) as (reader, writer):
            backend.reads_bodies = False
            writer.write(get("/", f"Content-Length: {MUCH}", method="POST"))
            pouring = asyncio.ensure_future(pour(writer))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 504 ")
            assert 0 < sent < MUCH / 2
            pouring.cancel()


class TestRunsInCircles:
    async def test_a_gateway_that_passes_on_to_itself(self) -> None:
        """It notices before it has no sockets left."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address = f"127.0.0.1:{port}"
        config = config_of(f"http://{address}", {}, upstream={}, server={"listen": address}, proxy={"/": OPEN})
        async with serving(config) as gateway:
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 502 ") and b"circles" in answer
            assert await _codes(gateway) == 6


async def _codes(gateway: Running) -> float:
    return await gateway.metric("pushgate_proxy_requests_total", upstream="u", code="502")
