"""
Coming and going: the CPU that one connection costs a server from accept to close, its first event included.

Many clients that connect at once are what follows every restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import get_args

from .load import Load
from .machine import missing_nchan
from .servers import Mode, build, nchan, pushgate
from .table import Figure, Finding, NotMeasured

MAX_TIMES_NCHAN = 5.0

# Connections that are open at the same time.
WIDTH = 100


def measure(folder: Path, *, connections: int, rounds: int) -> Iterator[Finding]:
    load = Load(build(folder, "fan"))
    with ExitStack() as stack:
        servers = [stack.enter_context(pushgate(connections=2000))]
        if missing_nchan() is None:
            servers.append(stack.enter_context(nchan(connections=4000)))
        for mode in get_args(Mode):
            times: dict[str, list[float]] = {server.name: [] for server in servers}
            for _ in range(rounds):
                for server in servers:
                    times[server.name].append(load.churn(server, mode, connections=connections, width=WIDTH))
            yield from _findings(mode, {name: median(of) for name, of in times.items()})


def _findings(mode: Mode, cpu: dict[str, float]) -> Iterator[Finding]:
    what = f"{mode}: CPU from accept to close, to Nchan's"
    if "nchan" in cpu:
        yield Figure("accept", what, cpu["pushgate"] / cpu["nchan"], "x", MAX_TIMES_NCHAN)
    else:
        yield NotMeasured("accept", what, str(missing_nchan()))
    for name, seconds in cpu.items():
        yield Figure("accept", f"{mode}: {name}", seconds * 1e6, "us")
