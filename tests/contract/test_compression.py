"""Compression, once: who offers it hears the same as everybody else, and nothing is compressed twice for it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import re
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

import pushgate.packing
import pushgate.reception
from backends import ScriptedBackend
from gateways import EVERY_MODE, Running, eventually, http_client, route, running_gateway
from pushgate.adapters.downstream.conversation import MAX_MESSAGE_BYTES
from slowclients import EVENT_STREAM, UPGRADE, RawClient, client_frame, raw_client, read_frames, status_of
from transports import RESUMABLE, connected, see_through

GZIP = "Accept-Encoding: gzip\r\n"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TAKEN = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"

# Clients with a receive buffer that takes everything: nobody here is slow.
ROOMY = 2**20

ROUTES = {
    "/t": route(emit=EVERY_MODE, key="id", poll={"every": "20ms", "linger": "1m"}),
    "/raw": route(short_poll="raw", emit=["snapshot"]),
}


def rows(n: int, *, count: int = 150) -> list[dict[str, Any]]:
    """The n-th document: a snapshot that is worth to be compressed, and patches of which some are."""
    return [{"id": f"row-{k}", "value": n if k % (1 + n % 4) == 0 else 0, "name": f"é {k}"} for k in range(count)]


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    backend.serve(rows(0))
    async with running_gateway(backend, ROUTES, server={"heartbeat": "1h"}) as running:  # which would be each one's own
        async with http_client(base_url=running.base, headers={"Accept-Encoding": "identity"}) as first:
            await first.get("/t")  # so that the topic is live when the test begins
        yield running


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(base_url=gateway.base) as opened:
        yield opened


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that is compressed, in its order."""
    seen: list[bytes] = []
    deflate = pushgate.packing.deflate

    def watched(data: bytes) -> bytes:
        seen.append(data)
        return deflate(data)

    monkeypatch.setattr(pushgate.packing, "deflate", watched)
    return seen


# Streams: the same, event by event.


class Spoken:
    """A stream of bare bytes, and what of it can be read so far."""

    def __init__(self, raw: RawClient, read: Callable[[bytes], bytes]) -> None:
        self._raw = raw
        self._read = read

    @property
    def text(self) -> bytes:
        return self._read(self._raw.body)

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.text:
            assert await self._raw.read(), f"the end, and no {mark!r}"
        return self.text


def gunzipped(body: bytes) -> bytes:
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body)


def as_it_is(body: bytes) -> bytes:
    return body


def messages(body: bytes) -> bytes:
    """Return all whole messages of a WebSocket, one a line, whether they are compressed or not."""
    return b"".join([_inflated(payload) + b"\n" for payload in _payloads(body)])


def _payloads(body: bytes) -> list[tuple[bool, bytes]]:
    """Return the whole messages, and whether RSV1 says that they are compressed (RFC 7692 section 6)."""
    found, start = [], 0
    for _, payload in read_frames(body):
        found.append((bool(body[start] & 0x40), payload))
        start += 2 + (0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8) + len(payload)
    return found


def _inflated(message: tuple[bool, bytes]) -> bytes:
    is_compressed, payload = message
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(payload + b"\0\0\xff\xff") if is_compressed else payload


STREAMS = {
    "sse": ("", EVENT_STREAM, GZIP, gunzipped, as_it_is),
    "sse framing=message": ("&framing=message", EVENT_STREAM, GZIP, gunzipped, as_it_is),
    "websocket": ("", UPGRADE, DEFLATE, messages, messages),
}


async def listen(stack: AsyncExitStack, port: int, path: str, fields: str, read: Callable[[bytes], bytes]) -> Spoken:
    raw = await stack.enter_async_context(raw_client(port, receive_buffer=ROOMY))
    await raw.ask(path, fields)
    await raw.read_until(b"\r\n\r\n")
    return Spoken(raw, read)


