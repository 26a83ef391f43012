"""
Polling: what a poll costs that brings nothing new, beside a bare GET with aiohttp.

Both ask the same backend for the same 2 KB as fast as they can, over as many connections: the gateway with topics that
are always due, the bare one with tasks that do nothing but ask and read. They are processes of their own, measured in
turns, and each counts its own polls and its own CPU time.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from statistics import median

import aiohttp
import uvloop

from .machine import pinned
from .servers import HERE, free_ports, running_backend
from .table import Figure, Finding

MAX_TIMES_BARE = 1.5

TOPICS = 50
EVERY = "1ms"  # a topic is due again as soon as its poll has ended
WARM_UP = 0.5

# What the backend does when it is asked again, and the path under which it does so.
ANSWERS = {"the same bytes": "plain", "304": "tagged"}


def measure(*, seconds: float, rounds: int) -> Iterator[Finding]:
    (port,) = free_ports(1)
    with running_backend(port):
        for answer, path in ANSWERS.items():
            times: dict[str, list[float]] = {"bare": [], "pushgate": []}
            for _ in range(rounds):
                for who, of in times.items():
                    of.append(_ask(who, port, path, seconds))
            cpu = {who: median(of) * 1e6 for who, of in times.items()}
            note = f"{cpu['pushgate']:.0f} us to {cpu['bare']:.0f} us, {TOPICS} topics"
            what = f"unchanged poll of 2 KB ({answer}), to a bare GET"
            yield Figure("poll", what, cpu["pushgate"] / cpu["bare"], "x", MAX_TIMES_BARE, note)


def _ask(who: str, port: int, path: str, seconds: float) -> float:
    """Return the CPU seconds per poll that a process of its own measured."""
    command = [sys.executable, "-m", "bench.poll", who, str(port), path, str(seconds)]
    with pinned(to_server_core=True):
        output = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(output.splitlines()[-1])  # behind what the gateway logs


# In the process that is measured.


@asynccontextmanager
async def bare(port: int, path: str) -> AsyncIterator[Callable[[], float]]:
    """GET loops on one session, with the settings of the gateway's; yields a function that counts the GETs so far."""
    count = 0

    async def loop(session: aiohttp.ClientSession, url: str) -> None:
        nonlocal count
        headers = {"If-None-Match": '"v1"'} if path == "tagged" else {}
        while True:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                await response.read()
            count += 1

    timeout = aiohttp.ClientTimeout(total=10, sock_connect=3)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        asyncio.TaskGroup() as tasks,
    ):
        loops = [tasks.create_task(loop(session, f"http://127.0.0.1:{port}/{path}/{n}")) for n in range(TOPICS)]
        yield lambda: count
        for task in loops:
            task.cancel()


@asynccontextmanager
async def pushgate(port: int, path: str) -> AsyncIterator[Callable[[], float]]:
    """The gateway, in the process that ``pushgate run`` makes for it; yields a function that counts its polls."""
    from prometheus_client.parser import text_string_to_metric_families

    from pushgate.config.gateway import Gateway as Config
    from pushgate.gateway import Gateway
    from pushgate.heap import tidy_heap

    route = {
        "upstream": "backend",
        "request": {"path": f"/{path}/{{n}}"},
        "params": {"n": [str(n) for n in range(TOPICS)]},
        "poll": {"every": EVERY, "while": "always"},
    }
    config = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}},
        "upstreams": {"backend": {"url": f"http://127.0.0.1:{port}"}},
        "routes": {"/rows/{n}": route},
    }

    def unchanged() -> float:
        families = text_string_to_metric_families(gateway.metrics.text().decode())
        samples = [sample for family in families for sample in family.samples if sample.name == "pushgate_polls_total"]
        return sum(sample.value for sample in samples if sample.labels["outcome"] in ("unchanged", "not_modified"))

    tidy_heap()
    async with Gateway(Config.model_validate(config)).serving() as gateway:
        yield unchanged


async def cost(who: str, port: int, path: str, seconds: float) -> float:
    """Return the CPU seconds of this process per poll."""
    subjects = {"bare": bare, "pushgate": pushgate}
    async with subjects[who](port, path) as polls:
        await asyncio.sleep(WARM_UP)  # noqa: TID251 - a bench may wait
        count, cpu = polls(), time.process_time()
        await asyncio.sleep(seconds)  # noqa: TID251 - a bench may wait
        cpu = time.process_time() - cpu
        return cpu / max(1, polls() - count)


if __name__ == "__main__":
    print(uvloop.run(cost(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))))
