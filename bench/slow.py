"""
Slow readers: what one client in a hundred that reads nothing costs the others, and the gateway.

1,000 clients, events of 20 KB, eight a second. The rounds alternate: in every other one, ten of the clients do not
read. Before it is measured they have been silent for long enough that everything is full which may lie between them and
the gateway. Each round is cut into seconds, of whose p99 the median counts, so that a moment in which the machine was
busy with something else is one second and not the whole. When the ten read again they get what the kernel holds for
them, and then one event takes them to the present: in the numbers of the events they get there is exactly one gap.

What a stalled client costs is what the gateway's memory has grown by, and the bytes that the kernel holds for it on the
gateway's side of the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, get_args

from .generator import Generator
from .herd import Mortal, ask, gateway, herd, resources
from .servers import Mode, build, free_ports
from .table import Figure, Finding

MAX_TIMES_WITHOUT = 1.2
MAX_KILOBYTES = 1024.0

STALLED_SHARE = 100  # one in so many
EVENTS_PER_SECOND = 8
STALL = 3.0  # seconds until everything is full: 480 KB
CATCH_UP_WITHIN = 5.0
ENDLESS = 1_000_000

YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  admin: {{listen: 127.0.0.1:{admin_port}}}
  limits: {{connections: {connections}}}
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}"}}
routes:
  /large/{{n}}:
    upstream: backend
    emit: snapshot
    poll: {{every: {milliseconds}ms, jitter: 0%}}
"""


@dataclass(slots=True)
class Seen:
    """What came of all rounds; times in microseconds, sizes in bytes per stalled client."""

    p99: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    p50: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    grown: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)  # least and most
    held: int = 0  # the most events that came before the gap
    behind: int = 0
    lost: int = 0
    uneven: int = 0  # seconds in which somebody who reads did not get every event once


def measure(folder: Path, *, clients: int, seconds: float, rounds: int) -> Iterator[Finding]:
    binary = build(folder, "herd")
    for mode in get_args(Mode):
        stalled = max(1, clients // STALLED_SHARE)
        seen = _watch(binary, mode, clients=clients, stalled=stalled, seconds=max(seconds, 4.0), rounds=rounds)
        yield from _findings(mode, seen, stalled=stalled)


def _watch(binary: Path, mode: Mode, *, clients: int, stalled: int, seconds: float, rounds: int) -> Seen:
    port, admin_port = free_ports(2)
    seen = Seen()
    with ExitStack() as stack:
        config = YAML.format(
            port=port,
            admin_port=admin_port,
            backend_port=(backend_port := stack.enter_context(resources())),
            connections=clients + 100,
            milliseconds=1000 // EVENTS_PER_SECOND,
        )
        server = stack.enter_context(gateway(config, port=port))
        crowd = stack.enter_context(herd(binary, mode, port, "/large", clients=clients, topics=1))
        ask(backend_port, "POST", f"/go/{ENDLESS}")
        sleep(STALL)  # whatever is allocated once has been
        for _ in range(rounds):
            _round(server, crowd, seen, stalled=stalled, seconds=round(seconds))
    return seen


def _round(server: Mortal, crowd: Generator, seen: Seen, *, stalled: int, seconds: int) -> None:
    _count(crowd, seen, seconds=seconds, with_stalled=False)
    before = server.as_server().resident()
    crowd.ask(f"stall {stalled}")
    sleep(STALL)
    _count(crowd, seen, seconds=seconds, with_stalled=True)
    seen.grown.append((server.as_server().resident() - before) / stalled)
    seen.queued.append(min(_samples(server.port)) / stalled)  # without what is on its way to the others
    crowd.ask("read")
    caught = _catch_up(crowd)
    seen.gaps += [caught["least_jumps"], caught["most_jumps"]]
    seen.held = max(seen.held, caught["most_held"])
    seen.behind += caught["behind"]
    seen.lost += caught["lost"]


def _count(crowd: Generator, seen: Seen, *, seconds: int, with_stalled: bool) -> None:
    for _ in range(seconds):
        counted = crowd.ask(f"count {EVENTS_PER_SECOND} 10")
        seen.p99[with_stalled].append(counted["p99_us"])
        seen.p50[with_stalled].append(counted["p50_us"])
        seen.uneven += counted["jumps"] > 0 or counted["repeats"] > 0 or counted["least"] < EVENTS_PER_SECOND


def _catch_up(crowd: Generator) -> dict[str, Any]:
    """Wait until those who read again know what the others know; return how they came there."""
    sleep(1.0)  # and a few events more, between which no gap may be
    deadline = perf_counter() + CATCH_UP_WITHIN
    while (caught := crowd.ask("caught"))["behind"] and perf_counter() < deadline:
        sleep(0.05)
    return caught


def _samples(port: int) -> Iterator[int]:
    for _ in range(20):
        yield queued(port)
        sleep(0.02)


def queued(port: int) -> int:
    """Return the bytes that the kernel holds for the clients of a port: written, and not acknowledged by them."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port:
            total += int(fields[4].partition(":")[0], 16)
    return total


def _findings(mode: Mode, seen: Seen, *, stalled: int) -> Iterator[Finding]:
    without, beside = median(seen.p99[False]), median(seen.p99[True])
    note = f"{beside / 1000:.1f} to {without / 1000:.1f} ms; medians {_ms(seen.p50[True])} to {_ms(seen.p50[False])} ms"
    what = f"{mode}: p99 delivery beside {stalled} clients that do not read, to that without"
    yield Figure("slow", what, beside / without, "x", MAX_TIMES_WITHOUT, note)
    grown, queued = max(seen.grown) / 1024, max(seen.queued) / 1024
    note = f"{grown:.0f} KB in the process, {queued:.0f} KB in the kernel"
    yield Figure("slow", f"{mode}: memory per stalled client", grown + queued, "KB", MAX_KILOBYTES, note)
    note = f"least {min(seen.gaps)}; up to {seen.held} events were under way before"
    yield Figure("slow", f"{mode}: catch-ups until current, when it reads again", max(seen.gaps), "", 1, note)
    missing = seen.lost + seen.behind
    yield Figure("slow", f"{mode}: stalled clients that were cut or did not become current", missing, "", 0)
    yield Figure("slow", f"{mode}: seconds in which another lost an event or got one twice", seen.uneven, "", 0)


def _ms(microseconds: list[float]) -> str:
    return f"{median(microseconds) / 1000:.1f}"