@pytest.mark.parametrize("mode", EVERY_MODE)
@pytest.mark.parametrize("stream", STREAMS)
async def test_both_hear_the_same(backend: ScriptedBackend, gateway: Running, stream: str, mode: str) -> None:
    """Byte for byte, but for the ``retry`` that is each client's own; and every event can be read when it is there."""
    query, fields, offer, read, read_plain = STREAMS[stream]
    path = f"/t?emit={mode}{query}"
    async with AsyncExitStack() as stack:
        plain = await listen(stack, gateway.port, path, fields, read_plain)
        packed = await listen(stack, gateway.port, path, fields + offer, read)
        for n in range(1, 12):
            await plain.until(b'"value":%d' % (n - 1))
            await packed.until(b'"value":%d' % (n - 1))
            backend.serve({row["id"]: row for row in rows(n)} if mode == "merge" else rows(n))
        texts = [await plain.until(b'"value":11'), await packed.until(b'"value":11')]
    said, same = (re.sub(rb"^retry: \d+\n", b"", text) for text in texts)
    assert said == same
    told = re.findall(rb'(?:event: |"event":")(\w+)', said)
    assert told[0] == b"snapshot" and told.count(mode.encode()) >= 3


@pytest.mark.parametrize("stream", STREAMS)
async def test_a_compressed_stream_is_shorter(gateway: Running, stream: str) -> None:
    query, fields, offer, read, read_plain = STREAMS[stream]
    async with AsyncExitStack() as stack:
        plain = await listen(stack, gateway.port, f"/t?{query}", fields, read_plain)
        packed = await listen(stack, gateway.port, f"/t?{query}", fields + offer, read)
        await plain.until(b'"row-149"')
        await packed.until(b'"row-149"')
        assert len(packed._raw.body) < len(plain._raw.body) / 3


async def test_what_a_compressed_stream_says(gateway: Running) -> None:
    """SSE is ``Content-Encoding: gzip``; a WebSocket agrees to an extension; neither is said to whoever did not ask."""
    async with AsyncExitStack() as stack:
        opened = [
            (await listen(stack, gateway.port, "/t", fields, as_it_is))._raw.head
            for fields in (EVENT_STREAM, EVENT_STREAM + GZIP, UPGRADE, UPGRADE + DEFLATE)
        ]
    plain, packed, socket, packed_socket = opened
    assert "\r\nContent-Encoding: gzip" in packed and "no-transform" in packed
    assert f"\r\n{TAKEN}\r\n" in f"{packed_socket}\r\n"
    assert "Content-Encoding" not in plain and "Extensions" not in socket


# Connections for many topics, whose name is in every envelope; on SSE a position of all of them is put in between.
SHARED = {
    "/-/events": ("/-/events?topic=/t", EVENT_STREAM, GZIP, gunzipped, as_it_is),
    "/-/events framing=message": ("/-/events?topic=/t&framing=message", EVENT_STREAM, GZIP, gunzipped, as_it_is),
    "/-/ws": ("/-/ws?topic=/t", UPGRADE, DEFLATE, messages, messages),
}


@pytest.mark.parametrize("stream", SHARED)
async def test_both_hear_the_same_where_many_topics_may_be(
    backend: ScriptedBackend, gateway: Running, stream: str
) -> None:
    path, fields, offer, read, read_plain = SHARED[stream]
    async with AsyncExitStack() as stack:
        plain = await listen(stack, gateway.port, path, fields, read_plain)
        packed = await listen(stack, gateway.port, path, fields + offer, read)
        for n in range(1, 8):
            await plain.until(b'"value":%d' % (n - 1))
            await packed.until(b'"value":%d' % (n - 1))
            backend.serve(rows(n))
        texts = [await plain.until(b'"value":7'), await packed.until(b'"value":7')]
    said, same = (re.sub(rb"^retry: \d+\n", b"", text) for text in texts)
    assert said == same
    assert said.count(b'"topic":"/t"') == 8


