"""
Backends that misbehave: the last good document is kept, the failure has a name, the backend is left alone, and when it
is well again so is the topic.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from aiohttp import ClientSession

from pushgate.config.gateway import Gateway as Config
from pushgate.gateway import Gateway
from sidebyside import side_by_side

DEADLINE = 15.0
EVERY = 0.03

Writer = asyncio.StreamWriter


async def soon(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (neither metrics nor sockets tell when they change)
            await asyncio.sleep(0.005)


def ok(body: bytes, *fields: str, length: int | None = None) -> bytes:
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", *fields]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Backend:
    """
    An honest backend until its crime begins; each double below commits one. ``version`` is in its document.

    It closes every connection after one answer unless it is a crime to do so.
    """

    reasons: ClassVar[set[str]]  # how the failed polls are counted
    config: ClassVar[dict[str, Any]] = {}  # of the upstream

    def __init__(self) -> None:
        self.is_bad = False
        self.version = 1
        self.asked: list[float] = []  # when, since the crime began
        self.requests: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def turn_bad(self) -> None:
        self.asked.clear()
        self.is_bad = True

    async def turn_good(self) -> None:
        self.version += 1
        self.is_bad = False

    @property
    def document(self) -> dict[str, Any]:
        return {"version": self.version}

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.append(asyncio.get_running_loop().time())
            if self.is_bad:
                await self.misbehave(writer)
            else:
                writer.write(ok(json.dumps(self.document).encode(), "Connection: close"))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway had enough
        finally:
            writer.close()

    async def misbehave(self, writer: Writer) -> None:
        raise NotImplementedError


def reset(writer: Writer) -> None:
    """End a connection with a reset."""
    taken: socket.socket = writer.get_extra_info("socket")
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def until_it_hangs_up(writer: Writer) -> None:
    """Wait for the gateway to lose patience."""
    await soon(writer.transport.is_closing)


class RefusesConnection(Backend):
    reasons: ClassVar = {"connect"}

    async def turn_bad(self) -> None:
        await super().turn_bad()
        await self.stop()

    async def turn_good(self) -> None:
        await super().turn_good()
        await self.start()


class AcceptsThenSilent(Backend):
    reasons: ClassVar = {"timeout"}
    config: ClassVar = {"timeout": {"total": "150ms"}}

    async def misbehave(self, writer: Writer) -> None:
        await until_it_hangs_up(writer)


class ClosesWithoutAWord(Backend):
    reasons: ClassVar = {"connect"}

    async def misbehave(self, writer: Writer) -> None:
        pass


class SendsHalfTheBody(Backend):
    reasons: ClassVar = {"truncated"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b'{"version": 99}', length=4000))
        await writer.drain()


class SendsHalfTheChunks(Backend):
    reasons: ClassVar = {"truncated"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + b'{"version": 99}\r\n')
        await writer.drain()


class ResetsMidBody(Backend):
    reasons: ClassVar = {"truncated"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b'{"version": 99', length=4000))
        await writer.drain()
        await asyncio.sleep(0.02)  # the head must have been read, or it is a reset without an answer
        reset(writer)


class DripsForEver(Backend):
    reasons: ClassVar = {"timeout"}
    config: ClassVar = {"timeout": {"total": "150ms"}}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b"[", length=100_000))
        while not writer.transport.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)


class Answers500Forever(Backend):
    reasons: ClassVar = {"http_5xx"}

    async def misbehave(self, writer: Writer) -> None:
        body = b'{"version": 99}'
        writer.write(ok(body, "Connection: close").replace(b"200 OK", b"500 Internal Server Error"))
        await writer.drain()


class LiesAboutLength(Backend):
    """It says that there is less than it sends; the rest would be the next answer."""

    reasons: ClassVar = {"protocol", "decode"}  # as the rest comes before or after the body was read

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b'{"version": 99}', length=9))
        await writer.drain()


class NeverEndingBody(Backend):
    reasons: ClassVar = {"too_large"}
    config: ClassVar = {"max_body": "100KB"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
            await writer.drain()


class GzipBomb(Backend):
    reasons: ClassVar = {"too_large"}
    config: ClassVar = {"max_body": "1MB"}
    bomb: ClassVar = gzip.compress(bytes(100_000_000), compresslevel=1)

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(self.bomb, "Content-Encoding: gzip"))
        await writer.drain()


class IsNotGzipAtAll(Backend):
    reasons: ClassVar = {"decode", "protocol", "truncated"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b'{"version": 99}', "Content-Encoding: gzip"))
        await writer.drain()


class RedirectLoop(Backend):
    reasons: ClassVar = {"protocol"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b"", "Connection: close", "Location: /document").replace(b"200 OK", b"302 Found"))
        await writer.drain()


class SwitchesToHtml(Backend):
    reasons: ClassVar = {"decode"}

    async def misbehave(self, writer: Writer) -> None:
        page = ok(b"<!doctype html><title>Sorry</title>We are back soon.", "Connection: close")
        writer.write(page.replace(b"application/json", b"text/html"))
        await writer.drain()


class HugeHeaders(Backend):
    reasons: ClassVar = {"protocol"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(ok(b'{"version": 99}', f"X: {'x' * 2_000_000}", "Connection: close"))
        await writer.drain()


class SpeaksAnotherProtocol(Backend):
    reasons: ClassVar = {"protocol"}

    async def misbehave(self, writer: Writer) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        await writer.drain()


class TellsToWait(Backend):
    """Too many requests: the gateway comes back when it is told to."""

    reasons: ClassVar = {"rate_limited"}

    async def misbehave(self, writer: Writer) -> None:
        head = ok(b"{}", "Retry-After: 1", "Connection: close")
        writer.write(head.replace(b"200 OK", b"429 Too Many Requests"))
        await writer.drain()


CRIMES = [
    RefusesConnection,
    AcceptsThenSilent,
    ClosesWithoutAWord,
    SendsHalfTheBody,
    SendsHalfTheChunks,
    ResetsMidBody,
    DripsForEver,
    Answers500Forever,
    LiesAboutLength,
    NeverEndingBody,
    GzipBomb,
    IsNotGzipAtAll,
    RedirectLoop,
    SwitchesToHtml,
    HugeHeaders,
    SpeaksAnotherProtocol,
    TellsToWait,
]


class Scene:
    """A gateway in this process in front of one bad backend."""

    def __init__(self, gateway: Gateway, session: ClientSession) -> None:
        assert gateway.address is not None
        self.gateway = gateway
        self.session = session
        self.url = f"http://127.0.0.1:{gateway.address[1]}/document"

    async def get(self) -> tuple[int, str, Any]:
        async with self.session.get(self.url) as answer:
            return answer.status, answer.headers.get("Pushgate-State", ""), await answer.json(content_type=None)

    async def until(self, state: str) -> Any:
        """Ask until the topic is in this state; return the document."""
        async with asyncio.timeout(DEADLINE):
            while True:
                status, now, document = await self.get()
                assert status == 200, document
                if now == state:
                    return document
                await asyncio.sleep(0.005)

    def failures(self) -> dict[str, int]:
        pattern = r'^pushgate_poll_failures_total\{reason="(\w+)",route="/document"\} (\S+)$'
        found = re.findall(pattern, self.gateway.metrics.text().decode(), re.MULTILINE)
        return {reason: int(float(count)) for reason, count in found}

    async def until_failures(self, count: int) -> None:
        await soon(lambda: sum(self.failures().values()) >= count)


Stage = Callable[[Backend], Awaitable[Scene]]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with asyncio.timeout(50), ClientSession() as session:
        backends: list[Backend] = []
        running: list[Any] = []

        async def set_up(backend: Backend) -> Scene:
            await backend.start()
            backends.append(backend)
            url = f"http://127.0.0.1:{backend.port}"
            config = {
                "version": 1,
                "server": {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}},
                "upstreams": {"bad": {"url": url, **backend.config}},
                "routes": {"/document": {"upstream": "bad", "poll": {"every": f"{round(EVERY * 1000)}ms"}}},
            }
            serving = Gateway(Config.model_validate(config)).serving()
            gateway = await serving.__aenter__()
            running.append(serving)
            return Scene(gateway, session)

        yield set_up
        for serving in running:
            await serving.__aexit__(None, None, None)
        for backend in backends:
            await backend.stop()


class TestAnyCrime:
    async def test_the_last_good_document_is_kept(self, stage: Stage, subtests: pytest.Subtests) -> None:
        """It is counted under its reason, announced as stale, asked less and less, and believed again at once."""
        await side_by_side(subtests, {crime.__name__: self._is_kept(crime, stage) for crime in CRIMES})

    async def _is_kept(self, crime: type[Backend], stage: Stage) -> None:
        backend = crime()
        scene = await stage(backend)
        assert await scene.until("live") == {"version": 1}
        assert scene.failures() == {}

        await backend.turn_bad()
        assert await scene.until("stale") == {"version": 1}
        await scene.until_failures(4 if crime is not TellsToWait else 2)
        assert set(scene.failures()) <= crime.reasons
        assert (await scene.get())[2] == {"version": 1}
        gaps = [after - before for before, after in pairwise(backend.asked)]
        if crime is TellsToWait:
            assert all(gap > 0.9 for gap in gaps)
        elif crime is not RefusesConnection:  # which nobody could ask
            assert max(gaps) > 2 * EVERY, f"asked every {gaps}"

        await backend.turn_good()
        assert await scene.until("live") == {"version": 2}
        failures = scene.failures()
        requests = len(backend.requests)
        await soon(lambda: len(backend.requests) >= requests + 3)
        assert scene.failures() == failures

    @pytest.mark.parametrize("crime", CRIMES, ids=lambda crime: crime.__name__)
    async def test_a_topic_that_never_had_a_document(self, crime: type[Backend], stage: Stage) -> None:
        """There is nothing to serve, so 502 or 504 with ``Retry-After``; and the document when there is one."""
        backend = crime()
        scene = await stage(backend)
        await backend.turn_bad()
        async with scene.session.get(scene.url) as answer:
            problem = await answer.json(content_type=None)
            assert answer.status == (504 if crime.reasons == {"timeout"} else 502), problem
            assert problem["code"] in ("upstream_failed", "upstream_timed_out")
            assert int(answer.headers["Retry-After"]) >= 1
        await backend.turn_good()
        async with asyncio.timeout(DEADLINE):
            while (answered := await scene.get())[0] != 200:
                pass
        assert answered == (200, "live", {"version": 2})


class SaysNotModifiedToEverything(Backend):
    """It has an ETag and says 304 to whoever shows one, whatever became of the document."""

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            self.requests.append(head)
            if self.is_bad or b"if-none-match" in head:
                writer.write(b'HTTP/1.1 304 Not Modified\r\nETag: "always"\r\nConnection: close\r\n\r\n')
            else:
                writer.write(ok(json.dumps(self.document).encode(), 'ETag: "always"', "Connection: close"))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class TestNotModified:
    async def test_it_is_not_believed_for_ever(self, stage: Stage) -> None:
        """After some 304 in a row the document is fetched in full, so a change is seen all the same."""
        backend = SaysNotModifiedToEverything()
        scene = await stage(backend)
        assert await scene.until("live") == {"version": 1}
        backend.version = 2
        async with asyncio.timeout(DEADLINE):
            while (await scene.get())[2] != {"version": 2}:
                pass
        unconditional = sum(b"if-none-match" not in head for head in backend.requests)
        assert unconditional * 5 < len(backend.requests), "it is hardly ever asked conditionally"

    async def test_304_to_somebody_who_showed_nothing(self, stage: Stage) -> None:
        """There is no document that it could mean, so the poll has failed."""
        backend = SaysNotModifiedToEverything()
        backend.is_bad = True
        scene = await stage(backend)
        status, _, problem = await scene.get()
        assert (status, problem["code"]) == (502, "upstream_failed")
        await scene.until_failures(1)
        assert set(scene.failures()) == {"protocol"}

    async def test_304_even_to_the_request_for_the_whole(self, stage: Stage) -> None:
        """A backend that refuses to show the document at all has stopped to vouch for it."""
        backend = SaysNotModifiedToEverything()
        scene = await stage(backend)
        assert await scene.until("live") == {"version": 1}
        backend.is_bad = True
        assert await scene.until("stale") == {"version": 1}
        assert set(scene.failures()) == {"protocol"}
