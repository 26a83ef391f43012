"""Clients that misbehave: whatever they do, nothing of them is left behind, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import json
import os
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from pushgate.config.gateway import Gateway as Config
from pushgate.gateway import Gateway
from pushgate.hub import Hub

DEADLINE = 12.0
HEARTBEAT = 2.0  # the shortest that may be configured
TCP_REPAIR = 19  # linux/tcp.h; Python has no name for it
SO_ATTACH_FILTER = 26  # asm-generic/socket.h; likewise

# Two heartbeats, and what a busy machine may add; three would be too many.
TWO_HEARTBEATS = 2.75 * HEARTBEAT

WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
)
SSE = "Accept: text/event-stream\r\n"
STREAMS = pytest.mark.parametrize("headers", [SSE, WEBSOCKET], ids=["sse", "websocket"])


async def soon(condition: Callable[[], Any], *, timeout: float = DEADLINE) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 (nobody tells when the last trace of a client is gone)
            await asyncio.sleep(0.005)


class Scene:
    """A gateway in this process, the hub inside it, a backend whose document may grow, and a client that behaves."""

    def __init__(self) -> None:
        self.polls: Counter[str] = Counter()
        self.padding = 0
        self.changing = True
        self.version = 0
        self.backend = web.Server(self.answer, access_log=None)
        self.hub: Hub
        self.gateway: Gateway
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.polls[request.path] += 1
        self.version += self.changing
        return web.json_response({"n": self.version, "padding": "x" * self.padding})

    def remember(self) -> None:
        """Take note of what runs now: only this may run afterwards."""
        self._tasks = asyncio.all_tasks()

    async def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return client

    async def request(self, headers: str, path: str = "/victim", **options: Any) -> socket.socket:
        client = await self.connect(**options)
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        await asyncio.get_running_loop().sock_sendall(client, request.encode())
        return client

    @asynccontextmanager
    async def streams(self, *kinds: str, **options: Any) -> AsyncIterator[list[socket.socket]]:
        """One client of each of these kinds, or of every kind, and each of them has been sent its first event."""
        with ExitStack() as stack:
            clients, already = [], self.hub.connections
            for path, headers in map(EVERY_STREAM.__getitem__, kinds or EVERY_STREAM):
                clients.append(stack.enter_context(await self.request(headers, path, **options)))
                await soon(lambda: self.hub.connections == already + len(clients))
            await self.settled()
            yield clients

    async def parked(self, path: str) -> socket.socket:
        """A client whose long poll waits for what is next; ``path`` may have more in its query."""
        client = await self.request("", f"{path}wait=0")
        cursor = re.search(rb"Pushgate-Cursor: (\S+)", await read_until(client, b"]}"))[1].decode()
        await self.send(client, f"GET {path}cursor={cursor}&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client

    async def expect_nothing_left(self) -> None:
        """No stream, no gauge, no task; and the topic is not polled any more once its linger is over."""
        await soon(lambda: self.hub.connections == 0)
        await soon(lambda: self.subscribers() == 0)
        await soon(lambda: not self._leaked())
        channels = [channel for name, channel in self.hub._channels.items() if name.startswith("/victim")]
        assert [channel.count() for channel in channels] == [0] * len(channels)
        await soon(lambda: all(channel.feed.is_idle() for channel in channels))
        await soon(lambda: not any(channel.feed.topic.is_polling for channel in channels))
        victim, control = self.polls["/victim"], self.polls["/control"]
        await soon(lambda: self.polls["/control"] >= control + 8)  # which has the same interval
        assert self.polls["/victim"] == victim, "it is still polled although nobody listens"

    def _leaked(self) -> list[asyncio.Task[Any]]:
        """Tasks that did not run before, but for this test, the backend's own and the control topic's polls."""
        return [
            task
            for task in asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
            if not task.get_name().startswith("poll /control") and not self._is_of_backend(task)
        ]

    def _is_of_backend(self, task: asyncio.Task[Any]) -> bool:
        frame = getattr(task.get_coro(), "cr_frame", None)
        return frame is not None and frame.f_locals.get("self") in self.backend.connections

    def subscribers(self) -> float:
        text = self.gateway.metrics.text().decode()
        return sum(float(value) for value in re.findall(r"^pushgate_subscribers\{.*\} (\S+)$", text, re.MULTILINE))

    def ended(self, reason: str) -> float:
        """How many connections ended so."""
        text = self.gateway.metrics.text().decode()
        pattern = rf'^pushgate_disconnects_total\{{reason="{reason}",transport=".*"\}} (\S+)$'
        return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))

    async def settled(self) -> int:
        """Return the version that stays, once everybody could have been told of it."""
        polls = self.polls["/victim"]
        await soon(lambda: self.polls["/victim"] > polls + 3)
        latest = self.hub._channels["/victim"].history.latest
        assert latest is not None and isinstance(latest.document, dict)
        return latest.document["n"]

    async def send(self, client: socket.socket, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(client, data)

    def metric(self, line: str) -> float:
        text = self.gateway.metrics.text().decode()
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    here = Scene()

    class HubInSight(Hub):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            here.hub = self

    monkeypatch.setattr("pushgate.gateway.Hub", HubInSight)
    runner = web.ServerRunner(here.backend, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    quick = {"every": "20ms", "linger": "60ms"}
    config = Config.model_validate(
        {
            "version": 1,
            "server": {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}, "heartbeat": "2s"},
            "upstreams": {"backend": {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}},
            "routes": {
                "/victim": {"upstream": "backend", "poll": quick, "emit": ["snapshot"]},
                "/control": {"upstream": "backend", "poll": {**quick, "while": "always"}},
            },
        }
    )
    async with Gateway(config).serving() as here.gateway:
        assert here.gateway.address is not None
        here.port = here.gateway.address[1]
        await soon(lambda: here.polls["/control"])
        here.remember()
        yield here
    await runner.cleanup()


async def read_to_the_end(client: socket.socket) -> bytes:
    """Return all that the server sends until it closes or cuts the connection."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(DEADLINE):
        try:
            while piece := await loop.sock_recv(client, 65536):
                received += piece
        except ConnectionError:
            pass
    return bytes(received)