async def test_the_last_words_can_be_read(backend: ScriptedBackend) -> None:
    """A drain ends a compressed stream with ``retry`` and a heartbeat that are readable, as it ends any."""
    backend.serve(rows(0))
    async with AsyncExitStack() as stack:
        async with running_gateway(backend, ROUTES) as gateway:
            packed = await listen(stack, gateway.port, "/t", EVENT_STREAM + GZIP, gunzipped)
            await packed.until(b'"row-149"')
        await packed._raw.read_all()
        assert re.search(rb"\n\nretry: \d+\nid: \S+\nevent: heartbeat\ndata: \{.*\}\n\n\Z", packed.text)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_slow_client_catches_up_compressed(backend: ScriptedBackend, gateway: Running, transport: str) -> None:
    """Disconnects, resumes and cursors from elsewhere are the same with compression, which these clients offer."""
    async with connected(transport, gateway.base, "/t", emit="patch") as one:
        await see_through([one], rows(0))
        await one.disconnect()
        for n in (1, 2, 3):
            backend.serve(rows(n))
            await backend.polled(2)
        await one.reconnect()
        await see_through([one], rows(3))


# Once.


async def test_an_event_is_compressed_once(backend: ScriptedBackend, gateway: Running, compressed: list[bytes]) -> None:
    """However many get it, over whatever transport; those who come later get what there is."""
    async with AsyncExitStack() as stack:
        everybody = [
            await listen(stack, gateway.port, f"/t?emit=snapshot{query}", fields + offer, read)
            for query, fields, offer, read, _ in [*STREAMS.values()] * 5
        ]
        for n in range(1, 4):
            for one in everybody:
                await one.until(b'"value":%d' % (n - 1))
            backend.serve(rows(n))
        for one in everybody:
            await one.until(b'"value":3')
        async with http_client(base_url=gateway.base) as client:
            for path in ("/t", "/t?wait=0", "/t"):
                assert (await client.get(path)).headers["Content-Encoding"] == "gzip"
    assert len(compressed) == len(set(compressed)) == 4


async def test_nothing_is_compressed_for_nobody(
    backend: ScriptedBackend, gateway: Running, compressed: list[bytes]
) -> None:
    async with AsyncExitStack() as stack:
        for query, fields, _, _, read in STREAMS.values():
            one = await listen(stack, gateway.port, f"/t?{query}", fields, read)
            await one.until(b'"row-149"')
        async with http_client(base_url=gateway.base, headers={"Accept-Encoding": "identity"}) as client:
            for path in ("/t", "/t?wait=0"):
                assert "Content-Encoding" not in (await client.get(path)).headers
        backend.serve(rows(1))
        await one.until(b'"value":1')
    assert compressed == []


async def test_what_is_small_is_not_compressed(
    backend: ScriptedBackend, gateway: Running, compressed: list[bytes]
) -> None:
    """Nor is the body of a poll, which then says so."""
    backend.serve({"n": 1})
    async with connected("sse", gateway.base, "/t") as one, http_client(base_url=gateway.base) as client:
        await one.follow({"n": 1})
        before = len(compressed)
        for path in ("/t", "/t?wait=0"):
            answer = await client.get(path)
            assert answer.status_code == 200 and "Content-Encoding" not in answer.headers
        assert len(compressed) == before
        assert all(len(data) >= pushgate.packing.MIN_BYTES for data in compressed)


# Whole bodies.


async def body_of(port: int, path: str, fields: str, *, method: str = "GET") -> tuple[httpx.Headers, bytes]:
    """Ask with bare bytes, so that nothing is decompressed behind our back."""
    async with raw_client(port, receive_buffer=ROOMY) as raw:
        await raw.ask(path, fields + "Connection: close\r\n", method=method)
        await raw.read_all()
        assert status_of(raw.head) == 200
        return httpx.Headers([line.split(": ", 1) for line in raw.head.split("\r\n")[1:]]), raw.body


