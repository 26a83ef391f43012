"""
Promise 3: a slow client is never a queue.

While it cannot be written to, it keeps only its cursor; when it can, and after what the kernel already holds, one
catch-up takes it to now. It never slows another.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from backends import scripted_backend
from gateways import route, running_gateway
from loops import LOOPS
from pushgate.hub import Subscriber
from slowclients import EVENT_STREAM, UPGRADE, client_frame, raw_client, read_frames, read_sse
from transports import connected

SIZE = 200_000  # of each document; no two have anything in common

# What a client that does not read may cost, beyond what the kernel holds for it.
STALLED_BYTES = 2**20


def document(n: int, size: int = SIZE) -> dict[str, Any]:
    return {"n": n, "text": f"{n:x}".zfill(8) * (size // 8)}


def run_on(loop: str, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


def buffered_bytes() -> int:
    """What this process holds for its streams beyond the kernel, all together."""
    total = 0
    for subscriber in [thing for thing in gc.get_objects() if issubclass(type(thing), Subscriber)]:
        transport = getattr(subscriber.send, "__self__", None)
        if transport is not None and not transport.is_closing():
            total += transport.get_write_buffer_size()
    return total


def numbers(transport: str, data: bytes) -> list[int]:
    """The documents that a client read, by their number."""
    if transport == "sse":
        events = read_sse(data)
    else:
        events = [json.loads(payload) for opcode, payload in read_frames(data) if opcode == 1]
    return [event["data"]["n"] for event in events if event["event"] == "snapshot"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("size", "changes"), [(20_000, 120), (200_000, 40), (1_000_000, 15)])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_never_reads_costs_a_cursor(transport: str, size: int, changes: int, loop: str) -> None:
    """However many documents later, one event at most waits for it; it reads what the kernel held and then the last."""

    async def main() -> None:
        async with (
            scripted_backend(document(0, size)) as backend,
            running_gateway(backend, {"/t": route(emit="snapshot")}) as gateway,
            connected("sse", gateway.base, "/t") as witness,
            raw_client(gateway.port) as slow,
        ):
            await slow.ask("/t", EVENT_STREAM if transport == "sse" else UPGRADE)
            await slow.read_until(b'"text"')
            for n in range(changes + 1):
                backend.serve(document(n, size))
                await witness.follow(document(n, size))
            assert witness.replica.kinds.count("snapshot") == changes + 1
            assert buffered_bytes() < min(2 * size, STALLED_BYTES)
            backend.serve({"n": changes + 1})
            await witness.follow({"n": changes + 1})
            await slow.read_until(b'{"n":%d}' % (changes + 1))
            await slow.read_until(b"}}" if transport == "websocket" else b"}\n\n")
            seen = numbers(transport, slow.body)
            assert seen == sorted(set(seen)), "in order, none twice"
            assert seen[0] == 0 and seen[-1] == changes + 1
            assert seen[-2] <= changes / 2, f"what the kernel held, and one event for all the rest: {seen}"
            conflations = await gateway.metric("pushgate_conflations_total", route="/t", transport=transport)
            assert 1 <= conflations < len(seen)
            assert await gateway.metric("pushgate_resumes_total") == 0, "it has been here all the time"

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_who_reads_again_goes_on_live(transport: str, loop: str) -> None:
    """After the catch-up a client that was slow gets every change again, the next ones included."""

    async def main() -> None:
        async with (
            scripted_backend(document(0)) as backend,
            running_gateway(backend, {"/t": route(emit="snapshot")}) as gateway,
            connected("sse", gateway.base, "/t") as witness,
            raw_client(gateway.port) as slow,
        ):
            await slow.ask("/t", EVENT_STREAM if transport == "sse" else UPGRADE)
            await slow.read_until(b'"text"')
            for n in range(8):
                backend.serve(document(n))
                await witness.follow(document(n))
            for n in range(100, 105):
                backend.serve({"n": n})
                await witness.follow({"n": n})
                await slow.read_until(b'{"n":%d}' % n)
            await slow.read_until(b'{"n":104}}' if transport == "websocket" else b'{"n":104}\n\n')
            assert numbers(transport, slow.body)[-5:] == [100, 101, 102, 103, 104]

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_subscribing_again_and_again_without_reading_fills_no_buffer(loop: str) -> None:
    """What a client asks for is no way round the rule: answers wait for it to read, in the kernel and not in us."""

    async def main() -> None:
        async with (
            scripted_backend(document(0)) as backend,
            running_gateway(backend, {"/t": route(emit="snapshot")}) as gateway,
            connected("websocket", gateway.base, "/t") as other,
            raw_client(gateway.port) as slow,
        ):
            await slow.ask("/t", UPGRADE)
            await slow.read_until(b'"text"')
            again = client_frame(json.dumps({"op": "subscribe", "topic": "/t"}).encode())
            for _ in range(20):
                await slow.send(5 * again)  # several in one piece, and piece after piece
            await other.follow(document(0))
            await other.say(op="ping", ref="after all of them")
            await other.hear("ack")
            assert buffered_bytes() < 3 * SIZE

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_client_slows_nobody(loop: str) -> None:
    """Others get every document while a client beside them reads nothing."""

    async def main() -> None:
        async with (
            scripted_backend(document(0)) as backend,
            running_gateway(backend, {"/t": route(emit="snapshot")}) as gateway,
            connected("sse", gateway.base, "/t") as one,
            connected("websocket", gateway.base, "/t") as two,
            raw_client(gateway.port) as slow,
        ):
            await slow.ask("/t", EVENT_STREAM)
            for n in range(10):
                backend.serve(document(n))
                await one.follow(document(n))
                await two.follow(document(n))
            assert one.replica.kinds.count("snapshot") == two.replica.kinds.count("snapshot") == 10

    run_on(loop, main())
