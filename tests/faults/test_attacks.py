"""
What strangers try, one after the other: each attack, and what is left of it.

Whoever reads this sees what was thought of. That credentials are not believed is in tests/unit/auth, and what the proxy
lets through in tests/faults/test_proxy.py.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from pushgate.adapters.downstream import bodies, heads
from pushgate.adapters.downstream.conversation import MAX_MESSAGE_BYTES, TRIFLES
from pushgate.auth.failures import FREE_FAILURES
from slowclients import EVENT_STREAM, UPGRADE, RawClient, client_frame, raw_client, read_frames, read_sse, status_of
from tokens import STAFF, bearer

SSE = {"Accept": "text/event-stream"}
BEHIND_A_PROXY = ["127.0.0.1/32"]


async def asked(gateway: Running, request: bytes) -> RawClient:
    """Send bytes that no client library would, and read until the gateway closes."""
    async with raw_client(gateway.port, receive_buffer=65536) as client:
        await client.send(request)
        await client.read_all()
        return client


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: gateway", "Connection: close", *fields, "", ""]).encode()


def socket(gateway: Running, path: str, **options: Any) -> connect:
    options = {"compression": None, **options}
    return connect(f"{gateway.base.replace('http', 'ws', 1)}{path}", proxy=None, ping_interval=None, **options)


async def told(client: ClientConnection, *kinds: str) -> dict[str, Any]:
    """Wait for an event of these kinds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event: dict[str, Any] = json.loads(await client.recv())
            if event["event"] in kinds:
                return event


async def closed(client: ClientConnection) -> tuple[int, str]:
    """Wait for the end, and return how the gateway closed the connection."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as end:
            assert end.rcvd is not None, "it was cut without a word"
            return end.rcvd.code, end.rcvd.reason


async def somebody_is_there(gateway: Running, number: int) -> None:
    await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == number)


async def nobody_is_left(gateway: Running) -> None:
    await somebody_is_there(gateway, 0)


async def cursor_of(gateway: Running, topic: str, headers: Mapping[str, str] | None = None) -> str:
    """Where the topic is; a long poll from there waits."""
    async with http_client(headers=headers) as client:
        return str((await client.get(f"{gateway.base}{topic}")).headers["Pushgate-Cursor"])


class TestSlowLoris:
    """Connections that cost the attacker a byte now and then, and the gateway a place for ever."""

    @pytest.mark.parametrize("begin", [b"G", b"GET /t HTTP/1.1\r\nHost: x\r\nCookie: a="], ids=["line", "fields"])
    async def test_a_head_that_never_ends(
        self, begin: bytes, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(heads.Server, "head_patience", 0.1)
        async with running_gateway(backend, {"/t": route()}) as gateway:
            client = await asked(gateway, begin)
            assert (status_of(client.head), json.loads(client.body)["code"]) == (408, "request_too_late")

    async def test_a_head_that_never_ends_behind_a_good_request(
        self, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(heads.Server, "head_patience", 0.1)
        async with running_gateway(backend, {"/t": route()}) as gateway, raw_client(gateway.port) as client:
            await client.ask("/t")
            await client.read_until(b"null")
            await client.send(b"GET /t HTTP/1.1\r\n")
            assert b"HTTP/1.1 408 " in await client.read_all()

    async def test_a_head_that_never_ends_behind_a_long_poll(
        self, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its connection is given back to whoever reads requests, with what has come of the next one."""
        monkeypatch.setattr(heads.Server, "head_patience", 0.1)
        async with running_gateway(backend, {"/t": route()}) as gateway, raw_client(gateway.port) as client:
            await client.ask(f"/t?cursor={await cursor_of(gateway, '/t')}&wait=0.2")
            await somebody_is_there(gateway, 1)
            await client.send(b"GET /t HTTP/1.1\r\n")
            await client.read_all()
            assert status_of(client.head) == 204 and b"HTTP/1.1 408 " in client.received
            await nobody_is_left(gateway)

    async def test_a_body_that_never_ends(self, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "BODY_PATIENCE", 0.1)
        monkeypatch.setattr(heads, "LINGER", 0.1)
        async with running_gateway(backend, {"/t": route()}) as gateway:
            head = "POST /-/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
            client = await asked(gateway, f"{head}\r\n{{".encode())
            assert status_of(client.head) == 400

    async def test_a_body_that_nobody_wants(self, backend: ScriptedBackend) -> None:
        """The stream begins without it, and what comes of it is thrown away."""
        backend.serve(1)
        async with running_gateway(backend, {"/t": route()}) as gateway, raw_client(gateway.port) as client:
            await client.ask("/t", EVENT_STREAM + "Content-Length: 1000\r\n")
            await client.read_until(b"event: snapshot")
            await client.send(b"x")
            assert await gateway.metric("pushgate_connections") == 1


