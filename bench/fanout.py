"""
Fan-out: what it costs to deliver one event to one subscriber, and how long it takes.

Events of 100 B, 2 KB and 20 KB go to 1,000, 5,000 and 15,000 subscribers, over SSE and over WebSocket, at a rate that
makes 20,000 deliveries a second: 20, 4 and 1.3 events a second. pushgate polls a backend as often; the floor (floor.c),
Nchan and the naive baseline (naive.py) are handed each event with a POST. No event comes before everybody has the last
one, so that nobody is measured while the loopback or the load generator is what they wait for. The subscribers of all
servers are open at the same time; the servers are measured in turns, each round in the same order, and medians are
compared. Naive, and what has a single subscriber, have one round only.

To Nchan and to naive the whole bill is compared, polling included. The floor is a yardstick for writing and for nothing
else, so to it only the deliveries are compared: what the same events cost with a single subscriber, which is what it
costs to get them, is taken off both bills. It is told in rows of its own, and the ratio of the whole bills in a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import get_args

from .load import Clients, Load
from .machine import missing_nchan
from .servers import Mode, Server, build, floor, naive, nchan, pushgate
from .table import Figure, Finding, NotMeasured

SIZES = (100, 2_000, 20_000)  # bytes
MAX_TIMES_FLOOR = {100: 1.35, 2_000: 1.25, 20_000: 1.15}
MAX_TIMES_NCHAN = 1.05

# Who is measured in each round; the others, whose figures are far from any target, only in the first.
RIVALS = ("pushgate", "floor", "nchan")

# Deliveries in a second, if the server can, and in one measurement, but never fewer events than two.
DELIVERY_RATE = 20_000
DELIVERIES = 20_000


@dataclass(frozen=True, slots=True)
class Run:
    """What one server did in one round; times in microseconds."""

    cpu: float  # per delivered message
    p50: float
    p99: float
    max: float
    least: float  # messages per subscriber
    most: float
    fan_cpu: float  # of the load generator, per delivered message


Runs = Mapping[str, Sequence[Run]]


def measure(folder: Path, *, subscribers: Sequence[int], rounds: int) -> Iterator[Finding]:
    """Measure every server in every mode; ``folder`` is for what is compiled."""
    load = Load(build(folder, "fan"))
    floor_binary = build(folder, "floor")
    for mode in get_args(Mode):
        for number in subscribers:
            with ExitStack() as stack:
                servers = [stack.enter_context(floor(floor_binary)), *peers(stack, number)]
                clients = [stack.enter_context(load.clients(server, mode, number)) for server in servers]
                clients += [
                    stack.enter_context(load.clients(one, mode, 1)) for one in _alone(stack, floor_binary, number)
                ]
                for size, runs in compared(clients, number, rounds=rounds):
                    yield from _findings(f"{mode}, {told(size)} to {number:,}", runs, size, number)


def peers(stack: ExitStack, subscribers: int) -> list[Server]:
    """Start pushgate, the naive baseline, and Nchan if it is there."""
    us = pushgate(connections=subscribers + 100, every=interval_of(subscribers))
    servers = [stack.enter_context(us), stack.enter_context(naive())]
    if missing_nchan() is None:
        # Twice as many: nginx closes kept connections when few others are left.
        servers.append(stack.enter_context(nchan(connections=2 * subscribers + 100)))
    return servers


def _alone(stack: ExitStack, floor_binary: Path, subscribers: int) -> list[Server]:
    """Start those again whose single subscriber gets as many events as so many do."""
    ours = stack.enter_context(pushgate(connections=100, every=interval_of(subscribers)))
    return [replace(one, name=_alone_name(one.name)) for one in (stack.enter_context(floor(floor_binary)), ours)]


def _alone_name(server: str) -> str:
    return f"{server}, a single subscriber"


def interval_of(subscribers: int) -> float:
    """Return the seconds between two events."""
    return subscribers / DELIVERY_RATE


def events_of(subscribers: int) -> int:
    return max(2, DELIVERIES // subscribers)


def compared(clients: Sequence[Clients], subscribers: int, *, rounds: int) -> Iterator[tuple[int, Runs]]:
    """Measure all in turns; yields the runs of each server for each size of events."""
    events, every = events_of(subscribers), interval_of(subscribers)
    for one in clients:
        one.deliver(1, SIZES[-1], every=every)  # buffers have grown to what they will be
    for size in SIZES:
        runs: dict[str, list[Run]] = {one.server.name: [] for one in clients}
        for n in range(rounds):
            for one in clients:
                if n == 0 or one.server.name in RIVALS:
                    runs[one.server.name].append(_run(one, events, size, every))
        yield size, runs


def _run(clients: Clients, events: int, size: int, every: float) -> Run:
    seen, cpu = clients.deliver(events, size, every=every)
    messages = max(1, seen["messages"])
    return Run(
        cpu=cpu / messages * 1e6,
        p50=seen["p50_us"],
        p99=seen["p99_us"],
        max=seen["max_us"],
        least=seen["least"],
        most=seen["most"],
        fan_cpu=seen["cpu"] / messages * 1e6,
    )


def _findings(where: str, runs: Runs, size: int, subscribers: int) -> Iterator[Finding]:
    cpu = cpu_of(runs)
    times = cpu["pushgate"]
    ours, lowest = (cpu[name] - cpu[_alone_name(name)] / subscribers for name in ("pushgate", "floor"))
    note = f"{times / cpu['floor']:.2f} x with polling"
    yield Figure("fanout", f"{where}: CPU, to the floor's", ours / lowest, "x", MAX_TIMES_FLOOR[size], note)
    if "nchan" in cpu:
        yield Figure("fanout", f"{where}: CPU, to Nchan's", times / cpu["nchan"], "x", MAX_TIMES_NCHAN)
    else:
        yield NotMeasured("fanout", f"{where}: CPU, to Nchan's", str(missing_nchan()))
    yield Figure("fanout", f"{where}: CPU, to naive", times / cpu["naive"], "x")
    yield from costs("fanout", where, runs, events=events_of(subscribers))


def cpu_of(runs: Runs) -> dict[str, float]:
    """Return each server's microseconds per delivered message."""
    return {name: median(run.cpu for run in of) for name, of in runs.items()}


def costs(bench: str, where: str, runs: Runs, *, events: int) -> Iterator[Finding]:
    """Yield what each server took, which no ceiling is set for."""
    for name, of in runs.items():
        delays = "/".join(f"{median(times) / 1000:.0f}" for times in _delays(of))
        note = f"after {delays} ms (median/p99/max); {_losses(of, events)}"
        yield Figure(bench, f"{where}: {name}", median(run.cpu for run in of), "us", note=note)


def told(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size // 1000} KB"


def _delays(runs: Sequence[Run]) -> list[list[float]]:
    return [[run.p50 for run in runs], [run.p99 for run in runs], [run.max for run in runs]]


def _losses(runs: Sequence[Run], events: int) -> str:
    least, most = min(run.least for run in runs), max(run.most for run in runs)
    if least == most == events:
        return "nothing lost"
    return f"LOST OR REPEATED: {least:.0f} to {most:.0f} of {events} events per subscriber"
