"""
Promise 1 on long polls, with thousands of them: no state is missed, none comes twice, and nobody waits for the next
change to be told of this one.

Clients ask again at once, or on another connection, or in other words (so that their connection is given back to
aiohttp), or only after one or two changes have gone by. ``make soak`` does it for ten minutes.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from backends import scripted_backend
from conftest import SOAK
from gateways import http_client, route, running_gateway
from processes import ROOT, GatewayProcess, Process

CLIENTS = 5000
INTERVAL = 10.0  # between two changes of a topic; all together change five hundred times a second
DURATION = 40.0 if SOAK == 1 else 600.0
ABSENCE = 1.2 * INTERVAL  # of a client that does not ask at once, at the most
WAIT = 30

# Longer than a busy machine takes for an answer, and shorter than the time to the next change, which would wake whoever
# was not woken by this one.
AT_ONCE = 0.7 * INTERVAL

CONFIG = {
    "server": {"limits": {"accept_rate": "off"}},
    "routes": {
        "/counter/{n}": {
            "upstream": "counters",
            "params": {"n": "[0-9]+"},
            "max_topics": CLIENTS,
            "poll": {"every": f"{INTERVAL:g}s", "linger": f"{3 * INTERVAL:g}s"},
            "emit": "snapshot",
        }
    },
}


class Fleet:
    """What all clients share: where to ask, what became of it, and the dice."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.dice = random.Random(20261124)
        self.troubles: list[str] = []
        self.slowest = 0.0  # seconds from when a client could be told to when it was
        self.events = 0
        self.ways: Counter[str] = Counter()  # how clients went on after an answer
        self.is_over = False

    def blame(self, client: Client, complaint: str) -> None:
        if not self.is_over:
            self.troubles.append(f"client {client.number}: {complaint}")


