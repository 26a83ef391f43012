"""
Fairness: what 10,000 subscribers of one topic do to everybody else.

A small topic is polled every 50 ms and has ten subscribers. The rounds alternate: in every other one 10,000 follow a
big topic, which changes two and a half times a second, 2 KB for each of them. It is measured open-loop: an event is as
late as it comes after the moment at which its poll was due, whether or not that poll began in time, and a poll that was
left out is as late as the next one makes it. Meanwhile clients of a topic that never changes wait for their heartbeats,
and others come, wait for their first event, and leave.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .generator import Generator
from .herd import ask, gateway, herd, resources
from .servers import build, free_ports
from .table import Figure, Finding

MAX_TIMES_ALONE = 3.0

EVERY = 50_000_000  # nanoseconds between two polls of the small topic
MILLISECOND = 1_000_000
ALMOST_EMPTY = 0.02
TOLERANCE = 2 * MILLISECOND  # the two clocks of a machine do not keep step to the microsecond
SMALL, QUIET = 10, 16  # subscribers
HEARTBEAT = 4  # seconds; often enough that everybody has some in a round, and theirs are part of the load
BETWEEN_VISITS = 0.1
WARM_UP = 1.5
ENDLESS = 1_000_000
SO_TIMESTAMPNS = 35  # Linux; the socket module does not name it

YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  admin: {{listen: 127.0.0.1:{admin_port}}}
  heartbeat: {heartbeat}s
  limits: {{connections: {connections}, accept_rate: off}}
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}"}}
defaults: {{upstream: backend, emit: snapshot}}
routes:
  /small: {{request: {{path: /event/1}}, poll: {{every: 50ms, jitter: 0%}}}}
  /big: {{request: {{path: /event/2}}, poll: {{every: 400ms, jitter: 0%}}}}
  /quiet: {{request: {{path: /still/3}}, poll: {{every: 1m}}}}
"""

Arrivals = list[tuple[int, int]]  # stamp and arrival of each event, in nanoseconds


@dataclass(slots=True)
class Seen:
    """What was seen in the rounds of one kind."""

    rounds: list[Arrivals] = field(default_factory=list)
    visits: list[float] = field(default_factory=list)  # seconds from connect to first event
    beat_gap: float = 0.0  # the longest between two heartbeats, in seconds
    delivered: int = 0  # events of the big topic
    p99: float = 0.0  # of these, in seconds
    lost: int = 0


def measure(folder: Path, *, subscribers: int, seconds: float, rounds: int) -> Iterator[Finding]:
    binary = build(folder, "herd")
    port, admin_port = free_ports(2)
    seen = {False: Seen(), True: Seen()}
    with ExitStack() as stack:
        backend_port = stack.enter_context(resources())
        config = YAML.format(
            port=port,
            admin_port=admin_port,
            backend_port=backend_port,
            heartbeat=HEARTBEAT,
            connections=subscribers + 1000,
        )
        stack.enter_context(gateway(config, port=port))
        small = stack.enter_context(herd(binary, "sse", port, "/small", clients=SMALL, is_dumping=True))
        quiet = stack.enter_context(herd(binary, "sse", port, "/quiet", clients=QUIET))
        ask(backend_port, "POST", f"/go/{ENDLESS}/event")
        for _ in range(rounds):
            time.sleep(WARM_UP)
            _round(seen[False], [small, quiet], port, seconds=max(seconds, 2.5 * HEARTBEAT))
            with herd(binary, "sse", port, "/big", clients=subscribers) as big:
                time.sleep(WARM_UP)
                _round(seen[True], [small, quiet, big], port, seconds=max(seconds, 2.5 * HEARTBEAT))
    yield from _findings(seen[False], seen[True], subscribers=subscribers)


