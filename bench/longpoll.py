"""
Long poll: what it costs to answer a parked client with an event and to park it again with its next request.

Events of 100 B, 2 KB and 20 KB go to 1,000, 5,000 and 15,000 clients on connections that are kept alive; each asks
again as soon as it is answered, with the position that the answer has told it. The servers are pushgate, Nchan and the
naive baseline (naive.py; one round), fed and measured in turns as in fanout. The bill of a delivery is that of the
answer and of the request behind it, and the next event comes when everybody waits again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from .fanout import Runs, compared, costs, cpu_of, events_of, peers, told
from .load import Load
from .machine import missing_nchan
from .servers import build
from .table import Figure, Finding, NotMeasured

MAX_TIMES_NCHAN = 4.0
MAX_TIMES_NAIVE = 0.8


def measure(folder: Path, *, subscribers: Sequence[int], rounds: int) -> Iterator[Finding]:
    """Measure every server; ``folder`` is for what is compiled."""
    load = Load(build(folder, "fan"))
    for number in subscribers:
        with ExitStack() as stack:
            servers = peers(stack, number)
            clients = [stack.enter_context(load.clients(server, "longpoll", number)) for server in servers]
            for size, runs in compared(clients, number, rounds=rounds):
                yield from _findings(f"{told(size)} to {number:,}", runs, events=events_of(number))


def _findings(where: str, runs: Runs, *, events: int) -> Iterator[Finding]:
    cpu = cpu_of(runs)
    times = cpu["pushgate"]
    if "nchan" in cpu:
        yield Figure("longpoll", f"{where}: CPU, to Nchan's", times / cpu["nchan"], "x", MAX_TIMES_NCHAN)
    else:
        yield NotMeasured("longpoll", f"{where}: CPU, to Nchan's", str(missing_nchan()))
    yield Figure("longpoll", f"{where}: CPU, to naive", times / cpu["naive"], "x", MAX_TIMES_NAIVE)
    yield from costs("longpoll", where, runs, events=events)
