"""
Taking sockets over from aiohttp and giving them back, pinned to the installed aiohttp, on both event loops.

handover.py uses what aiohttp does not promise. If a new version fails here, it must not be installed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import ssl
import subprocess
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from pushgate.adapters.downstream.handover import (
    NOTSENT_BYTES,
    TakenOver,
    give_back,
    listen,
    take_over,
    take_over_upgraded,
)
from pushgate.adapters.downstream.heads import Server

DEADLINE = 10.0
HEARTBEAT = 7.0

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass
class Owner:
    """Whoever has the socket after aiohttp; writes down what the transport says."""

    transport: asyncio.Transport | None = None
    received: bytearray = field(default_factory=bytearray)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    pauses: int = 0
    resumes: int = 0

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.heard.set()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.resumes += 1


class Silent(asyncio.Transport):
    """A connection on which nothing happens; writes down what is asked about it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        self.asked.append(name)
        return default

    def close(self) -> None: ...


class Gate:
    """A server that hands the sockets of ``/stream``, ``/upgrade`` and ``/park`` over, and answers everything else."""

    def __init__(self) -> None:
        self.server = Server(self.handle, access_log=None)
        self.owners: list[Owner] = []
        self.requests: list[weakref.ref[Any]] = []
        self.tail = b""
        self.parked = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(weakref.ref(request))
        if request.path not in ("/stream", "/upgrade", "/park"):
            return web.Response(text=f"answer to {request.path}")
        owner = Owner()
        self.owners.append(owner)
        if request.path == "/upgrade":
            owner.transport, self.tail = take_over_upgraded(request, owner)
        else:
            owner.transport = take_over(request, owner)
        if owner.transport is None:
            return TakenOver()
        if request.path == "/stream":
            owner.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        elif request.path == "/upgrade":
            owner.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        self.parked.set()
        return TakenOver()

    def is_forgotten(self) -> bool:
        """Whether aiohttp holds nothing any more of the requests and connections that there were."""
        gc.collect()
        handlers = [one for one in gc.get_objects() if issubclass(type(one), web.RequestHandler)]
        return self.server.connections == [] and handlers == [] and not any(ref() for ref in self.requests)

    def answer(self, owner: Owner, text: bytes) -> None:
        """Answer a parked request and let aiohttp read on."""
        assert owner.transport is not None
        self.parked.clear()
        owner.transport.set_write_buffer_limits()
        owner.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        give_back(owner.transport, self.server, bytes(owner.received))


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Gate, Connect]]:
    """A gate, and how to connect to it."""
    gate = Gate()
    runner = web.ServerRunner(gate.server, shutdown_timeout=0.1)
    await runner.setup()
    listener = listen("127.0.0.1", 0, heartbeat=HEARTBEAT)
    port = listener.getsockname()[1]
    await web.SockSite(runner, listener, ssl_context=tls).start()

    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        trusting = None
        if tls is not None:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        writers.append(writer)
        return reader, writer

    try:
        yield gate, connect
    finally:
        for owner in gate.owners:
            if owner.transport is not None:
                owner.transport.abort()
        for writer in writers:
            await hang_up(writer)
        await runner.cleanup()


