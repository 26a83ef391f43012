"""
Fan-out: what it costs to deliver one event to one subscriber, and how long it takes.

5,000 subscribers, events of 100 bytes, 4 a second. pushgate polls a backend for them, and that polling is part of its
bill; the floor (floor.c) and Nchan are handed each event with a POST. The servers are measured in turns, each round in
the same order, and the medians of a server's rounds are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import get_args

from .machine import missing_nchan
from .servers import EVENTS_PER_SECOND, Load, Mode, Server, build, floor, nchan, pushgate
from .table import Figure, Finding, NotMeasured

MAX_TIMES_FLOOR = 1.35
MAX_TIMES_NCHAN = 1.05


@dataclass(frozen=True, slots=True)
class Run:
    """What one server did in one round; times in microseconds."""

    cpu: float  # per delivered message
    p50: float
    p99: float
    max: float
    least: float  # messages per subscriber
    most: float
    fan_share: float  # of a core, while it waited for the events


def measure(folder: Path, *, subscribers: int, seconds: float, rounds: int) -> Iterator[Finding]:
    """Measure every server in every mode; ``folder`` is for what is compiled."""
    load = Load(build(folder, "fan"))
    events = round(seconds * EVENTS_PER_SECOND)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(floor(build(folder, "floor"))),
            stack.enter_context(pushgate(connections=subscribers + 100)),
        ]
        if missing_nchan() is None:
            servers.append(stack.enter_context(nchan(connections=2 * subscribers + 100)))
        for mode in get_args(Mode):
            runs: dict[str, list[Run]] = {server.name: [] for server in servers}
            for _ in range(rounds):
                for server in servers:
                    runs[server.name].append(_run(load, server, mode, subscribers=subscribers, events=events))
            yield from _findings(mode, runs, events=events)


def _run(load: Load, server: Server, mode: Mode, *, subscribers: int, events: int) -> Run:
    seen, cpu = load.watch(server, mode, subscribers=subscribers, events=events)
    return Run(
        cpu=cpu / max(1, seen["messages"]) * 1e6,
        p50=seen["p50_us"],
        p99=seen["p99_us"],
        max=seen["max_us"],
        least=seen["least"],
        most=seen["most"],
        fan_share=seen["cpu"] / seen["seconds"],
    )


def _findings(mode: Mode, runs: dict[str, list[Run]], *, events: int) -> Iterator[Finding]:
    cpu = {name: median(run.cpu for run in of) for name, of in runs.items()}
    what = f"{mode}: CPU per delivered message"
    yield Figure("fanout", f"{what}, to the floor's", cpu["pushgate"] / cpu["floor"], "x", MAX_TIMES_FLOOR)
    if "nchan" in cpu:
        yield Figure("fanout", f"{what}, to Nchan's", cpu["pushgate"] / cpu["nchan"], "x", MAX_TIMES_NCHAN)
    else:
        yield NotMeasured("fanout", f"{what}, to Nchan's", str(missing_nchan()))
    for name, of in runs.items():
        delays = "/".join(f"{median(times) / 1000:.0f}" for times in _delays(of))
        note = f"delivered after {delays} ms (median/p99/max); {_losses(of, events)}"
        fan = max(run.fan_share for run in of)
        yield Figure("fanout", f"{mode}: {name}", cpu[name], "us", note=f"{note}; load generator {fan:.0%} of a core")


def _delays(runs: list[Run]) -> list[list[float]]:
    return [[run.p50 for run in runs], [run.p99 for run in runs], [run.max for run in runs]]


def _losses(runs: list[Run], events: int) -> str:
    least, most = min(run.least for run in runs), max(run.most for run in runs)
    if least == most == events:
        return "nothing lost"
    return f"LOST OR REPEATED: {least:.0f} to {most:.0f} of {events} events per subscriber"
