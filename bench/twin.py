"""
The published scenario of the one commercial gateway that also polls and pushes, beside a naive gateway in the same run.

3,000 SSE clients follow 100 topics, half of them arrays of rows of 20 KB and half of 50 KB, polled every 500 ms, and a
fifth of the rows is new each time: 6,000 events a second. Latency is from the moment at which the backend makes an
answer until the kernel has the last byte of the event in the client's socket, so that reading the answer, comparing and
writing are all part of it. pushgate sends patches; the naive gateway (naive_poller.py) sends every document as a whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .herd import Mortal, ask, gateway, herd, mortal, resources
from .servers import build, free_ports
from .table import Figure, Finding

TOPICS = 100
POLLS_PER_SECOND = 2

YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  admin: {{listen: 127.0.0.1:{admin_port}}}
  limits: {{connections: {connections}, accept_rate: off}}
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}"}}
routes:
  /rows/{{n}}:
    upstream: backend
    key: id
    poll: {{every: 500ms, jitter: 0%}}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one gateway did in one round; times in seconds."""

    delivered: int
    expected: int
    p50: float
    p99: float
    max: float
    cpu: float  # per 1,000 events
    share: float  # of a core
    bytes: float  # per event
    herd_share: float  # of a core that the clients took


def measure(folder: Path, *, clients: int, seconds: float, rounds: int) -> Iterator[Finding]:
    binary = build(folder, "herd")
    events = round(max(seconds, 4.0) * POLLS_PER_SECOND)
    runs: dict[str, list[Run]] = {"pushgate": [], "naive": []}
    for _ in range(rounds):
        for name, start in (("pushgate", _pushgate), ("naive", _naive)):
            with resources() as backend_port, start(backend_port, clients) as server:
                runs[name].append(_run(binary, server, backend_port, clients=clients, events=events))
    yield from _findings(runs, clients=clients)


@contextmanager
def _pushgate(backend_port: int, clients: int) -> Iterator[Mortal]:
    port, admin_port = free_ports(2)
    config = YAML.format(port=port, admin_port=admin_port, backend_port=backend_port, connections=clients + 100)
    with gateway(config, port=port) as server:
        yield server


def _naive(backend_port: int, clients: int) -> AbstractContextManager[Mortal]:
    (port,) = free_ports(1)
    return mortal("naive", port, [sys.executable, "-m", "bench.naive_poller", str(port), str(backend_port)])


def _run(binary: Path, server: Mortal, backend_port: int, *, clients: int, events: int) -> Run:
    with herd(binary, "sse", server.port, "/rows", clients=clients, topics=TOPICS) as crowd:
        ask(backend_port, "POST", "/go/4")  # whatever is allocated once has been
        crowd.ask("count 4 10")
        crowd.say(f"count {events} {events / POLLS_PER_SECOND + 10}")
        before = server.as_server().cpu()
        ask(backend_port, "POST", f"/go/{events}")
        seen: dict[str, Any] = crowd.hear()
        cpu = server.as_server().cpu() - before
    return Run(
        delivered=seen["messages"],
        expected=clients * events,
        p50=seen["p50_us"] / 1e6,
        p99=seen["p99_us"] / 1e6,
        max=seen["max_us"] / 1e6,
        cpu=cpu / max(1, seen["messages"]) * 1000,
        share=cpu / seen["seconds"],
        bytes=seen["bytes"] / max(1, seen["messages"]),
        herd_share=seen["cpu"] / seen["seconds"],
    )


def _findings(runs: dict[str, list[Run]], *, clients: int) -> Iterator[Finding]:
    ours = runs["pushgate"]
    missing = sum(run.expected - run.delivered for run in ours)
    note = f"{clients} clients, {TOPICS} topics of 20 and 50 KB; {sum(run.expected for run in ours)} events"
    yield Figure("twin", "events that were not delivered, or twice", abs(missing), "", 0, note)
    cpu = {name: median(run.cpu for run in of) for name, of in runs.items()}
    yield Figure("twin", "CPU per event, to the naive gateway's", cpu["pushgate"] / cpu["naive"], "x")
    for name, of in runs.items():
        yield Figure("twin", f"{name}: CPU per 1,000 events", cpu[name] * 1000, "ms", note=_told(of))


def _told(runs: list[Run]) -> str:
    delays = "/".join(f"{median(times) * 1000:.1f}" for times in _delays(runs))
    losses = sum(run.expected - run.delivered for run in runs)
    size, share = median(run.bytes for run in runs) / 1000, median(run.share for run in runs)
    return (
        f"delivered after {delays} ms (median/p99/max); {losses} lost; {size:.1f} KB per event; "
        f"{share:.0%} of a core, its clients {max(run.herd_share for run in runs):.0%}"
    )


def _delays(runs: list[Run]) -> list[list[float]]:
    return [[run.p50 for run in runs], [run.p99 for run in runs], [run.max for run in runs]]