async def read_until(client: socket.socket, wanted: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    received = b""
    async with asyncio.timeout(DEADLINE):
        while wanted not in received:
            piece = await loop.sock_recv(client, 65536)
            assert piece, f"closed before {wanted!r}: {received[-300:]!r}"
            received += piece
    return received


async def unplug(client: socket.socket) -> None:
    """
    Let nothing through to it any more, as if its cable were cut: its system throws away whatever comes.

    What it says itself would still get through, so all that it has said must have arrived.
    """
    await soon(lambda: not unacknowledged(client))
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # linux/filter.h: BPF_RET, 0 bytes
    try:
        client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(nothing)))
    except OSError as error:
        pytest.skip(f"this system cannot cut off a socket: {error}")


def unacknowledged(client: socket.socket) -> int:
    """Return how many segments are on their way to the server (linux/tcp.h: tcp_info)."""
    return int.from_bytes(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)[24:], sys.byteorder)


def unwritten(stream: Any) -> int:
    """Return how many bytes wait for the system to take them."""
    transport = getattr(stream, "_transport", None) or stream._conversation.transport
    return int(transport.get_write_buffer_size())


def missed_beats(stream: Any) -> int:
    """How many heartbeats fell into the time in which it takes nothing."""
    return stream._missed_beats if hasattr(stream, "_missed_beats") else stream.missed_beats


async def three_heartbeats(streams: list[Any]) -> None:
    """Wait until it was each stream's turn three times."""
    for _ in range(3):
        turns = [stream.turn for stream in streams]
        await soon(lambda turns=turns: all(one.turn != turn for one, turn in zip(streams, turns, strict=True)))


# Every way to follow a topic over a stream.
EVERY_STREAM = {
    "sse": ("/victim", SSE),
    "compressed sse": ("/victim", SSE + "Accept-Encoding: gzip\r\n"),
    "websocket": ("/victim", WEBSOCKET),
    "shared sse": ("/-/events?topic=/victim", SSE),
    "shared websocket": ("/-/ws?topic=/victim", WEBSOCKET),
}


