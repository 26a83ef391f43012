"""
Ten thousand topics, each polled every five seconds: is every poll made, how late, and what does a topic cost in memory?

The bare one is a loop of as many timers, each of which starts a GET with aiohttp and reads the answer. Both ask the
same backend for the same 2 KB, which never change; they are processes of their own, measured in turns. The backend
counts who was asked how often. A lag is the time from when a poll was due to when it began.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import msgspec
import uvloop

from .machine import pinned
from .servers import HERE, free_ports, running_backend
from .table import Figure, Finding

MAX_TIMES_BARE = 5.0
MAX_TOPIC_BYTES = 8 * 1024

TEMPLATE = "/t/{n}"
TOPICS = 10_000
EVERY = 5.0
PERIODS = 3  # that are measured
START = 2 * EVERY  # until all have begun


def measure(*, rounds: int) -> Iterator[Finding]:
    (port,) = free_ports(1)
    runs: dict[str, list[dict[str, Any]]] = {"bare": [], "pushgate": []}
    with running_backend(port):
        for _ in range(rounds):
            for who, of in runs.items():
                of.append(_run(who, port, "plain"))
        memory = median(_run("memory", port, "tiny")["memory"] for _ in range(rounds))
    lag = {who: median(run["p99"] for run in of) for who, of in runs.items()}
    note = f"{lag['pushgate'] * 1e3:.1f} ms to {lag['bare'] * 1e3:.1f} ms; {_cpu(runs)}"
    yield Figure("topics", f"p99 lag of {TOPICS:,} polls every {EVERY:g} s", lag["pushgate"] / lag["bare"], "x",
                 MAX_TIMES_BARE, note)  # fmt: skip
    skipped = sum(run["skipped"] for run in runs["pushgate"])
    yield Figure("topics", "polls that were skipped", skipped, "", 0.0, f"of {rounds * TOPICS * PERIODS:,}")
    note = "resident, beyond a document of 10 bytes"
    yield Figure("topics", "memory of an idle topic", memory, "B", MAX_TOPIC_BYTES, note)


def _cpu(runs: dict[str, list[dict[str, Any]]]) -> str:
    shares = {who: median(run["cpu"] for run in of) for who, of in runs.items()}
    return f"{shares['pushgate']:.0%} of a core to {shares['bare']:.0%}"


def _run(who: str, port: int, path: str) -> dict[str, Any]:
    """Return what a process of its own measured."""
    command = [sys.executable, "-m", "bench.topics", who, str(port), path]
    with pinned(to_server_core=True):
        output = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, Any] = msgspec.json.decode(output.splitlines()[-1])  # behind what the gateway logs
    return result


# In the process that is measured.


@asynccontextmanager
async def bare(port: int, path: str) -> AsyncIterator[list[float]]:
    """Timers on a grid each, spread over the interval, and a GET for each time that one goes off."""
    lags: list[float] = []
    loop = asyncio.get_running_loop()

    async def get(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url, allow_redirects=False) as response:
            await response.read()

    def due(session: aiohttp.ClientSession, url: str, when: float) -> None:
        lags.append(loop.time() - when)
        task = tasks.create_task(get(session, url))
        running.add(task)
        task.add_done_callback(running.discard)
        timers[url] = loop.call_at(when + EVERY, due, session, url, when + EVERY)

    running: set[asyncio.Task[None]] = set()
    timers: dict[str, asyncio.TimerHandle] = {}
    timeout = aiohttp.ClientTimeout(total=10, sock_connect=3)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        asyncio.TaskGroup() as tasks,
    ):
        begin = loop.time() + 0.1
        for n in range(TOPICS):
            when = begin + EVERY * n / TOPICS
            url = f"http://127.0.0.1:{port}/{path}/{n}"
            timers[url] = loop.call_at(when, due, session, url, when)
        yield lags
        for timer in timers.values():
            timer.cancel()


@asynccontextmanager
async def pushgate(port: int, path: str) -> AsyncIterator[list[float]]:
    """The gateway, in the process that ``pushgate run`` makes for it, with that many standing topics."""
    from pushgate.gateway import Gateway
    from pushgate.ledger import LAGS, Tally

    class Lags(Tally):
        """The histogram's buckets are too coarse."""

        def __init__(self) -> None:
            super().__init__(LAGS)
            self.every: list[float] = []

        def add(self, value: float, times: int = 1) -> None:
            super().add(value, times)
            self.every.append(value)

    gateway, lags = Gateway(_config(port, path, TOPICS)), Lags()
    gateway.metrics.ledger(TEMPLATE).lags = lags
    async with gateway.serving():
        yield lags.every


def _config(port: int, path: str, topics: int) -> Any:
    from pushgate.config.gateway import Gateway as Config

    route = {
        "upstream": "backend",
        "request": {"path": f"/{path}/{{n}}"},
        "params": {"n": [str(n) for n in range(topics)]},
        "poll": {"every": f"{EVERY:g}s", "while": "always"},
        "max_topics": topics,
    }
    server = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}, "limits": {"topics": topics}}
    upstreams = {"backend": {"url": f"http://127.0.0.1:{port}"}}
    return Config.model_validate({"version": 1, "server": server, "upstreams": upstreams, "routes": {TEMPLATE: route}})


async def punctuality(who: str, port: int, path: str) -> dict[str, float]:
    """Return the 99th percentile of the lag, the polls that were skipped, and the share of a core that was used."""
    subjects = {"bare": bare, "pushgate": pushgate}
    async with subjects[who](port, path) as lags:
        await asyncio.sleep(START)  # noqa: TID251 - a bench may wait
        await _counts(port)
        lags.clear()
        cpu = time.process_time()
        await asyncio.sleep(PERIODS * EVERY)  # noqa: TID251 - a bench may wait
        cpu = time.process_time() - cpu
        ordered = sorted(lags)
        topics, least, most, total = await _counts(port)
    assert topics == TOPICS, f"{topics} topics were polled"
    # With jitter, and at the edges, a topic has one poll more or less in any window; all together have not.
    skipped = max(0, TOPICS * PERIODS - total - TOPICS // 100) + TOPICS * max(0, PERIODS - 1 - least)
    return {
        "p99": ordered[len(ordered) * 99 // 100],
        "skipped": skipped,
        "cpu": cpu / (PERIODS * EVERY),
        "most": most,
    }


async def _counts(port: int) -> list[int]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/counts") as answer:
        counts: list[int] = await answer.json()
        return counts


async def footprint(port: int, path: str) -> dict[str, float]:
    """Return the bytes that one more topic takes: what ten thousand of them do, by what few hundred do."""
    from pushgate.gateway import Gateway

    config = _config(port, path, TOPICS)
    async with Gateway(_config(port, path, 100)).serving():
        await asyncio.sleep(2 * EVERY)  # noqa: TID251 - a bench may wait
        gc.collect()
    before = _resident()
    async with Gateway(config).serving():
        await asyncio.sleep(3 * EVERY)  # noqa: TID251 - a bench may wait
        gc.collect()
        return {"memory": (_resident() - before) / TOPICS}


def _resident() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def main(who: str, port: int, path: str) -> None:
    from pushgate.heap import tidy_heap

    tidy_heap()
    result = await (footprint(port, path) if who == "memory" else punctuality(who, port, path))
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