@pytest.mark.parametrize("path", ["/t", "/t?wait=0", "/raw"])
async def test_a_body_is_the_same_compressed(gateway: Running, path: str) -> None:
    """One whole gzip file; the weak ETag and the cursor are those of the same document."""
    plain_fields, plain = await body_of(gateway.port, path, "")
    fields, body = await body_of(gateway.port, path, GZIP)
    assert "Content-Encoding" not in plain_fields and fields["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == plain
    assert len(body) == int(fields["Content-Length"]) < len(plain) / 2
    for name in ("ETag", "Pushgate-Cursor", "Content-Type", "Vary"):
        assert fields.get(name) == plain_fields.get(name)
    assert "Accept-Encoding" in fields["Vary"]


async def test_a_parked_long_poll_is_answered_compressed(backend: ScriptedBackend, gateway: Running) -> None:
    async with http_client(base_url=gateway.base, params={"emit": "snapshot"}) as client:
        cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
        waiting = asyncio.create_task(client.get("/t", params={"cursor": cursor, "wait": "20", "emit": "snapshot"}))
        await backend.polled(2)
        backend.serve(rows(1))
        answer = await waiting
    assert answer.headers["Content-Encoding"] == "gzip"
    assert [event["data"] for event in answer.json()["events"]] == [rows(1)]


async def test_head_says_what_get_would(gateway: Running) -> None:
    _, body = await body_of(gateway.port, "/t", GZIP)
    head, nothing = await body_of(gateway.port, "/t", GZIP, method="HEAD")
    assert nothing == b""
    assert (head["Content-Encoding"], head["Content-Length"]) == ("gzip", str(len(body)))


@pytest.mark.parametrize("field", ["gzip;q=0", "*;q=0", "identity", "br", "gzip;q=0.1, identity;q=0.5"])
async def test_who_declines_gets_it_as_it_is(gateway: Running, field: str) -> None:
    fields, body = await body_of(gateway.port, "/t", f"Accept-Encoding: {field}\r\n")
    assert "Content-Encoding" not in fields
    assert json.loads(body) == rows(0)


async def test_the_tag_of_either_is_good_for_both(client: httpx.AsyncClient) -> None:
    """A weak tag says that they mean the same, and they do."""
    tag = (await client.get("/t")).headers["ETag"]
    for coding in ("gzip", "identity"):
        answer = await client.get("/t", headers={"If-None-Match": tag, "Accept-Encoding": coding})
        assert (answer.status_code, answer.content) == (304, b"")
        assert "Content-Encoding" not in answer.headers


async def test_a_refusal_is_never_compressed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 404 and "Content-Encoding" not in answer.headers


# What was made in the helper process.


async def test_a_big_document_comes_compressed_from_where_it_was_made(
    backend: ScriptedBackend, compressed: list[bytes]
) -> None:
    """The loop compresses no megabytes: neither the whole document nor its patch."""
    count = pushgate.reception.BIG_BYTES // 30
    backend.serve(rows(0, count=count))
    async with (
        running_gateway(backend, {"/t": route(emit=["patch"], key="id")}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as sse,
        connected("websocket", gateway.base, "/t", emit="patch") as socket,
        http_client(base_url=gateway.base) as client,
    ):
        await see_through([sse, socket], rows(0, count=count))
        backend.serve(rows(3, count=count))
        await see_through([sse, socket], rows(3, count=count))
        assert "patch" in sse.replica.kinds
        answer = await client.get("/t")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) < len(answer.content) / 3
        assert answer.json() == rows(3, count=count)
    assert compressed == []


# What a client may compress.


@pytest.fixture
async def socket(gateway: Running) -> AsyncIterator[Any]:
    """A client that compresses everything it says, by somebody else's code."""
    factory = ClientPerMessageDeflateFactory(client_max_window_bits=True)
    url = f"ws://127.0.0.1:{gateway.port}/t"
    async with websockets.connect(url, proxy=None, compression=None, extensions=[factory]) as opened:
        yield opened


async def test_a_client_may_compress_too(socket: Any) -> None:
    """What it says is read, message after message, and large ones up to the limit."""
    assert [type(extension).__name__ for extension in socket.protocol.extensions] == ["PerMessageDeflate"]
    for ref in ("one", "two", "x" * 60_000):
        await socket.send(json.dumps({"op": "ping", "ref": ref}))
        await until_ack(socket, ref)
    await socket.send(['{"op":"ping",', '"ref":"in pieces"}'])
    await until_ack(socket, "in pieces")


async def until_ack(socket: Any, ref: str) -> None:
    async with asyncio.timeout(20):
        while (message := json.loads(await socket.recv()))["event"] != "ack":
            pass
    assert message["ref"] == ref


async def test_a_bomb_is_too_large(socket: Any) -> None:
    """The limit is that of the message and not of what it was compressed to."""
    await socket.send(json.dumps({"op": "ping", "ref": "x" * MAX_MESSAGE_BYTES}))
    with pytest.raises(websockets.ConnectionClosed):
        await until_ack(socket, "")
    assert socket.close_code == 1009


async def test_a_bomb_in_pieces_is_too_large(socket: Any) -> None:
    await socket.send(['{"op":"ping","ref":"', *["x" * 9000] * 8, '"}'])
    with pytest.raises(websockets.ConnectionClosed):
        await until_ack(socket, "")
    assert socket.close_code == 1009


@pytest.mark.parametrize(
    ("offer", "code"), [("", 1002), (DEFLATE, 1002)], ids=["it was not agreed", "it is no deflate"]
)
async def test_what_cannot_be_inflated_is_an_error(gateway: Running, offer: str, code: int) -> None:
    """And the end of this connection (RFC 7692 section 6), with nothing else lost."""
    async with raw_client(gateway.port, receive_buffer=ROOMY) as raw:
        await raw.ask("/t", UPGRADE + offer)
        await raw.read_until(b"\r\n\r\n")
        frame = bytearray(client_frame(b"\xff\xff\xff"))
        frame[0] |= 0x40
        await raw.send(bytes(frame))
        async with asyncio.timeout(20):
            while not (closes := [payload for opcode, payload in read_frames(raw.body) if opcode == 8]):
                assert await raw.read(), "the end, and no close frame"
    assert int.from_bytes(closes[0][:2], "big") == code
    async with connected("websocket", gateway.base, "/t") as other:
        await see_through([other], rows(0))


async def test_an_offer_that_cannot_be_read_is_refused(gateway: Running) -> None:
    async with raw_client(gateway.port) as raw:
        await raw.ask("/t", f"{UPGRADE}Sec-WebSocket-Extensions: permessage-deflate; =\r\n")
        await raw.read_until(b"\r\n\r\n")
        assert status_of(raw.head) == 400


# What it costs.

CONNECTIONS = 100
MOST_MORE = 1024


def memory_in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("stream", ["sse", "websocket"])
async def test_a_compressed_connection_takes_a_kilobyte_more_at_most(
    backend: ScriptedBackend, gateway: Running, stream: str
) -> None:
    """Also once it has said something, which for a WebSocket may be compressed."""
    _, fields, offer, read, read_plain = STREAMS[stream]
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    ping = deflate.compress(b'{"op":"ping"}') + deflate.flush(zlib.Z_SYNC_FLUSH)
    packed_ping = bytearray(client_frame(ping[:-4]))
    packed_ping[0] |= 0x40

    async def taken_by(offer: str, read: Callable[[bytes], bytes], ping: bytes) -> float:
        """Return the bytes that a connection takes, with the client's own end of it, which is the same for both."""
        async with AsyncExitStack() as stack:
            first = await listen(stack, gateway.port, "/t", fields + offer, read)  # what all of them share
            await first.until(b'"row-149"')
            before = memory_in_use()
            many = [await listen(stack, gateway.port, "/t", fields + offer, read) for _ in range(CONNECTIONS)]
            for one in many:
                await one.until(b'"row-149"')
                if stream == "websocket":
                    await one._raw.send(ping)
                    await one.until(b'"ack"')
                one._raw.received = b""
            taken = memory_in_use() - before
        await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda count: count == 0)
        return taken / CONNECTIONS

    tracemalloc.start()
    try:
        for _ in range(2):  # what is made once and kept by everybody is there the second time
            plain = await taken_by("", read_plain, client_frame(b'{"op":"ping"}'))
            packed = await taken_by(offer, read, bytes(packed_ping))
    finally:
        tracemalloc.stop()
    assert packed <= plain + MOST_MORE
