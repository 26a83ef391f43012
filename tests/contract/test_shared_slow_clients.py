"""Promise 3 on connections with many topics: a client that does not read is no queue, and is told of all at once."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from gateways import http_client, route, running_gateway
from loops import LOOPS
from pushgate.adapters.downstream.shared_sse import EventConnection
from pushgate.adapters.downstream.shared_websocket import SharedSocket
from shelves import shelf
from slowclients import UPGRADE, client_frame, raw_client, read_frames, read_sse
from transports import connected

TOPICS = [f"/t/{n}" for n in range(4)]
SIZE = 50_000  # of each document; no two have anything in common
CHANGES = 40
QUERY = "&".join(f"topic={topic}" for topic in TOPICS)
ROUTES = {"/t/{n}": route(params={"n": "[0-9]+"}, emit="snapshot", poll={"linger": "10s"})}


def document(n: int) -> dict[str, Any]:
    return {"n": n, "text": f"{n:x}".zfill(8) * (SIZE // 8)}


def buffered_bytes() -> int:
    """What this process holds for shared connections beyond the kernel."""
    everything = gc.get_objects()  # some are proxies of what is no more, which cannot be asked what they are
    streams = [thing._transport for thing in everything if type(thing) is EventConnection]
    sockets = [thing._conversation.transport for thing in everything if type(thing) is SharedSocket]
    return sum(one.get_write_buffer_size() for one in [*streams, *sockets] if one is not None)


def envelopes(transport: str, data: bytes) -> list[dict[str, Any]]:
    if transport == "sse":
        return [{**event["data"], "position": event["id"]} for event in read_sse(data)]
    return [json.loads(payload) for opcode, payload in read_frames(data) if opcode == 1]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_never_reads_keeps_its_cursors(transport: str, loop: str) -> None:
    """Whatever happens to its topics meanwhile, nothing waits for it but one catch-up; then it goes on live."""

    async def main() -> None:
        async with (
            shelf() as backend,
            running_gateway(backend.url, ROUTES) as gateway,
            raw_client(gateway.port) as slow,
        ):
            backend.serve(TOPICS, document(0))
            async with connected("sse", gateway.base, TOPICS[0]) as witness:
                await witness.follow(document(0))
                path, fields = ("/-/events", "") if transport == "sse" else ("/-/ws", UPGRADE)
                await slow.ask(f"{path}?{QUERY}", fields)
                await slow.read_until(b'"text"')
                for n in range(CHANGES + 1):
                    backend.serve(TOPICS, document(n))
                    await witness.follow(document(n))
                assert buffered_bytes() <= 2 * len(TOPICS) * (SIZE + 1000)
                backend.serve(TOPICS, {"n": CHANGES + 1})
                await witness.follow({"n": CHANGES + 1})
                last = b'"data":{"n":%d}' % (CHANGES + 1)
                while slow.received.count(last) < len(TOPICS):
                    await slow.read()
                backend.serve(TOPICS, {"n": 100})
                while slow.received.count(b'"data":{"n":100}') < len(TOPICS):
                    await slow.read()
                await slow.read_until(b'"data":{"n":100}}' if transport == "websocket" else b'"data":{"n":100}}\n\n')
            check(transport, slow.body)

    def check(transport: str, body: bytes) -> None:
        told = [event for event in envelopes(transport, body) if event["event"] == "snapshot"]
        for topic in TOPICS:
            seen = [event["data"]["n"] for event in told if event["topic"] == topic]
            assert seen == sorted(set(seen)), "in order, none twice"
            assert len(seen) < CHANGES / 2, seen

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_subscribing_without_reading_fills_no_buffer(loop: str) -> None:
    """What a client asks for in one go is told as far as it reads, and the rest when it reads on."""

    async def main() -> None:
        async with (
            shelf() as backend,
            running_gateway(backend.url, ROUTES) as gateway,
            raw_client(gateway.port) as slow,
        ):
            names = [f"/t/{n}" for n in range(60)]
            backend.serve(names, document(0))
            async with http_client() as client, connected("sse", gateway.base, names[-1]) as witness:
                warm = await client.get(f"{gateway.base}/-/poll", params={"topic": names})
                assert len(warm.json()["events"]) == len(names)
                await witness.follow(document(0))
                await slow.ask("/-/ws", UPGRADE)
                await slow.read_until(b"\r\n\r\n")
                asked = [client_frame(json.dumps({"op": "subscribe", "topic": name}).encode()) for name in names]
                await slow.send(b"".join(asked))
                backend.serve(names[-1:], {"n": 1})
                await witness.follow({"n": 1})
                assert buffered_bytes() <= 3 * SIZE
                for name in names:
                    await slow.read_until(f'"topic":"{name}"'.encode())
                events = envelopes("websocket", slow.body)
                assert [event["event"] for event in events].count("ack") == len(names)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
