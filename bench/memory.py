"""
Memory: what an idle connection costs: resident bytes of the server's processes, more after N clients were opened.

A long poll is idle when it is parked. Every figure is that of a fresh process, because memory that was used once is not
given back. A compressed stream is one whose client offers gzip (SSE) or permessage-deflate (WebSocket).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from .load import Kind, Load
from .machine import missing_nchan
from .servers import Server, build, naive, nchan, pushgate
from .table import Figure, Finding, NotMeasured

MAX_KILOBYTES: dict[Kind, float] = {"sse": 4.0, "longpoll": 4.0, "ws": 8.0}
MAX_KILOBYTES_COMPRESSED = 1.0  # more than the same without
COMPRESSED: dict[Kind, Kind] = {"gzip": "sse", "deflate": "ws"}

Start = Callable[[], AbstractContextManager[Server]]


def measure(folder: Path, *, connections: int, rounds: int) -> Iterator[Finding]:
    """Measure pushgate's kinds of clients in turns, and compare the medians; then its peers, once."""
    load = Load(build(folder, "fan"))
    samples: dict[Kind, list[float]] = {kind: [] for kind in (*MAX_KILOBYTES, *COMPRESSED)}
    promised: dict[Kind, int] = {}
    for _ in range(rounds):
        for kind, of in samples.items():
            size, promised[kind] = _per_connection(
                load, lambda: pushgate(connections=connections + 100), kind, connections
            )
            of.append(size)
    sizes = {kind: median(of) for kind, of in samples.items()}
    note = f"{connections:,} connections"
    for kind, ceiling in MAX_KILOBYTES.items():
        yield Figure("memory", f"{kind}: pushgate, per idle connection", sizes[kind], "KB", ceiling, note)
        yield from _others(load, kind, connections)
    yield Figure("memory", "a parked long poll, to an idle SSE stream", sizes["longpoll"] / sizes["sse"], "x", 1.0)
    for kind, plain in COMPRESSED.items():
        what = f"{kind}: pushgate, a compressed connection more than one of {plain}"
        if promised[kind] == connections:
            more, note = sizes[kind] - sizes[plain], f"{sizes[kind]:.2f} KB to {sizes[plain]:.2f} KB"
            yield Figure("memory", what, more, "KB", MAX_KILOBYTES_COMPRESSED, note)
        else:
            yield NotMeasured("memory", what, f"{promised[kind]} of {connections} clients were offered compression")


def _others(load: Load, kind: Kind, connections: int) -> Iterator[Finding]:
    size, _ = _per_connection(load, naive, kind, connections)
    yield Figure("memory", f"{kind}: naive, per idle connection", size, "KB")
    if reason := missing_nchan():
        yield NotMeasured("memory", f"{kind}: nchan, per idle connection", reason)
        return
    size, _ = _per_connection(load, lambda: nchan(connections=2 * connections + 100), kind, connections)
    yield Figure("memory", f"{kind}: nchan, per idle connection", size, "KB")


def _per_connection(load: Load, start: Start, kind: Kind, connections: int) -> tuple[float, int]:
    """Return resident kilobytes (1,024 bytes) per connection, and how many were promised compression."""
    with start() as server:
        before = server.resident()
        with load.clients(server, kind, connections, verb="hold") as clients:
            return (server.resident() - before) / connections / 1024, clients.compressed