class TestFloodsOfHeaders:
    @pytest.mark.parametrize(
        "fields",
        [
            [f"X-{n}: 1" for n in range(heads.MAX_FIELDS + 1)],
            ["X-Large: " + "x" * (heads.MAX_FIELD_BYTES + 1)],
            [f"X-{n}: " + "x" * 8000 for n in range(9)],
            [f"X-{n}: " + "x" * 8000 for n in range(99)],
        ],
        ids=["many", "a large one", "large ones", "a megabyte"],
    )
    async def test_more_than_anybody_needs(self, fields: list[str], backend: ScriptedBackend) -> None:
        async with running_gateway(backend, {"/t": route()}) as gateway:
            client = await asked(gateway, get("/t", *fields))
            assert (status_of(client.head), json.loads(client.body)["code"]) == (431, "fields_too_large")
        assert backend.requests == []

    async def test_an_endless_line(self, backend: ScriptedBackend) -> None:
        async with running_gateway(backend, {"/t": route()}) as gateway:
            client = await asked(gateway, get("/t?x=" + "x" * heads.MAX_LINE_BYTES))
            assert (status_of(client.head), json.loads(client.body)["code"]) == (414, "line_too_long")

    async def test_ten_thousand_proxies(self, backend: ScriptedBackend) -> None:
        """As many as fit into a field that is let in."""
        async with running_gateway(backend, {"/t": route()}, server={"trusted_proxies": BEHIND_A_PROXY}) as gateway:
            said = ",".join(["::1"] * 4000)
            client = await asked(gateway, get("/t", f"X-Forwarded-For: {said}", f"Forwarded: {'for=x,' * 2000}"))
            assert status_of(client.head) == 200