async def soon(condition: Callable[[], Any]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (what is waited for is in aiohttp's hands and tells nobody)
            await asyncio.sleep(0.001)


async def ask(writer: asyncio.StreamWriter, path: str, *, behind: bytes = b"", headers: str = "") -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + behind)
    await writer.drain()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer with a Content-Length and return its body."""
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return await reader.readexactly(int(length.split(b":")[1]))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass  # whoever was cut off need not say goodbye


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on one of the two event loops; no task may be left over."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    async def clean(test: Coroutine[Any, Any, None]) -> None:
        await test
        await soon(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    def on_the_loop(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(clean(test))

    return on_the_loop


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's TLS with a certificate that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


class TestStream:
    def test_the_socket_is_ours_and_aiohttp_forgets_it(self, run: Any) -> None:
        """What we write is all that is on the wire; aiohttp has no connection, request, handler or task any more."""

        async def test() -> None:
            async with serving() as (gate, connect):
                before = asyncio.all_tasks()
                reader, writer = await connect()
                await ask(writer, "/stream")
                await soon(lambda: gate.owners)
                [owner] = gate.owners
                assert owner.transport is not None
                owner.transport.write(b"data: 1\n\n")
                expected = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: 1\n\n"
                assert await asyncio.wait_for(reader.readexactly(len(expected)), DEADLINE) == expected
                assert gate.server.connections == []
                await soon(lambda: asyncio.all_tasks() == before)
                assert gate.is_forgotten()

                writer.write(b"anything")
                await asyncio.wait_for(owner.heard.wait(), DEADLINE)
                assert owner.received == b"anything"
                await hang_up(writer)
                await asyncio.wait_for(owner.lost.wait(), DEADLINE)

        run(test())

    def test_the_writer_is_paused_by_the_first_byte_that_must_wait(self, run: Any) -> None:
        """A client that does not read pauses its writer, and resumes it when it has read everything."""

        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                await ask(writer, "/stream")
                await soon(lambda: gate.owners)
                [owner] = gate.owners
                assert owner.transport is not None
                written = 0
                while not owner.pauses:
                    owner.transport.write(b"x" * 65536)
                    written += 65536
                    await asyncio.sleep(0)
                    assert written < 2**26, "it was never paused"
                assert (owner.pauses, owner.resumes) == (1, 0)
                assert owner.transport.get_write_buffer_size() <= 65536
                async with asyncio.timeout(DEADLINE):
                    await reader.readexactly(written)
                await soon(lambda: owner.resumes == 1)
                await hang_up(writer)
                await asyncio.wait_for(owner.lost.wait(), DEADLINE)

        run(test())

    def test_a_client_that_has_left_is_not_taken_over(self, run: Any) -> None:
        """Whoever closed while its request was being looked at leaves nothing behind."""

        async def test() -> None:
            released = asyncio.Event()
            outcome: list[Any] = []

            async def handle(request: web.BaseRequest) -> web.StreamResponse:
                request.transport.close()
                await released.wait()
                outcome.append(take_over(request, Owner()))
                return TakenOver()

            server = Server(handle, access_log=None, handler_cancellation=False)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            listener = listen("127.0.0.1", 0, heartbeat=HEARTBEAT)
            await web.SockSite(runner, listener).start()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await ask(writer, "/")
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
            released.set()
            await soon(lambda: outcome)
            assert outcome == [None]
            await hang_up(writer)
            await runner.cleanup()

        run(test())


class TestUpgrade:
    def test_what_was_sent_right_behind_the_handshake_is_not_lost(self, run: Any) -> None:
        """The bytes that came with the request are returned, those that come later go to the new owner."""

        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                headers = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                early = bytes(range(256)) * 4
                await ask(writer, "/upgrade", headers=headers, behind=early)
                async with asyncio.timeout(DEADLINE):
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
                writer.write(b"later")
                [owner] = gate.owners
                await soon(lambda: gate.tail + owner.received == early + b"later")
                assert gate.tail == early
                assert gate.server.connections == []
                await hang_up(writer)
                await asyncio.wait_for(owner.lost.wait(), DEADLINE)

        run(test())

    def test_nothing_behind_the_handshake(self, run: Any) -> None:
        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                await ask(writer, "/upgrade", headers="Upgrade: websocket\r\nConnection: Upgrade\r\n")
                async with asyncio.timeout(DEADLINE):
                    await reader.readuntil(b"\r\n\r\n")
                assert gate.tail == b""
                writer.write(b"\x81")
                await asyncio.wait_for(gate.owners[0].heard.wait(), DEADLINE)
                assert gate.owners[0].received == b"\x81"
                await hang_up(writer)

        run(test())


class TestGivingBack:
    def test_four_requests_on_one_connection(self, run: Any) -> None:
        """A connection goes to and fro, and between two waits aiohttp answers on it by itself."""

        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                for number in range(4):
                    await ask(writer, "/park")
                    await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                    assert gate.server.connections == []
                    gate.answer(gate.owners[-1], b"parked %d" % number)
                    assert await read_answer(reader) == b"parked %d" % number
                    assert len(gate.server.connections) == 1
                    await ask(writer, "/plain")
                    assert await read_answer(reader) == b"answer to /plain"
                await hang_up(writer)
                await soon(lambda: gate.server.connections == [])

        run(test())

    def test_a_request_that_was_sent_ahead_is_answered_afterwards(self, run: Any) -> None:
        """A request that arrives in pieces before and after the socket goes back is whole again."""

        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                await ask(writer, "/park")
                await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                [owner] = gate.owners
                writer.write(b"GET /second HTTP/1.1\r\nHo")
                await soon(lambda: owner.received)
                gate.answer(owner, b"first")
                assert await read_answer(reader) == b"first"
                writer.write(b"st: x\r\n\r\n")
                assert await read_answer(reader) == b"answer to /second"
                await hang_up(writer)

        run(test())

    def test_several_requests_that_were_sent_ahead(self, run: Any) -> None:
        """Pipelined requests wait in the owner's hands, and aiohttp gets them with the socket."""

        async def test() -> None:
            async with serving() as (gate, connect):
                reader, writer = await connect()
                plain = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\nGET /third HTTP/1.1\r\nHost: x\r\n\r\n"
                await ask(writer, "/park")
                await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                [owner] = gate.owners
                writer.write(plain)
                await soon(lambda: bytes(owner.received) == plain)
                gate.answer(owner, b"first")
                answers = [await read_answer(reader) for _ in range(3)]
                assert answers == [b"first", b"answer to /second", b"answer to /third"]
                await hang_up(writer)

        run(test())

    def test_the_client_leaves_while_it_is_parked(self, run: Any) -> None:
        """Nothing is left: no connection, no task, no object of aiohttp's."""

        async def test() -> None:
            async with serving() as (gate, connect):
                before = asyncio.all_tasks()
                for _ in range(20):
                    gate.parked.clear()
                    _, writer = await connect()
                    await ask(writer, "/park")
                    await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                    await hang_up(writer)
                async with asyncio.timeout(DEADLINE):
                    for owner in gate.owners:
                        await owner.lost.wait()
                await soon(lambda: asyncio.all_tasks() == before)
                assert gate.is_forgotten()

        run(test())


class TestTls:
    def test_a_stream_and_a_parked_request(self, run: Any, tls: ssl.SSLContext) -> None:
        """The same over TLS, where the transport is the TLS layer's."""

        async def test() -> None:
            async with serving(tls) as (gate, connect):
                reader, writer = await connect()
                await ask(writer, "/park")
                await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                gate.answer(gate.owners[-1], b"parked")
                assert await read_answer(reader) == b"parked"
                await ask(writer, "/stream")
                await asyncio.wait_for(gate.parked.wait(), DEADLINE)
                owner = gate.owners[-1]
                assert owner.transport is not None
                owner.transport.write(b"data: 1\n\n")
                expected = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: 1\n\n"
                assert await asyncio.wait_for(reader.readexactly(len(expected)), DEADLINE) == expected
                assert gate.server.connections == []
                await hang_up(writer)
                await asyncio.wait_for(owner.lost.wait(), DEADLINE)

        run(test())


class TestListener:
    def test_every_connection_inherits_the_options(self, run: Any) -> None:
        """Set once on the listener, they cost nothing per connection."""

        async def test() -> None:
            async with serving() as (gate, connect):
                _, writer = await connect()
                await ask(writer, "/stream")
                await soon(lambda: gate.owners)
                transport = gate.owners[0].transport
                assert transport is not None
                accepted = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
                with accepted:
                    options = {
                        "TCP_NODELAY": 1,
                        "TCP_NOTSENT_LOWAT": NOTSENT_BYTES,
                        "TCP_USER_TIMEOUT": 0,  # a stream's; it is looked after otherwise
                        "TCP_KEEPIDLE": round(HEARTBEAT / 2),
                        "TCP_KEEPINTVL": round(HEARTBEAT / 4),
                        "TCP_KEEPCNT": 4,
                    }
                    for name, value in options.items():
                        if hasattr(socket, name):
                            assert accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value, name
                    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                await hang_up(writer)

        run(test())

    @pytest.mark.parametrize(("of", "asked"), [(Server, []), (web.Server, ["socket"])], ids=["ours", "aiohttp"])
    def test_no_option_is_set_on_an_accepted_socket(self, run: Any, of: type[web.Server], asked: list[str]) -> None:
        """aiohttp by itself asks for each socket, to set what the listener has already passed on."""

        async def test() -> None:
            async def handle(request: web.BaseRequest) -> web.StreamResponse:
                raise AssertionError("nothing is asked for")

            server = of(handle, access_log=None, tcp_keepalive=False)
            handler, transport = server(), Silent()
            handler.connection_made(transport)
            assert transport.asked == asked
            assert handler.transport is transport and server.connections == [handler]
            handler.connection_lost(None)
            await soon(lambda: server.connections == [])

        run(test())

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no TCP_USER_TIMEOUT")
    @pytest.mark.parametrize("heartbeat", [2.0, 2.4, 3.0, 4.9, 5.0, 7.0, 15.0, 30.0, 100.0, 900.0])
    def test_the_kernel_gives_up_within_two_heartbeats(self, heartbeat: float) -> None:
        """It asks a connection that is never written to at least twice; the last question may come a little late."""
        with listen("127.0.0.1", 0, heartbeat=heartbeat) as listener:

            def option(name: str) -> int:
                return listener.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

            questions, now = 1, option("TCP_KEEPIDLE")
            while now < option("TCP_USER_TIMEOUT") / 1000 + 0.05:  # tcp_keepalive_timer() of Linux
                questions, now = questions + 1, now + option("TCP_KEEPINTVL")
            assert questions > 2 and now < 2 * heartbeat, "the last one is not asked any more"

    def test_ipv6(self) -> None:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        try:
            listener = listen("::1", 0, heartbeat=HEARTBEAT)
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        with listener:
            assert listener.family is socket.AF_INET6