async def read_numbers(client: socket.socket, *, until: int) -> list[int]:
    """Return the numbers of all documents that it is told, in order, up to this one."""
    received, numbers = bytearray(), list[int]()
    async with asyncio.timeout(DEADLINE):
        while until not in numbers:
            received += await asyncio.get_running_loop().sock_recv(client, 2**20)
            numbers = [int(number) for number in re.findall(rb'"n":(\d+),"padding":"x+"', received)]
    return numbers


class TestNeverReads:
    async def test_it_is_given_up(self, scene: Scene) -> None:
        """It costs a cursor and one unwritten event, never a backlog; when it takes nothing for long, it is cut."""
        scene.padding = 100_000
        with await scene.request(SSE, receive_buffer=4096), await scene.request(WEBSOCKET, receive_buffer=4096):
            await soon(lambda: scene.hub.connections == 2)
            subscribers = scene.hub.everyone()
            await soon(lambda: all(subscriber.is_paused for subscriber in subscribers))
            waiting = [unwritten(subscriber) for subscriber in subscribers]
            assert max(waiting) <= 2 * scene.padding
            version = scene.version
            await soon(lambda: scene.version > version + 20)
            for subscriber, before in zip(subscribers, waiting, strict=True):
                assert not subscriber.is_paused or unwritten(subscriber) <= before, subscriber
            await scene.expect_nothing_left()
        assert scene.ended("slow") == 2

    async def test_it_may_take_its_time(self, scene: Scene) -> None:
        """After three heartbeats it is still there; it reads what the kernel held, and one event makes it current."""
        scene.padding = 100_000
        async with scene.streams("sse", "websocket", "shared sse", "shared websocket", receive_buffer=4096) as clients:
            streams = scene.hub.everyone()
            await soon(lambda: all(missed_beats(stream) >= 3 for stream in streams))
            scene.changing = False
            assert set(scene.hub.everyone()) == set(streams)
            version = await scene.settled()
            for seen in await asyncio.gather(*(read_numbers(client, until=version) for client in clients)):
                assert seen == sorted(set(seen)), "in order, none twice"
                assert version - seen[-2] > 20, f"it was told of each: {seen}"

    async def test_nobody_else_waits_for_it(self, scene: Scene) -> None:
        """Beside it, a client that reads gets every change at once."""
        scene.padding = 100_000
        with await scene.request(SSE, receive_buffer=4096):
            await soon(lambda: scene.hub.connections == 1 and next(iter(scene.hub.everyone())).is_paused)
            seen = []
            async with ClientSession(read_bufsize=2**22) as session, asyncio.timeout(DEADLINE):
                url = f"http://127.0.0.1:{scene.port}/victim"
                async with session.get(url, headers={"Accept": "text/event-stream"}) as answer:
                    async for line in answer.content:
                        if line.startswith(b"data: ") and b'"padding"' in line:
                            seen.append(json.loads(line[6:])["n"])
                        if len(seen) == 30:
                            break
            numbers = range(seen[0], seen[0] + 400)
            assert [n for n in numbers if n in seen] == seen
        await scene.expect_nothing_left()


class TestVanishesWithoutFin:
    @STREAMS
    async def test_its_system_resets_the_connection(self, headers: str, scene: Scene) -> None:
        """A crash, or a closed lid and a reset from the router: no closing handshake of any kind."""
        clients = [await scene.request(headers) for _ in range(10)]
        await soon(lambda: scene.hub.connections == 10)
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        await scene.expect_nothing_left()

    @STREAMS
    async def test_not_a_word(self, headers: str, scene: Scene) -> None:
        """It is noticed when the next heartbeat, or the next change, finds nobody."""
        scene.changing = False
        client = await scene.request(headers)
        await soon(lambda: scene.hub.connections == 1)
        try:
            client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # in this state a close sends nothing
        except OSError as error:
            client.close()
            pytest.skip(f"only the system's administrator may close a socket in silence: {error}")
        client.close()
        await scene.expect_nothing_left()

    async def test_while_it_waits_for_a_long_poll(self, scene: Scene) -> None:
        scene.changing = False
        client = await scene.request("", "/victim?wait=0")
        answer = await read_until(client, b"]}")
        cursor = re.search(rb"Pushgate-Cursor: (\S+)", answer)[1].decode()
        parked = [await scene.request("", f"/victim?cursor={cursor}&wait=50") for _ in range(10)]
        channel = scene.hub._channels["/victim"]
        await soon(lambda: channel.count() == 10)
        for one in [client, *parked]:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        await scene.expect_nothing_left()