class TestSpoofedAddresses:
    """A limit for each address, and clients that would like to be many."""

    LIMITS: ClassVar[dict[str, Any]] = {"limits": {"per_address": 2}, "trusted_proxies": BEHIND_A_PROXY}

    @asynccontextmanager
    async def streams(
        self, gateway: Running, *said: dict[str, str] | list[tuple[str, str]]
    ) -> AsyncIterator[list[int]]:
        """Open a stream with each of these header fields, and return the statuses while they are open."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(http_client())
            statuses = []
            for fields in said:
                headers = [*SSE.items(), *(fields.items() if isinstance(fields, dict) else fields)]
                answer = await stack.enter_async_context(client.stream("GET", f"{gateway.base}/t", headers=headers))
                statuses.append(answer.status_code)
            yield statuses

    async def test_what_a_client_writes_before_its_proxy(self, backend: ScriptedBackend) -> None:
        said = [{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.1"} for n in range(4)]
        async with (
            running_gateway(backend, {"/t": route()}, server=self.LIMITS) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200, 200, 429, 429]
            assert await gateway.metric("pushgate_connections_refused_total", reason="per_address") == 2

    async def test_what_a_client_writes_in_a_line_of_its_own(self, backend: ScriptedBackend) -> None:
        said = [[("X-Forwarded-For", f"203.0.113.{n}"), ("X-Forwarded-For", "198.51.100.1")] for n in range(3)]
        async with (
            running_gateway(backend, {"/t": route()}, server=self.LIMITS) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200, 200, 429]

    @pytest.mark.parametrize(("x", "standard"), [("198.51.100.1", "203.0.113.{}"), ("203.0.113.{}", "198.51.100.1")])
    async def test_the_other_field_that_its_proxy_passes_on(
        self, x: str, standard: str, backend: ScriptedBackend
    ) -> None:
        said = [{"X-Forwarded-For": x.format(n), "Forwarded": f"for={standard.format(n)}"} for n in range(3)]
        async with (
            running_gateway(backend, {"/t": route()}, server=self.LIMITS) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200, 200, 429]

    async def test_a_thousand_addresses_of_one_subscriber(self, backend: ScriptedBackend) -> None:
        said = [{"X-Forwarded-For": f"2001:db8:1:2::{n:x}"} for n in range(3)]
        async with (
            running_gateway(backend, {"/t": route()}, server=self.LIMITS) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200, 200, 429]

    async def test_others_do_not_notice(self, backend: ScriptedBackend) -> None:
        said = [{"X-Forwarded-For": f"198.51.100.{n % 2}"} for n in range(4)]
        async with (
            running_gateway(backend, {"/t": route()}, server=self.LIMITS) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200] * 4

    async def test_a_peer_that_is_no_proxy_of_ours(self, backend: ScriptedBackend) -> None:
        """What it says of others is not looked at: it is one client, however many it would like to be."""
        server = {**self.LIMITS, "trusted_proxies": ["192.0.2.1/32"]}
        said = [{"X-Forwarded-For": f"198.51.100.{n}"} for n in range(3)]
        async with (
            running_gateway(backend, {"/t": route()}, server=server) as gateway,
            self.streams(gateway, *said) as statuses,
        ):
            assert statuses == [200, 200, 429]

    async def test_where_all_come_from_one_address_nobody_is_locked_out(self, backend: ScriptedBackend) -> None:
        """A loopback peer is probably a proxy that nobody has told us of."""
        async with (
            running_gateway(backend, {"/t": route()}, server={"limits": {"per_address": 1}}) as gateway,
            self.streams(gateway, *[{}] * 3) as statuses,
        ):
            assert statuses == [200] * 3


class TestHoarding:
    """Clients that take all the room there is."""

    @pytest.mark.parametrize("transport", ["sse", "websocket", "long_poll", "shared sse", "shared websocket"])
    async def test_connections_of_one_principal(self, transport: str, backend: ScriptedBackend) -> None:
        """Whatever they are; and who lets one go may have another."""
        backend.serve(1)
        fields = UPGRADE if "websocket" in transport else EVENT_STREAM if "sse" in transport else ""
        server = {"limits": {"per_principal": 1}}
        auth = {"staff": STAFF}
        async with running_gateway(backend, {"/t": route(auth="staff")}, server=server, auth=auth) as gateway:
            cursor = await cursor_of(gateway, "/t", bearer("ann"))
            paths = {"long_poll": f"/t?cursor={cursor}&wait=50", "shared sse": "/-/events?topic=/t"}
            path = paths.get(transport, "/-/ws?topic=/t" if transport == "shared websocket" else "/t")
            mine = fields + "Authorization: " + bearer("ann")["Authorization"] + "\r\n"
            async with raw_client(gateway.port) as first:
                await first.ask(path, mine)
                await somebody_is_there(gateway, 1)
                async with raw_client(gateway.port) as second:
                    await second.ask(path, mine)
                    await second.read_until(b"\r\n\r\n")
                    assert status_of(second.head) == 429
                async with raw_client(gateway.port) as other:
                    await other.ask(path, fields + "Authorization: " + bearer("ben")["Authorization"] + "\r\n")
                    await somebody_is_there(gateway, 2)
            await nobody_is_left(gateway)
            async with raw_client(gateway.port) as again:
                await again.ask(path, mine)
                await somebody_is_there(gateway, 1)

    async def test_who_says_who_it_is_in_its_first_message(self, backend: ScriptedBackend) -> None:
        backend.serve(1)
        auth = {"staff": STAFF}
        limits = {"limits": {"per_principal": 1}}
        async with running_gateway(backend, {"/t": route(auth="staff")}, server=limits, auth=auth) as gateway:
            message = json.dumps({"op": "auth", "token": bearer("ann")["Authorization"].removeprefix("Bearer ")})
            async with socket(gateway, "/t") as first:
                await first.send(message)
                await told(first, "snapshot")
                async with socket(gateway, "/t") as second:
                    await second.send(message)
                    code, reason = await closed(second)
                    assert (code, reason.split()[0]) == (4429, "too_many")
            await nobody_is_left(gateway)
            async with socket(gateway, "/t") as third:
                await third.send(message)
                await told(third, "snapshot")

    async def test_who_is_refused_takes_no_room(self, backend: ScriptedBackend) -> None:
        """Nor who is only let in to be told so, as a browser is; nor who leaves."""
        backend.serve(1)
        server = {"limits": {"per_address": 1, "per_principal": 1}, "trusted_proxies": ["192.0.2.1/32"]}
        async with running_gateway(
            backend,
            {"/t": route(auth="staff")},
            server=server,
            auth={"staff": {**STAFF, "carriers": ["header", "cookie"]}},
        ) as gateway:
            origin = {"Origin": gateway.base}
            for _ in range(3):
                async with socket(gateway, "/t", additional_headers=origin) as client:
                    assert (await closed(client))[0] == 4401
                async with socket(gateway, "/t", additional_headers=origin | bearer()) as client:
                    await told(client, "snapshot")
                await nobody_is_left(gateway)

    async def test_long_polls_on_one_connection_are_one(self, backend: ScriptedBackend) -> None:
        """However often it asks; and when it leaves, another one may come."""
        backend.serve(1)
        server = {"limits": {"per_address": 1}, "trusted_proxies": BEHIND_A_PROXY}
        here = "X-Forwarded-For: 198.51.100.1\r\n"
        async with running_gateway(backend, {"/t": route()}, server=server) as gateway:
            path = f"/t?cursor={await cursor_of(gateway, '/t')}"
            for _ in range(3):
                async with raw_client(gateway.port) as client:
                    for _ in range(3):
                        client.received = b""
                        await client.ask(f"{path}&wait=0.05", here)
                        await client.read_until(b"\r\n\r\n")
                        assert status_of(client.head) == 204
                    await client.ask(f"{path}&wait=50", here)
                    await somebody_is_there(gateway, 1)
                await nobody_is_left(gateway)

    async def test_topics_of_one_principal(self, backend: ScriptedBackend) -> None:
        """A cardinality bomb: each topic costs the backend polls, and the gateway a document."""
        backend.serve(1)
        server = {"limits": {"topics_per_principal": 3}}
        routes = {"/of/{x}": route(auth="staff", poll={"linger": "1m"}), "/open/{x}": route(auth="none")}
        async with (
            running_gateway(backend, routes, server=server, auth={"staff": STAFF}) as gateway,
            http_client(base_url=gateway.base) as client,
        ):
            statuses = [(await client.get(f"/of/{n}", headers=bearer("ann"))).status_code for n in range(5)]
            assert statuses == [200, 200, 200, 429, 429]
            assert (await client.get("/of/2", headers=bearer("ann"))).status_code == 200
            assert (await client.get("/of/3", headers=bearer("ben"))).status_code == 200
            assert (await client.get("/of/3", headers=bearer("ann"))).status_code == 200, (
                "it lives, and on ben's account"
            )
            assert (await client.get("/open/3", headers=bearer("ann"))).status_code == 200
            async with socket(gateway, "/-/ws?topic=/of/1", additional_headers=bearer("ann")) as shared:
                await shared.send(json.dumps({"op": "subscribe", "topic": "/of/9", "ref": 1}))
                assert (await told(shared, "ack", "problem"))["code"] == "too_many"
                await shared.send(json.dumps({"op": "subscribe", "topic": "/of/2", "ref": 2}))
                assert (await told(shared, "ack", "problem"))["event"] == "ack"

    async def test_topics_that_nobody_needs_any_more_make_room(self, backend: ScriptedBackend) -> None:
        backend.serve(1)
        server = {"limits": {"topics_per_principal": 1}}
        routes = {"/of/{x}": route(auth="staff", poll={"linger": "10ms"})}
        async with (
            running_gateway(backend, routes, server=server, auth={"staff": STAFF}) as gateway,
            http_client(base_url=gateway.base, headers=bearer()) as client,
        ):
            assert (await client.get("/of/1")).status_code == 200
            await eventually(lambda: client.get("/of/2"), lambda answer: answer.status_code == 200)

    async def test_topics_of_a_route(self, backend: ScriptedBackend) -> None:
        async with (
            running_gateway(backend, {"/of/{x}": route(max_topics=3)}) as gateway,
            http_client(base_url=gateway.base) as client,
            socket(gateway, "/-/ws") as shared,
        ):
            for n in range(3):
                await shared.send(json.dumps({"op": "subscribe", "topic": f"/of/{n}"}))
                await told(shared, "ack")
            assert (await client.get("/of/9")).status_code == 503
            assert len({request.path for request in backend.requests}) <= 3

    async def test_topics_of_a_connection(self, backend: ScriptedBackend) -> None:
        async with running_gateway(backend, {"/of/{x}": route()}) as gateway, http_client() as client:
            topics = [{"topic": f"/of/{n}"} for n in range(1001)]
            answer = await client.post(f"{gateway.base}/-/events", json={"topics": topics})
            assert (answer.status_code, backend.requests) == (400, [])


class TestGuessing:
    """Credentials tried one after the other."""

    def gateway(self, backend: ScriptedBackend, **server: Any) -> Any:
        auth = {"keys": {"kind": "api_key", "keys": [{"name": "acme", "key": "a-good-key-that-nobody-guesses"}]}}
        return running_gateway(backend, {"/t": route(auth="keys")}, auth=auth, server=server)

    async def test_whoever_guesses_waits(self, backend: ScriptedBackend) -> None:
        """And what it shows meanwhile is not looked at, good or bad; others do not notice."""
        async with (
            self.gateway(backend, trusted_proxies=BEHIND_A_PROXY) as gateway,
            http_client(base_url=gateway.base) as client,
        ):

            async def show(key: str, at: str) -> Any:
                headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": at}
                return await client.get("/t", headers=headers)

            statuses = [(await show(f"guess-{n}", "198.51.100.1")).status_code for n in range(FREE_FAILURES + 1)]
            assert statuses == [*[401] * FREE_FAILURES, 429]
            refused = await show("a-good-key-that-nobody-guesses", "203.0.113.1, 198.51.100.1")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
            assert int(refused.headers["Retry-After"]) >= 1
            assert (await show("a-good-key-that-nobody-guesses", "198.51.100.2")).status_code == 200

    @pytest.mark.parametrize("path", ["/-/ws", "/-/ws?topic=/open"])
    async def test_on_a_websocket_that_is_open(self, path: str, backend: ScriptedBackend) -> None:
        """Many guesses fit on one connection, and they are counted all the same."""
        key = {"name": "acme", "key": "a-good-key-that-nobody-guesses"}
        auth = {"keys": {"kind": "api_key", "keys": [key], "carriers": ["message"]}}
        routes = {"/t": route(auth="keys", transports="websocket"), "/open": route(auth="none")}
        server = {"trusted_proxies": BEHIND_A_PROXY}
        async with (
            running_gateway(backend, routes, auth=auth, server=server) as gateway,
            socket(gateway, path, additional_headers={"X-Forwarded-For": "198.51.100.1"}) as client,
        ):
            await client.send(json.dumps({"op": "subscribe", "topic": "/open"}))
            await told(client, "ack")
            codes = []
            for number in range(FREE_FAILURES + 1):
                await client.send(json.dumps({"op": "auth", "token": f"guess-{number}"}))
                codes.append((await told(client, "problem"))["code"])
            assert codes == [*["credentials_unknown"] * FREE_FAILURES, "too_many"]

    async def test_behind_a_proxy_that_nobody_told_us_of_nobody_waits_for_others(
        self, backend: ScriptedBackend
    ) -> None:
        """All clients have its address."""
        async with self.gateway(backend) as gateway, http_client(base_url=gateway.base) as client:
            for n in range(2 * FREE_FAILURES):
                answer = await client.get("/t", headers={"Authorization": f"Bearer guess-{n}"})
                assert answer.status_code == 401


def bomb(size: int) -> bytes:
    """So many zeros as a compressed message of a WebSocket, which is a thousandth of that."""
    compressor = zlib.compressobj(9, wbits=-15)
    piece = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    return (piece * (size >> 20))[:-4]


def frame(opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False) -> bytes:
    first = opcode | (0x80 if fin else 0) | (0x40 if compressed else 0)
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + b"\0\0\0\0" + payload


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"


class TestWebSockets:
    @asynccontextmanager
    async def raw(self, backend: ScriptedBackend, path: str, fields: str = "") -> AsyncIterator[RawClient]:
        """A WebSocket of bare bytes, whose handshake is done and forgotten."""
        async with (
            running_gateway(backend, {"/t": route(poll={"every": "1h"})}) as gateway,
            raw_client(gateway.port, receive_buffer=65536) as client,
        ):
            await client.ask(path, UPGRADE + fields)
            await client.read_until(b"\r\n\r\n")
            client.received = client.body
            yield client
            await nobody_is_left(gateway)

    async def end(self, client: RawClient) -> tuple[int, str]:
        """How the gateway has closed the connection."""
        while not (closes := [payload for opcode, payload in read_frames(client.received) if opcode == 8]):
            assert await client.read(), "it was cut without a word"
        client.leave()
        return int.from_bytes(closes[0][:2], "big"), closes[0][2:].decode()

    PATHS = pytest.mark.parametrize("path", ["/t", "/-/ws"])

    @PATHS
    async def test_a_frame_that_is_too_large(self, path: str, backend: ScriptedBackend) -> None:
        async with self.raw(backend, path) as client:
            await client.send(frame(1, b"x" * (MAX_MESSAGE_BYTES + 1)))
            assert (await self.end(client))[0] == 1009

    @PATHS
    async def test_a_frame_that_says_it_will_be_huge(self, path: str, backend: ScriptedBackend) -> None:
        """It is refused by its length; nothing of it is waited for."""
        async with self.raw(backend, path) as client:
            await client.send(b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0")
            assert (await self.end(client))[0] == 1009

    @PATHS
    async def test_fragments_that_are_too_large_together(self, path: str, backend: ScriptedBackend) -> None:
        async with self.raw(backend, path) as client:
            await client.send(frame(1, b"x" * 40_000, fin=False) + frame(0, b"x" * 40_000, fin=False))
            assert (await self.end(client))[0] == 1009

    @PATHS
    @pytest.mark.parametrize("fragments", [1, 20])
    async def test_a_compression_bomb(self, path: str, fragments: int, backend: ScriptedBackend) -> None:
        """A gigabyte of zeros in a megabyte: no more of it is inflated than a message may have."""
        payload = bomb(1 << 30)
        assert len(payload) < 1_100_000
        size = 60_000 if fragments == 1 else len(payload) // fragments // 20
        async with self.raw(backend, path, DEFLATE) as client:
            before = resource.getrusage(resource.RUSAGE_SELF)
            for n in range(fragments):
                piece = payload[n * size : (n + 1) * size]
                opcode = 0 if n else 1
                await client.send(frame(opcode, piece, fin=n + 1 == fragments, compressed=not n))
            assert (await self.end(client))[0] == 1009
            after = resource.getrusage(resource.RUSAGE_SELF)
        assert after.ru_maxrss - before.ru_maxrss < 20_000, "kilobytes"
        assert after.ru_utime - before.ru_utime < 1.0, "seconds"

    @PATHS
    async def test_a_compression_bomb_in_one_frame(self, path: str, backend: ScriptedBackend) -> None:
        """The frame itself is larger than a message may be."""
        async with self.raw(backend, path, DEFLATE) as client:
            await client.send(frame(1, bomb(1 << 27), compressed=True))
            assert (await self.end(client))[0] == 1009

    @PATHS
    @pytest.mark.parametrize(
        "flood",
        [frame(9, b""), frame(9, b"x" * 125), frame(10, b""), client_frame(b'{"op":"ping"}')],
        ids=["ping", "long ping", "pong", "op"],
    )
    async def test_a_flood_of_pings(self, path: str, flood: bytes, backend: ScriptedBackend) -> None:
        async with self.raw(backend, path) as client:
            await client.send(flood * 3 * TRIFLES.count)
            assert await self.end(client) == (1008, "too many pings")

    @PATHS
    async def test_fragments_of_nothing(self, path: str, backend: ScriptedBackend) -> None:
        """They make no message, ever."""
        async with self.raw(backend, path) as client:
            await client.send(frame(1, b"", fin=False) + frame(0, b"", fin=False) * 3 * TRIFLES.count)
            assert await self.end(client) == (1008, "too many pings")

    async def test_a_thousand_subscriptions_are_no_flood(self, backend: ScriptedBackend) -> None:
        async with running_gateway(backend, {"/of/{x}": route()}) as gateway, socket(gateway, "/-/ws") as client:
            for n in range(300):
                await client.send(json.dumps({"op": "subscribe", "topic": f"/of/{n}", "ref": n}))
            for n in range(300):
                assert (await told(client, "ack"))["ref"] == n

    @PATHS
    @pytest.mark.parametrize(
        ("crime", "code"),
        [
            (b"\x81\x05hello", 1002),  # not masked
            (frame(3, b"x"), 1002),  # an opcode that there is not
            (frame(9, b"", fin=False), 1002),  # a control frame in pieces
            (frame(0, b"x"), 1002),  # the end of nothing
            (frame(1, b"\xff\xfe"), 1007),
            (frame(2, b"x"), 1003),
            (frame(1, b"{}", compressed=True), 1002),  # compressed, and nobody has agreed on that
            (frame(1, b"[" * 60_000), 1008),
            (frame(1, b'{"op":"subscribe","topic":' + b'"x' * 10 + b"}"), 1008),
        ],
    )
    async def test_what_is_no_message(self, path: str, crime: bytes, code: int, backend: ScriptedBackend) -> None:
        async with self.raw(backend, path) as client:
            await client.send(crime)
            assert (await self.end(client))[0] == code

    async def test_a_bomb_in_the_body_of_a_request(self, backend: ScriptedBackend) -> None:
        async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            body = gzip.compress(bytes(1 << 27))
            answer = await client.post(f"{gateway.base}/-/poll", content=body, headers=headers)
            assert answer.status_code == 413


# Segments that would lead elsewhere, as they stand in a URL; None of them may reach the upstream.
TRAVERSALS = [
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    ".",
    "%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fadmin",
    "..%5c..%5cadmin",
    "%5c",
    "..\\admin",
    "a%2fb",
    "a%00b",
    "%00",
    "%0d%0aX-Evil:%201",
    "%0a",
    "%c0%ae%c0%ae",  # an overlong dot
    "%",
    "%zz",
    "..;a=b%2f..",
]


class TestPathTraversal:
    """A parameter that wants to be more than a parameter."""

    ROUTES: ClassVar = {"/of/{x}": route(request={"path": "/backend/of/{x}/status"})}

    @pytest.mark.parametrize("segment", TRAVERSALS)
    @pytest.mark.parametrize("path", ["/of/{}", "/of/{}/../x", "/of/x/../{}", "//of/{}", "/of//{}", "/{}/of/x"])
    async def test_in_a_path(self, path: str, segment: str, backend: ScriptedBackend) -> None:
        async with running_gateway(backend, self.ROUTES) as gateway:
            client = await asked(gateway, get(path.format(segment)))
            assert status_of(client.head) in (400, 404)
        assert backend.requests == []

    @pytest.mark.parametrize("segment", TRAVERSALS)
    async def test_in_the_name_of_a_topic(self, segment: str, backend: ScriptedBackend) -> None:
        """As ``?topic=``, percent-encoded once more, in the body of a POST, and in a message."""
        topic = f"/of/{segment}"
        async with running_gateway(backend, self.ROUTES) as gateway, http_client(base_url=gateway.base) as client:
            for name in (topic, f"/of/x/../{segment}"):
                answer = await client.get(f"/-/poll?topic={quote(name, safe='')}")
                assert answer.status_code in (400, 404), name
                answer = await client.post("/-/poll", json={"topics": [{"topic": name}]})
                assert answer.status_code in (400, 404), name
            async with socket(gateway, "/-/ws") as shared:
                await shared.send(json.dumps({"op": "subscribe", "topic": topic, "ref": 1}))
                problem = await told(shared, "problem", "ack")
                assert problem["code"] in ("no_such_topic", "bad_request")
        assert backend.requests == []

    async def test_what_looks_dangerous_and_is_a_value_stays_one(self, backend: ScriptedBackend) -> None:
        backend.serve(1)
        harmless = ["...", "a..b", "%3f", "%23", "a;b=c", "%252e%252e", "%25%32%65", "~root", "@evil.example", "a:b"]
        async with running_gateway(backend, self.ROUTES) as gateway:
            for segment in harmless:
                client = await asked(gateway, get(f"/of/{segment}"))
                assert status_of(client.head) == 200, segment
        for request in backend.requests:
            assert request.path.count("/") == 4 and "?" not in request.path and "#" not in request.path


class TestHeaderInjection:
    """A line end in a value, which would begin a header field or a request of the attacker's own."""

    EVERYWHERE: ClassVar = {
        "/of": route(
            query={"v": r"[\s\S]*"},
            request={"path": "/backend", "query": {"q": "{v}"}, "headers": {"X-Value": "a {v} b"}},
        ),
        "/part/{v}": route(params={"v": r"[\s\S]*"}, request={"path": "/backend/{v}"}),
        "/query": route(query={"v": r"[\s\S]*"}, request={"path": "/backend", "query": {"q": "{v}"}}),
        "/as": route(share="identity", forward={"headers": ["X-Lang"], "cookies": ["lang"]}, auth="staff"),
    }

    def expect_no_evil(self, backend: ScriptedBackend) -> None:
        for request in backend.requests:
            assert "x-evil" not in request.headers, request
            assert all(ord(character) > 31 for value in request.headers.values() for character in value)
            assert request.path.partition("?")[0].rpartition("/")[0] in ("", "/backend")

    @pytest.mark.parametrize("line_end", ["%0d%0a", "%0a", "%0d", "%00", "%e2%80%a8", "%c2%85", "%0b", "%0c"])
    async def test_in_parameters(self, line_end: str, backend: ScriptedBackend) -> None:
        """Into a header it does not go; in a path and a query it stands percent-encoded, or nowhere."""
        backend.serve(1)
        auth = {"staff": STAFF}
        async with running_gateway(backend, self.EVERYWHERE, auth=auth) as gateway:
            value = f"x{line_end}X-Evil:%201{line_end}{line_end}GET%20/evil"
            for path in (f"/of?v={value}", f"/part/{value.replace('/', '%2f')}", f"/query?v={value}"):
                client = await asked(gateway, get(path))
                assert status_of(client.head) in (200, 400, 404), client.head
                assert "evil" not in client.head.lower()
            raw = [request.path for request in backend.requests if request.path.startswith("/backend?")]
            assert all("%" in path and "\n" not in path for path in raw)
        self.expect_no_evil(backend)

    @pytest.mark.parametrize("line_end", ["\r", "\n", "\0", "\r\n "])
    @pytest.mark.parametrize("field", ["X-Lang: {}", "Cookie: lang={}"])
    async def test_in_what_is_forwarded(self, field: str, line_end: str, backend: ScriptedBackend) -> None:
        auth = {"staff": STAFF}
        async with running_gateway(backend, self.EVERYWHERE, auth=auth) as gateway:
            value = f"en{line_end}X-Evil: 1"
            authorization = f"Authorization: {bearer()['Authorization']}"
            client = await asked(gateway, get("/as", authorization, field.format(value)))
            assert status_of(client.head) in (200, 400), client.head
        for request in backend.requests:
            assert request.headers.get("x-evil") in (
                None,
                "1",
            )  # after a bare line feed it is a field, but of the client's
            assert "Evil" not in request.headers.get("x-lang", "") + request.headers.get("cookie", "")

    @pytest.mark.parametrize(
        "path",
        [
            "/t?cursor=%0d%0aX-Evil:1&wait=0",
            "/t?wait=0&emit=%0d%0aX-Evil:1",
            "/%0d%0aX-Evil:1",
            "/t?cursor=a%0aid:%20evil",
        ],
    )
    async def test_in_what_is_repeated_to_the_client(self, path: str, backend: ScriptedBackend) -> None:
        """A cursor is given back in a header field, and a name in a problem."""
        backend.serve(1)
        async with running_gateway(backend, {"/t": route()}) as gateway:
            for fields in ([], ["Accept: text/event-stream"]):
                async with raw_client(gateway.port) as client:
                    await client.send(get(path, *fields))
                    await client.read_until(b"\r\n\r\n")
                    assert "x-evil" not in client.head.lower()
                    assert b"id: evil" not in client.received

    async def test_in_a_ref(self, backend: ScriptedBackend) -> None:
        """It comes back in one frame, as it was said."""
        async with running_gateway(backend, {"/t": route()}) as gateway, socket(gateway, "/t") as client:
            await client.send(json.dumps({"op": "ping", "ref": "\r\n\u2028\0"}))
            assert (await told(client, "ack"))["ref"] == "\r\n\u2028\0"