class Client(asyncio.Protocol):
    """Follows the topic with its number; one long poll after the other, over as many connections as it takes."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.number = number
        self.seen = 0  # the latest state
        self._fleet = fleet
        self._cursor = ""
        self._asked_at = 0.0
        self._turn = 0
        self._received = b""
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._fleet.port)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._fleet.blame(self, f"its connection was closed: {exc!r}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
        if not mark or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        try:
            self._read(head.decode(), body)
        except (LookupError, ValueError, TypeError):
            self._fleet.blame(self, f"not understood: {head!r} {body!r}")
        self._go_on()

    # What it does.

    def _ask(self, words: str = "") -> None:
        assert self._transport is not None, "it is connected"
        self._asked_at = time.time()
        query = f"wait={WAIT}" + (f"&cursor={self._cursor}" if self._cursor else "")
        self._transport.write(f"GET /counter/{self.number}?{query} HTTP/1.1\r\nHost: gateway\r\n{words}\r\n".encode())

    def _read(self, head: str, body: bytes) -> None:
        now = time.time()
        cursor = re.search(r"(?i)\r\nPushgate-Cursor: (\S+)", head)
        if cursor is None or not head.startswith("HTTP/1.1 20"):
            raise ValueError("no answer to a long poll")
        events = json.loads(body)["events"] if " 200 " in head else []
        for event in events:
            self._fleet.events += 1
            n, t = event["data"]["n"], event["data"]["t"]
            if self.seen and n != self.seen + 1:
                self._fleet.blame(self, f"after {self.seen} came {n}")
            if self.seen:
                self._fleet.slowest = max(self._fleet.slowest, now - max(t, self._asked_at))
            self.seen = n
        position, before = (int(text.split(".")[1]) if text else 0 for text in (cursor[1], self._cursor))
        if position < before or (events and position == before):
            self._fleet.blame(self, f"after {self._cursor} came {cursor[1]}")
        self._cursor = cursor[1]

    def _go_on(self) -> None:
        if self._fleet.is_over or self._transport is None:
            return
        self._turn += 1
        if self._turn % 4 == 0:
            self._count("in other words", lambda: self._ask(f"X-Turn: {self._turn}\r\n"))
        elif (die := self._fleet.dice.random()) < 0.1:
            self._count("over another connection", self._reconnect)
        elif die < 0.3:
            delay = self._fleet.dice.uniform(0, ABSENCE)
            self._count("later", lambda: asyncio.get_running_loop().call_later(delay, self._ask_if_connected))
        else:
            self._count("at once", self._ask)

    def _count(self, way: str, go: Callable[[], Any]) -> None:
        self._fleet.ways[way] += 1
        go()

    def _ask_if_connected(self) -> None:
        if self._transport is not None:
            self._ask()

    def _reconnect(self) -> None:
        assert self._transport is not None, "it has just been answered"
        self._transport.abort()
        self._transport = None  # so its end is expected
        self._connecting = asyncio.get_running_loop().create_task(self.connect())


@pytest.mark.timeout(DURATION + 120)
async def test_every_client_is_told_of_every_state(tmp_path: Path) -> None:
    """Five thousand topics with a client each: every number once and in order, and each within moments."""
    double = [sys.executable, ROOT / "tests" / "doubles" / "counters.py"]
    with Process("counters", double) as backend:
        url = backend.wait_for(r"counters on (http://\S+)")[1]
        with GatewayProcess(tmp_path, {**CONFIG, "upstreams": {"counters": {"url": url}}}) as gateway:
            fleet = Fleet(gateway.port)
            clients = [Client(fleet, number) for number in range(CLIENTS)]
            try:
                await _watch(fleet, clients, url)
            finally:
                fleet.is_over = True
                for client in clients:
                    client.close()
            assert not re.search(r"^pushgate_poll_failures_total", gateway.metrics(), re.MULTILINE)
    assert not fleet.troubles, f"{len(fleet.troubles)}: {fleet.troubles[:10]}"
    assert fleet.events > CLIENTS * (DURATION / INTERVAL - 2)
    assert fleet.slowest < AT_ONCE, "somebody was told by the next change only"
    assert len(fleet.ways) == 4 and min(fleet.ways.values()) > CLIENTS / 10, fleet.ways


async def _watch(fleet: Fleet, clients: list[Client], url: str) -> None:
    """Let them follow for a while, then stop the changes; return when everybody has the last state."""
    ends_at = time.time() + DURATION
    for first in range(0, CLIENTS, 100):
        async with asyncio.TaskGroup() as tasks:
            for client in clients[first : first + 100]:
                tasks.create_task(client.connect())
    await asyncio.sleep(ends_at - time.time())
    async with http_client() as backend:
        await backend.post(f"{url}/stop")
        last = (await backend.get(f"{url}/counts")).json()
    assert len(last) == CLIENTS

    def lagging() -> list[tuple[int, int, int]]:
        return [(one.number, one.seen, n) for one in clients if one.seen != (n := last[str(one.number)])]

    deadline = time.time() + ABSENCE + AT_ONCE
    while lagging() and time.time() < deadline:  # noqa: ASYNC110 (thousands would have to tell)
        await asyncio.sleep(0.1)
    assert not lagging(), f"(client, has, last) of {len(lagging())}: {lagging()[:10]}"


def document(n: int) -> dict[str, Any]:
    """Twenty-four of them are more than what is replayed, and no two have anything in common."""
    return {"n": n, "text": f"{n:x}".zfill(8) * 100}


async def test_beyond_the_replay_comes_the_newest_state() -> None:
    """Who was away for less than 16 KB of changes is told of each; who missed more, of the latest alone."""
    async with (
        scripted_backend(document(0)) as backend,
        http_client() as client,
        running_gateway(backend, {"/t": route(emit="snapshot", poll={"linger": "30s"})}) as gateway,
    ):

        async def ask(cursor: str | None = None) -> tuple[list[int], str]:
            params = {"wait": "20"} | ({"cursor": cursor} if cursor else {})
            answer = await client.get(f"{gateway.base}/t", params=params)
            return [event["data"]["n"] for event in answer.json()["events"]], answer.headers["Pushgate-Cursor"]

        seen, cursor = await ask()
        assert seen == [0]
        for n in range(1, 11):
            backend.serve(document(n))
            await backend.polled(2)
        few, cursor = await ask(cursor)
        assert few == [*range(1, 11)]
        for n in range(11, 35):
            backend.serve(document(n))
            await backend.polled(2)
        many, cursor = await ask(cursor)
        assert many == [34]