class TestIsUnplugged:
    async def test_it_is_noticed_within_two_heartbeats(self, scene: Scene) -> None:
        """
        Nobody says that they are gone, on whatever kind of stream; and a heartbeat had just arrived.

        Who only has nothing to say stays: at each of three heartbeats its system is all that answers.
        """
        scene.changing = False
        async with scene.streams() as silent:
            patient = scene.hub.everyone()
            beats = asyncio.create_task(three_heartbeats(patient))
            async with scene.streams() as clients:
                [*_, last] = scene.hub.everyone()
                turn = last.turn
                await soon(lambda: last.turn != turn)
                for client in clients:
                    await unplug(client)
                await soon(lambda: scene.hub.connections == len(silent), timeout=TWO_HEARTBEATS)
            await beats
            assert set(scene.hub.everyone()) == set(patient)
        await scene.expect_nothing_left()
        assert scene.ended("dead") == scene.ended("client") == len(EVERY_STREAM)

    async def test_while_it_is_told_of_changes(self, scene: Scene) -> None:
        """Events that come all the time, until the buffers are full, hide nothing."""
        scene.padding = 1000
        async with scene.streams() as clients:
            for client in clients:
                await unplug(client)
            await soon(lambda: scene.hub.connections == 0, timeout=TWO_HEARTBEATS)
            await scene.expect_nothing_left()
        assert scene.ended("dead") == len(EVERY_STREAM)

    async def test_while_it_waits_for_a_long_poll(self, scene: Scene) -> None:
        """Nothing is written to it, whether for one topic or for many, so the kernel asks after it."""
        scene.changing = False
        with await scene.parked("/victim?") as one, await scene.parked("/-/poll?topic=/victim&") as many:
            await soon(lambda: scene.hub.connections == 2)
            await unplug(one)
            await unplug(many)
            await soon(lambda: scene.hub.connections == 0, timeout=TWO_HEARTBEATS)
            await scene.expect_nothing_left()
        assert scene.ended("dead") == 2


class TestPromisesToPing:
    async def test_who_breaks_the_promise_is_gone(self, scene: Scene) -> None:
        """Two heartbeats without a message are too many, and a proxy's pings are none; who pings stays."""
        scene.changing = False
        kinds = "websocket", "shared websocket"
        async with scene.streams(*kinds) as silent, scene.streams(*kinds) as faithful:
            ping = frame(0x81, b'{"op":"ping"}')
            for client in (*silent, *faithful):
                await scene.send(client, ping)
                await read_until(client, b'"ack"')

            async def be_silent(client: socket.socket, friend: socket.socket) -> bytes:
                received = b""
                while not received.endswith(b"\x03\xf0no ping"):
                    received += (piece := await asyncio.get_running_loop().sock_recv(client, 65536))
                    if b'"heartbeat"' in piece:  # and not at pongs, each of which would be answered by another ping
                        await scene.send(client, frame(0x89, b"a proxy") if b"no ping" not in received else b"")
                        await scene.send(friend, ping)
                return received

            async with asyncio.timeout(DEADLINE):
                for received in await asyncio.gather(*map(be_silent, silent, faithful)):
                    assert 1 <= received.count(b'"heartbeat"') <= 2
            assert scene.hub.connections == 4, "it may still answer"
            for client in (*silent, *faithful):
                client.close()
            await scene.expect_nothing_left()
        assert scene.ended("no_ping") == scene.ended("client") == 2


class TestReconnectsTooFast:
    @pytest.mark.parametrize("headers", [SSE, WEBSOCKET, ""], ids=["sse", "websocket", "short_poll"])
    async def test_it_connects_and_leaves_without_end(self, headers: str, scene: Scene) -> None:
        """Three hundred connections, most of which end before they are answered, cost no poll of their own."""
        before = scene.polls["/victim"], scene.polls["/control"]
        for number in range(300):
            client = await scene.request(headers)
            if number % 10 == 0:
                await asyncio.get_running_loop().sock_recv(client, 1)
            client.close()
        polls = scene.polls["/victim"] - before[0]
        control = scene.polls["/control"] - before[1]
        assert polls <= control + 5
        await scene.expect_nothing_left()