class TestServerSentEvents:
    """What a backend's document may hold, and a stream of lines may not."""

    NASTY: ClassVar = {
        "crlf": "a\r\nid: evil\r\n\r\nevent: evil\ndata: 1\n\n",
        "cr": "a\rdata: evil",
        "separators": "a\u2028data: evil\u2029b\x85c\x0bd\x0ce\x1cf",
        "nul": "a\0b",
        "bom": "\ufeffdata: evil",
    }

    @pytest.mark.parametrize("query", ["", "?framing=message", "?emit=merge"])
    async def test_line_ends_in_documents(self, query: str, backend: ScriptedBackend) -> None:
        """Only CR and LF end a line (WHATWG HTML section 9.2.5), and JSON escapes both; U+2028 is no newline."""
        backend.serve({"name\r\n": self.NASTY})
        async with running_gateway(backend, {"/t": route()}) as gateway, raw_client(gateway.port) as client:
            await client.ask(f"/t{query}", EVENT_STREAM)
            await client.read_until(b"bom")
            await client.read_until(b"\n\n")
            events = read_sse(client.body)
            documents = [event["data"]["data"] if "message" in query else event["data"] for event in events]
            assert {"name\r\n": self.NASTY} in documents
            assert b"\r" not in client.body
            assert {line.partition(b":")[0] for line in client.body.split(b"\n")} <= {
                b"retry",
                b"id",
                b"event",
                b"data",
                b"",
            }
            assert all(event["id"] != "evil" for event in events)

    async def test_line_ends_in_names_of_topics(self, backend: ScriptedBackend) -> None:
        """On a shared connection each event names its topic."""
        backend.serve(1)
        routes = {"/of/{x}": route(query={"v": r"[\s\S]*"})}
        async with running_gateway(backend, routes) as gateway, raw_client(gateway.port) as client:
            name = quote("/of/x?v=" + quote("\r\nid: evil\r\n\r\n\u2028", safe=""), safe="")
            await client.ask(f"/-/events?topic={name}", EVENT_STREAM)
            await client.read_until(b"\n\n")
            assert b"\r" not in client.body and b"\nid: evil" not in client.body