def _round(seen: Seen, herds: list[Generator], port: int, *, seconds: float) -> None:
    """Watch the small topic, the quiet one, and perhaps the big one."""
    for one in herds:
        one.say(f"count {ENDLESS} {seconds}")
    seen.visits += _visits(port, until=time.monotonic() + seconds)  # noqa: TID251 - a bench may look at the clock
    answers: list[dict[str, Any]] = [one.hear() for one in herds]
    seen.rounds.append([(stamp, arrival) for stamp, arrival in answers[0]["arrivals"]])
    seen.beat_gap = max(seen.beat_gap, answers[1]["beat_gap_ms"] / 1000)
    for big in answers[2:]:
        seen.delivered += big["messages"]
        seen.p99 = max(seen.p99, big["p99_us"] / 1e6)
        seen.lost += big["repeats"] + max(0, big["most"] - big["least"] - 1)


def _visits(port: int, *, until: float) -> list[float]:
    """Come, wait for the first event, leave, again and again; return how long each first event took."""
    delays = []
    while time.monotonic() < until:  # noqa: TID251 - a bench may look at the clock
        delays.append(_visit(port))
        time.sleep(BETWEEN_VISITS)
    return delays


def _visit(port: int) -> float:
    """Return the seconds from the attempt to connect until the kernel had the first byte of the answer."""
    with socket.socket() as connection:
        connection.settimeout(10)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        begin = time.time_ns()
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /quiet HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        _, ancillary, _, _ = connection.recvmsg(65536, 64)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    return float(seconds * 10**9 + nanoseconds - begin) / 1e9


def lateness(rounds: list[Arrivals], *, phase: int) -> list[float]:
    """Return how many seconds after it was due each event came, the polls that were left out included."""
    late: list[float] = []
    for arrivals in rounds:
        previous: int | None = None
        dues: dict[int, list[int]] = {}
        for stamp in sorted({stamp for stamp, _ in arrivals}):
            turn = (stamp - phase + TOLERANCE) // EVERY
            first = turn if previous is None else min(previous + 1, turn)
            dues[stamp] = [phase + n * EVERY for n in range(first, turn + 1)]
            previous = turn
        late += [(arrival - due) / 1e9 for stamp, arrival in arrivals for due in dues[stamp]]
    return late


def phase_of(rounds: list[Arrivals]) -> int:
    """
    Return where the grid lies on which the polls are due, from rounds in which most polls are punctual.

    It is not known, but nothing is stamped before it is due, and a moment after that most are: so it is where the first
    stamp is of those milliseconds around the fullest one that are not almost empty.
    """
    stamps = {stamp for arrivals in rounds for stamp, _ in arrivals}
    counts = Counter(stamp % EVERY // MILLISECOND for stamp in stamps)
    (first, _), *_ = counts.most_common(1)
    while counts[(first - 1) % (EVERY // MILLISECOND)] > len(stamps) * ALMOST_EMPTY:
        first = (first - 1) % (EVERY // MILLISECOND)
    return min(stamp % EVERY for stamp in stamps if stamp % EVERY // MILLISECOND == first)


def _findings(alone: Seen, busy: Seen, *, subscribers: int) -> Iterator[Finding]:
    phase = phase_of(alone.rounds)
    own, beside = (_percentiles(lateness(seen.rounds, phase=phase)) for seen in (alone, busy))
    what = f"p99 delivery of a small topic beside {subscribers} subscribers of another, to that alone"
    yield Figure("fairness", what, beside[1] / own[1], "x", MAX_TIMES_ALONE, f"{_told(beside)} to {_told(own)}")
    note = f"{busy.delivered} events of the big topic, p99 {busy.p99 * 1000:.0f} ms"
    yield Figure("fairness", "events of the big topic that were lost or came twice", busy.lost, "", 0, note)
    before, after = _percentiles(alone.visits), _percentiles(busy.visits)
    what = "from connect to the first event, p99, beside them"
    yield Figure("fairness", what, after[1] * 1000, "ms", None, f"{_told(after)} to {_told(before)}")
    note = f"{alone.beat_gap:.2f} s alone; every {HEARTBEAT:g} s"
    yield Figure("fairness", "longest time between two heartbeats, beside them", busy.beat_gap, "s", None, note)


def _percentiles(seconds: list[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]


def _told(percentiles: tuple[float, float, float]) -> str:
    return "/".join(f"{value * 1000:.1f}" for value in percentiles) + " ms (median/p99/max)"