def frame(opcode: int, data: bytes, *, is_masked: bool = True, length: bytes | None = None) -> bytes:
    """A WebSocket frame (RFC 6455 section 5.2); ``opcode`` is the whole first byte. The mask is all zeros."""
    mask = 0x80 if is_masked else 0
    size = bytes([mask | len(data)]) if length is None else bytes([mask | length[0]]) + length[1:]
    return bytes([opcode]) + size + (bytes(4) if is_masked else b"") + data


GARBAGE = {
    "unmasked": (frame(0x81, b"hi", is_masked=False), 1002),
    "reserved opcode": (frame(0x83, b"hi"), 1002),
    "reserved bit": (frame(0xC1, b"hi"), 1002),
    "fragmented ping": (frame(0x09, b"hi"), 1002),
    "long ping": (frame(0x89, b"x" * 126, length=b"\x7e\x00\x7e"), 1002),
    "continues nothing": (frame(0x80, b"hi"), 1002),
    "one byte of a close code": (frame(0x88, b"\x03"), 1002),
    "impossible close code": (frame(0x88, b"\x00\x01"), 1002),
    "larger than the world": (frame(0x81, b"", length=b"\x7f" + b"\x7f" * 8), 1009),
    "not UTF-8": (frame(0x81, b'{"op":"\xff"}'), 1007),
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
}


class TestSendsGarbageFrames:
    async def test_it_is_told_and_cut(self, scene: Scene) -> None:
        """A close frame says what was wrong, and the connection ends although the client never answers it."""
        with ExitStack() as stack:
            clients = [stack.enter_context(await scene.request(WEBSOCKET)) for _ in GARBAGE]
            for client in clients:
                await read_until(client, b'"snapshot"')
            scene.changing = False
            for client, (garbage, _) in zip(clients, GARBAGE.values(), strict=True):
                await scene.send(client, garbage)
            for crime, rest in zip(GARBAGE, await asyncio.gather(*map(read_to_the_end, clients)), strict=True):
                frames = re.findall(rb"\x88[\x02-\x7d]([\x00-\xff]{2})", rest)
                closes = [struct.unpack(">H", match)[0] for match in frames]
                assert GARBAGE[crime][1] in closes, f"{crime}: closed with {closes}: {rest[-200:]!r}"
            await scene.expect_nothing_left()

    async def test_noise(self, scene: Scene) -> None:
        """Whatever random bytes mean, the connection ends."""
        clients = [await scene.request(WEBSOCKET) for _ in range(20)]
        for client in clients:
            await read_until(client, b'"snapshot"')
            await asyncio.get_running_loop().sock_sendall(client, os.urandom(600))
        for client in clients:
            client.shutdown(socket.SHUT_WR)
            await read_to_the_end(client)
            client.close()
        await scene.expect_nothing_left()


class TestHalfCloses:
    @STREAMS
    async def test_a_stream_ends(self, headers: str, scene: Scene) -> None:
        """Who says that it will never say anything again has left, as far as anybody can tell."""
        with await scene.request(headers) as client:
            await read_until(client, b'"padding"')
            client.shutdown(socket.SHUT_WR)
            await read_to_the_end(client)
            await scene.expect_nothing_left()

    async def test_a_parked_client_ends(self, scene: Scene) -> None:
        scene.changing = False
        with await scene.request("", "/victim?wait=0") as client:
            answer = await read_until(client, b"]}")
            cursor = re.search(rb"Pushgate-Cursor: (\S+)", answer)[1].decode()
            with await scene.request("", f"/victim?cursor={cursor}&wait=50") as parked:
                await soon(lambda: scene.hub._channels["/victim"].count() == 1)
                parked.shutdown(socket.SHUT_WR)
                await read_to_the_end(parked)
        await scene.expect_nothing_left()