class TestForgedRequests:
    """Server-side request forgery: an upstream that a client, or a backend, would like to choose."""

    @pytest.mark.parametrize(
        "value",
        [
            "@127.0.0.1:{port}",
            "x@127.0.0.1:{port}",
            ":80@127.0.0.1:{port}",
            "127.0.0.1:{port}",
            "http:",
            "%40127.0.0.1",
        ],
    )
    async def test_by_a_parameter(self, value: str, backend: ScriptedBackend) -> None:
        """It stands in the path, whatever it looks like."""
        backend.serve(1)
        async with scripted_backend() as internal:
            port = internal.url.rpartition(":")[2]
            routes = {"/of/{x}": route(request={"path": "/{x}"})}
            async with running_gateway(backend, routes) as gateway:
                client = await asked(gateway, get(f"/of/{value.format(port=port)}"))
                assert status_of(client.head) in (200, 400, 404)
            assert internal.requests == []
        assert all(
            request.path.startswith("/") and request.headers["host"] in backend.url for request in backend.requests
        )

    @pytest.mark.parametrize("value", ["other", "127.0.0.1", "u.example", "..", "u%00", "U", "u/../other"])
    async def test_by_the_name_of_an_upstream(self, value: str, backend: ScriptedBackend) -> None:
        """A parameter may choose among upstreams that are listed, and no other."""
        routes = {"/of/{x}": route(upstream="{x}", params={"x": ["u"]}, request={"path": "/"})}
        async with running_gateway(backend, routes) as gateway:
            client = await asked(gateway, get(f"/of/{value}"))
            assert status_of(client.head) == 404
        assert backend.requests == []

    @pytest.mark.parametrize("target", ["http://gateway/of/x", "http://127.0.0.1:1/of/x", "gopher://x/of/x"])
    async def test_by_the_whole_url_in_the_request_line(self, target: str, backend: ScriptedBackend) -> None:
        """A request to a proxy is answered as one to us; it is no proxy."""
        backend.serve(1)
        async with running_gateway(backend, {"/of/{x}": route()}) as gateway:
            client = await asked(gateway, get(target))
            assert status_of(client.head) in (200, 400, 404)
        assert {request.path for request in backend.requests} <= {"/of/x"}

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_by_a_redirect(self, status: int, backend: ScriptedBackend) -> None:
        """A backend that was taken over sends us to what only we can reach; we do not go."""
        async with scripted_backend({"secret": 1}) as internal:
            backend.say(b"", status=status, Location=f"{internal.url}/latest/meta-data")
            async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
                answer = await client.get(f"{gateway.base}/t")
                assert answer.status_code == 502 and "secret" not in answer.text
                failures = await gateway.metric("pushgate_poll_failures_total", reason="protocol")
                assert failures >= 1
            assert internal.requests == []

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "http://[::1/", "//127.0.0.1:1/x", "http://x:y@127.0.0.1/"]
    )
    async def test_by_a_redirect_to_what_is_no_place_for_an_upstream(
        self, location: str, backend: ScriptedBackend
    ) -> None:
        backend.say(b"", status=302, Location=location)
        async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
            answer = await client.get(f"{gateway.base}/t")
            assert answer.status_code == 502 and "root:" not in answer.text

    @pytest.mark.parametrize("field", ["Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil"])
    async def test_by_the_host(self, field: str, backend: ScriptedBackend) -> None:
        """Nothing of what a client calls us reaches the upstream."""
        backend.serve(1)
        async with running_gateway(backend, {"/t": route()}) as gateway:
            host = "" if field.startswith("Host") else "Host: gateway\r\n"
            client = await asked(gateway, f"GET /t HTTP/1.1\r\n{host}{field}\r\nConnection: close\r\n\r\n".encode())
            assert status_of(client.head) == 200 and b"evil" not in client.received
        assert all("evil" not in str(request.headers) for request in backend.requests)
