"""
What a big document does to the others: how late small ones are delivered while 5 MB of another are read every second.

Two hundred small topics are polled every second, spread over it, and each answer bears the time at which it was given.
Each topic has a subscriber. The rounds alternate: in every other one somebody follows the big document as well, which
changes at every poll. It is measured open-loop: an event is as late as it comes after the moment at which its poll was
due, whether or not that poll began in time, and a poll that was left out is as late as the next one makes it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import cast

import uvloop

from .servers import free_ports, running_backend, running_gateway
from .table import Figure, Finding

MAX_TIMES_ALONE = 3.0

TOPICS = 200
EVERY = 1.0
WARM_UP = 2.5  # seconds: the helper process starts, and every topic has been polled

YAML = """
version: 1
server: {{listen: "127.0.0.1:{port}", admin: {{listen: "127.0.0.1:{admin_port}"}}}}
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}", max_body: 20MB}}
routes:
  /clock/{{n}}: {{upstream: backend, emit: snapshot, poll: {{every: 1s, jitter: 0%}}}}
  /big: {{upstream: backend, key: id, poll: {{every: 1s, jitter: 0%, linger: 0s}}}}
"""


@dataclass
class Topic(asyncio.Protocol):
    """One subscriber, who notes for each event when it was stamped and when it came."""

    path: str
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    events: int = 0
    _rest: bytes = b""
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(f"GET {self.path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time_ns() / 1e9
        if self.path == "/big":
            self.events += data.count(b"event: patch")
            return
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            _, found, stamp = block.partition(b'{"t":')
            if found:
                self.arrivals.append((int(stamp.partition(b",")[0]) / 1e9, now))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def measure(*, seconds: float, rounds: int) -> Iterator[Finding]:
    port, admin_port, backend_port = free_ports(3)
    config = YAML.format(port=port, admin_port=admin_port, backend_port=backend_port)
    with running_backend(backend_port, "big"), running_gateway(config, port=port):
        yield from uvloop.run(_measure(port, seconds=max(seconds, 3 * EVERY), rounds=rounds))


async def _measure(port: int, *, seconds: float, rounds: int) -> list[Finding]:
    rounds_of: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    changes = 0
    async with listening(port) as topics:
        for _ in range(rounds):
            for with_big in (False, True):
                async with beside(port, with_big=with_big) as big:
                    begin = time.time_ns() / 1e9
                    big.events = 0
                    await asyncio.sleep(seconds)  # noqa: TID251 - a bench may wait
                    rounds_of[with_big].append((begin, begin + seconds))
                    changes += big.events
    late = [one for topic in topics for one in lateness(topic.arrivals)]
    alone, beside_it = (_percentiles(late, rounds_of[kind]) for kind in (False, True))
    note = f"{_told(beside_it)} to {_told(alone)}; {changes} patches of the big one in {rounds * seconds:.0f} s"
    what = "p99 delivery beside 5 MB that change every second, to that without"
    return [Figure("stall", what, beside_it[1] / alone[1], "x", MAX_TIMES_ALONE, note)]


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[list[Topic]]:
    """Subscribe to the small topics one after the other, so that their polls are spread over the interval."""
    topics = [Topic(f"/clock/{n}") for n in range(TOPICS)]
    for topic in topics:
        await _connect(port, topic)
        await asyncio.sleep(EVERY / TOPICS)  # noqa: TID251 - a bench may wait
    yield topics
    for topic in topics:
        topic.close()


@asynccontextmanager
async def beside(port: int, *, with_big: bool) -> AsyncIterator[Topic]:
    big = Topic("/big")
    if with_big:
        await _connect(port, big)
    await asyncio.sleep(WARM_UP)  # noqa: TID251 - a bench may wait
    yield big
    big.close()


async def _connect(port: int, topic: Topic) -> None:
    await asyncio.get_running_loop().create_connection(lambda: topic, "127.0.0.1", port)


def lateness(arrivals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """
    Return when each event of a topic was due, and how long after that it came.

    Where the grid lies on which the polls are due is not known, but nothing is stamped before it is due. So the grid
    is where the most punctual stamp of the whole run is; who was missed on the way waited for the next one.
    """
    first = arrivals[0][0]
    phase = min((stamp - first + EVERY / 2) % EVERY for stamp, _ in arrivals) - EVERY / 2 + first
    result: list[tuple[float, float]] = []
    expected = phase
    for stamp, arrival in arrivals:
        due = phase + math.floor((stamp - phase) / EVERY + 1e-6) * EVERY
        missed = round((due - expected) / EVERY)
        result += [(due - EVERY * n, arrival - due + EVERY * n) for n in range(missed + 1)]
        expected = due + EVERY
    return result


def _percentiles(late: list[tuple[float, float]], rounds: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the medians over the rounds of the median, the 99th percentile and the maximum, in seconds."""
    ordered = [sorted(seconds for due, seconds in late if begin <= due < end) for begin, end in rounds]
    return (
        median(one[len(one) // 2] for one in ordered),
        median(one[len(one) * 99 // 100] for one in ordered),
        median(one[-1] for one in ordered),
    )


def _told(percentiles: tuple[float, float, float]) -> str:
    return "/".join(f"{value * 1000:.1f}" for value in percentiles) + " ms (median/p99/max)"
