"""
A scrape: the CPU that ``GET /metrics`` costs a gateway to which 5,000 clients listen, to one without any.

Both are up at the same time and are asked in turns. Nothing changes meanwhile and no heartbeat is due, so that what the
gateway does is the scrapes. Between turns an idle stretch of the same length is measured and taken off.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from .load import Load
from .servers import Server, build, pushgate
from .table import Figure, Finding

MAX_TIMES_NONE = 2.0
SCRAPES = 50


def measure(folder: Path, *, clients: int, rounds: int) -> Iterator[Finding]:
    load = Load(build(folder, "fan"))
    with ExitStack() as stack:
        empty = stack.enter_context(pushgate(connections=100))
        full = stack.enter_context(pushgate(connections=2 * clients + 100))
        for mode in ("sse", "ws"):
            stack.enter_context(load.clients(full, mode, clients, verb="hold"))
        costs: dict[str, list[float]] = {"none": [], "many": []}
        for _ in range(rounds):
            costs["none"].append(_cost(empty))
            costs["many"].append(_cost(full))
        none, many = median(costs["none"]), median(costs["many"])
        what = f"a scrape with {2 * clients:,} clients, half of them WebSockets, to one without"
        yield Figure("scrape", what, many / none, "x", MAX_TIMES_NONE)
        yield Figure("scrape", "a scrape without clients", none * 1e6, "us")
        yield Figure("scrape", "its answer", len(_scrape(full)) / 1000, "KB")


def _cost(server: Server) -> float:
    """Return the CPU seconds of one scrape."""
    before, began = server.cpu(), perf_counter()
    for _ in range(SCRAPES):
        _scrape(server)
    spent, took = server.cpu() - before, perf_counter() - began
    idle = server.cpu()
    sleep(took)
    return (spent - (server.cpu() - idle)) / SCRAPES


def _scrape(server: Server) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=30)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()