class TestSendsAHugeHeader:
    @pytest.mark.parametrize(
        "request_head",
        [
            f"GET /victim HTTP/1.1\r\nHost: x\r\nX: {'x' * 1_000_000}\r\n\r\n",
            f"GET /victim?{'x' * 1_000_000} HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /victim HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 100_000 + "\r\n",
        ],
        ids=["one field", "request line", "many fields"],
    )
    async def test_it_is_refused(self, request_head: str, scene: Scene) -> None:
        """It is told so before all of it has been read, and its connection is closed."""
        with await scene.connect() as client:
            try:
                await asyncio.get_running_loop().sock_sendall(client, request_head.encode())
            except ConnectionError:
                pass  # closed before it had said everything
            answer = await read_to_the_end(client)
            assert not answer or re.match(rb"HTTP/1\.[01] (400|414|431) ", answer), answer[:200]
        await scene.expect_nothing_left()

    async def test_one_that_never_ends(self, scene: Scene) -> None:
        """A field that goes on and on is cut off; what it sent is not kept."""
        with await scene.connect() as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"GET /victim HTTP/1.1\r\nX: ")
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(DEADLINE):
                    while True:
                        await loop.sock_sendall(client, b"x" * 65536)
        await scene.expect_nothing_left()


class TestPipelinesEverything:
    async def test_all_is_answered_in_order(self, scene: Scene) -> None:
        """Fifty requests in one breath, the last with a close, get fifty answers."""
        scene.changing = False
        paths = ["/victim", "/nothing", "/victim?wait=0", "/victim?foo=1", "/control"] * 10
        expected = [b"200", b"404", b"200", b"400", b"200"] * 10
        requests = "".join(
            f"GET {path} HTTP/1.1\r\nHost: x\r\n{'Connection: close' if last else 'X: y'}\r\n\r\n"
            for path, last in zip(paths, [False] * 49 + [True], strict=True)
        )
        with await scene.connect() as client:
            await asyncio.get_running_loop().sock_sendall(client, requests.encode())
            answers = await read_to_the_end(client)
            assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == expected
        await scene.expect_nothing_left()

    async def test_behind_a_long_poll_that_waits(self, scene: Scene) -> None:
        """What it sends while its long poll waits is answered afterwards, on the same connection."""
        scene.changing = False
        with await scene.request("", "/victim?wait=0") as client:
            cursor = re.search(rb"Pushgate-Cursor: (\S+)", await read_until(client, b"]}"))[1].decode()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, f"GET /victim?cursor={cursor}&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await soon(lambda: scene.hub._channels["/victim"].count() == 1)
            await loop.sock_sendall(client, b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            scene.changing = True
            answers = await read_to_the_end(client)
            assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"404"]
        await scene.expect_nothing_left()

    async def test_together_with_a_long_poll_that_waits(self, scene: Scene) -> None:
        """If all of it comes in one segment, aiohttp has both requests in hand: the first is not made to wait."""
        scene.changing = False
        with await scene.request("", "/victim?wait=0") as client:
            cursor = re.search(rb"Pushgate-Cursor: (\S+)", await read_until(client, b"]}"))[1].decode()
            both = f"GET /victim?cursor={cursor}&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n"
            both += "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(client, both.encode())
            answers = await read_to_the_end(client)
            assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"204", b"404"]
        await scene.expect_nothing_left()

    async def test_without_end(self, scene: Scene) -> None:
        """Who goes on sending while its long poll waits is cut off."""
        scene.changing = False
        with await scene.request("", "/victim?wait=0") as client:
            cursor = re.search(rb"Pushgate-Cursor: (\S+)", await read_until(client, b"]}"))[1].decode()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, f"GET /victim?cursor={cursor}&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await soon(lambda: scene.hub._channels["/victim"].count() == 1)
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(DEADLINE):
                    while True:
                        await loop.sock_sendall(client, b"GET /victim HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        await scene.expect_nothing_left()


class TestIgnoresTheFarewell:
    async def test_it_is_cut(self, scene: Scene) -> None:
        """Whoever is told to leave and neither answers nor closes is gone anyway, and counted as sent away."""
        scene.changing = False
        async with scene.streams():
            assert scene.gateway.departures is not None
            scene.gateway.departures.begin(window=0.0)
            await scene.expect_nothing_left()
        assert scene.ended("drained") == len(EVERY_STREAM)
