"""PyPI's ``websockets`` client: what RFC 6455 lets a client do, and what it should not."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets import ClientConnection, ConnectionClosed, ConnectionClosedError, connect

DEADLINE = 20


@pytest.fixture
async def socket(gateway: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"{gateway.ws_url}/counter", subprotocols=["pushgate.v1"], max_size=None) as opened:
        await hear(opened, "snapshot")
        yield opened


async def hear(socket: ClientConnection, *kinds: str, seen: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the next message of one of these kinds."""
    async with asyncio.timeout(DEADLINE):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if seen is not None:
                seen.append(message)
            if message["event"] in kinds:
                return message


async def close_code(socket: ClientConnection) -> int | None:
    """Read on until the server closes; return its code."""
    async with asyncio.timeout(DEADLINE):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


class TestMessages:
    async def test_a_ping_of_the_protocol_and_one_of_ours(self, socket: ClientConnection) -> None:
        """A ping frame is answered with a pong of the same data, ``op: ping`` with an ack of the same ref."""
        pong = await socket.ping(b"\x00 any bytes \xff")
        await asyncio.wait_for(pong, DEADLINE)
        await socket.send(json.dumps({"op": "ping", "ref": {"any": ["JSON", 1, None]}}))
        assert (await hear(socket, "ack"))["ref"] == {"any": ["JSON", 1, None]}

    async def test_fragments_are_one_message(self, socket: ClientConnection) -> None:
        """A message may come in frames, cut inside a character, with pings between them."""
        text = json.dumps({"op": "ping", "ref": "é😀" * 50}, ensure_ascii=False)
        await socket.send([text[i : i + 7] for i in range(0, len(text), 7)])
        assert (await hear(socket, "ack"))["ref"] == "é😀" * 50
        await socket.send(["", '{"op":', "", '"ping","ref":2}', ""])
        assert (await hear(socket, "ack"))["ref"] == 2

    @pytest.mark.parametrize(
        "message",
        ['{"op": "dance"}', '{"op": "ping", "extra": 1}', "[]", "not JSON", "", '{"op": "subscribe"}', "null"],
    )
    async def test_what_is_not_understood_ends_the_connection(self, message: str, socket: ClientConnection) -> None:
        """A client that speaks another language is told so: 1008, with what was wrong."""
        await socket.send(message)
        assert await close_code(socket) == 1008
        assert (socket.close_reason or "").startswith("message not understood")

    async def test_a_text_that_is_not_utf8(self, socket: ClientConnection) -> None:
        """RFC 6455 section 8.1 has a code of its own for it."""
        await socket.send(b"\xff\xfe", text=True)
        assert await close_code(socket) == 1007

    async def test_a_binary_message(self, socket: ClientConnection) -> None:
        await socket.send(b'{"op": "ping"}')
        assert await close_code(socket) == 1003

    @pytest.mark.parametrize("pieces", [1, 40])
    async def test_too_large(self, pieces: int, socket: ClientConnection) -> None:
        """A message that is larger than any message need be is not read, in one frame or in many."""
        text = json.dumps({"op": "ping", "ref": "x" * 200_000})
        size = len(text) // pieces + 1
        try:
            await socket.send([text[i : i + size] for i in range(0, len(text), size)] if pieces > 1 else text)
        except ConnectionClosed:
            pass  # it noticed before everything was sent
        assert await close_code(socket) == 1009

    async def test_what_is_not_offered_is_refused_and_nothing_else(self, socket: ClientConnection) -> None:
        """A refused message is answered with its ref; the connection goes on."""
        await socket.send('{"op": "send", "topic": "/counter", "data": 1, "ref": 7}')
        problem = await hear(socket, "problem")
        assert (problem["ref"], problem["code"]) == (7, "method_not_allowed")
        await socket.send('{"op": "subscribe", "topic": "/other", "ref": 8}')
        assert (await hear(socket, "problem"))["ref"] == 8
        await socket.send('{"op": "ping", "ref": 9}')
        assert (await hear(socket, "ack"))["ref"] == 9


class TestSubscription:
    async def test_unsubscribe_and_subscribe_again(self, backend: Any, socket: ClientConnection) -> None:
        """Between the two it hears nothing; afterwards what it missed, from the cursor it names."""
        await backend.change(1)
        last = (await hear(socket, "patch"))["id"]
        await socket.send('{"op": "unsubscribe", "topic": "/counter", "ref": 1}')
        assert (await hear(socket, "ack"))["ref"] == 1
        await backend.change(3)
        await socket.send('{"op": "ping", "ref": 2}')
        silent: list[dict[str, Any]] = []
        assert (await hear(socket, "ack", seen=silent))["ref"] == 2
        assert len(silent) == 1
        await socket.send(json.dumps({"op": "subscribe", "topic": "/counter", "cursor": last, "ref": 3}))
        replayed: list[dict[str, Any]] = []
        while sum(message["event"] == "patch" for message in replayed) < 3:
            await hear(socket, "ack", "patch", seen=replayed)
        assert [message["event"] for message in replayed] == ["ack", "patch", "patch", "patch"]

    async def test_resume_with_a_cursor(self, backend: Any, gateway: Any) -> None:
        seen: list[dict[str, Any]] = []
        async with connect(f"{gateway.ws_url}/counter") as socket:
            last = (await hear(socket, "snapshot", seen=seen))["id"]
        await backend.change(3)
        async with connect(f"{gateway.ws_url}/counter?cursor={last}") as socket:
            for _ in range(3):
                await hear(socket, "patch", seen=seen)
        backend.check(backend.fold(seen), epochs=1)
        assert [message["event"] for message in seen if message["event"] != "status"][-3:] == ["patch"] * 3


class TestEnd:
    async def test_the_client_closes(self, gateway: Any, socket: ClientConnection) -> None:
        """Its close frame is answered with the same code, and its subscription is gone."""
        await socket.close(3001, "had enough")
        assert socket.close_code == 3001
        async with asyncio.timeout(DEADLINE):
            while 'pushgate_subscribers{route="/counter",transport="websocket"} 0.0' not in await gateway.metrics():
                pass

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
    async def test_the_gateway_goes(
        self, how: signal.Signals, backend: Any, gateway: Any, socket: ClientConnection
    ) -> None:
        """SIGTERM is told with 1012 and when to come back; a killed process can tell nothing."""
        end = asyncio.create_task(gateway.end(how))
        with pytest.raises(ConnectionClosedError) as closed:
            async with asyncio.timeout(DEADLINE):
                while True:
                    await socket.recv()
        status = await end
        if how is signal.SIGKILL:
            assert closed.value.rcvd is None
            assert status == -signal.SIGKILL
        else:
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert int(closed.value.rcvd.reason.removeprefix("retry_after_ms=")) in range(1000, 4001)
            assert status == 0
