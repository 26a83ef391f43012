"""
Storms: what happens when a gateway is killed under 5,000 clients and started again on the same port.

All come back with the id of what they know. In every other run their documents changed while the gateway was away.
First the clients are greedy: they reconnect at once, again and again, and are compared with the same clients before the
floor (floor.c), which greets whoever connects and knows nothing. Then they are obedient: the gateway admits as many in
a second as it does by default, and they come back when they were told to. When all are back, the documents change once
more. Nobody may have lost anything, and the backend may have been asked once for each topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, get_args

from .generator import Generator
from .herd import Mortal, ask, gateway, herd, mortal, resources
from .servers import Mode, build, free_ports
from .table import Figure, Finding

MAX_TIMES_FLOOR = 4.0

TOPICS = 50
WIDTH = 1000  # handshakes under way at the same time; fewer than any listen queue holds
BACK_WITHIN = 60.0
CURRENT_WITHIN = 20.0

# What is admitted in a second by default, and how long a WebSocket client waits that was told nothing: nobody can tell
# it anything when the gateway is killed.
ACCEPT_RATE = 2000
UNTOLD_SPREAD = 4.0

YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  admin: {{listen: 127.0.0.1:{admin_port}}}
  limits: {{connections: {connections}{limits}}}
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}"}}
routes:
  /event/{{n}}:
    upstream: backend
    poll: {{every: 5m, jitter: 0%}}
  /change:
    upstream: backend
    write: {{POST: {{path: /renew, refresh: "/event/*"}}}}
"""


@dataclass(frozen=True, slots=True)
class Storm:
    """How one restart went."""

    seconds: float  # from the first accepted connection until all were back
    first: float  # until the first was back: while the gateway listened already and was not ready
    told: float  # the longest time that a client was told to stay away, in seconds
    missing: int  # clients that did not come back
    outdated: int  # topics of which somebody does not know the last change: all, and again after one more change
    repeats: int
    excess: int  # polls, more than there are topics
    snapshots: int  # among the first events
    turned_away: int


def measure(folder: Path, *, clients: int, rounds: int) -> Iterator[Finding]:
    binary, floor_binary = build(folder, "herd"), build(folder, "floor")
    for mode in get_args(Mode):
        floors, storms = _greedy(binary, floor_binary, mode, clients=clients, rounds=rounds)
        yield from _greedy_findings(mode, floors, storms)
        yield from _losses(f"{mode}, greedy", storms)
    for mode in get_args(Mode):
        storms = _obedient(binary, mode, clients=clients)
        yield from _obedient_findings(mode, storms, clients=clients)
        yield from _losses(f"{mode}, obedient", storms)


def _greedy(
    binary: Path, floor_binary: Path, mode: Mode, *, clients: int, rounds: int
) -> tuple[list[float], list[Storm]]:
    """Return the seconds that the floor took, and how it went with pushgate."""
    floors: list[float] = []
    storms: list[Storm] = []
    with ExitStack() as stack:
        (port,) = free_ports(1)
        floor = stack.enter_context(mortal("floor", port, [str(floor_binary), str(port)]))
        its = stack.enter_context(herd(binary, mode, port, "/events", clients=clients, width=WIDTH, is_eager=True))
        backend_port = stack.enter_context(resources())
        server, ours = stack.enter_context(_followed(binary, mode, backend_port, clients=clients, is_eager=True))
        for n in range(2 * rounds):
            floors.append(_restart(floor, its)["seconds"])
            storms.append(_storm(server, ours, backend_port, is_changed=n % 2 == 1))
    return floors, storms


def _obedient(binary: Path, mode: Mode, *, clients: int) -> list[Storm]:
    with ExitStack() as stack:
        backend_port = stack.enter_context(resources())
        server, ours = stack.enter_context(_followed(binary, mode, backend_port, clients=clients, is_eager=False))
        return [_storm(server, ours, backend_port, is_changed=is_changed) for is_changed in (False, True)]


@contextmanager
def _followed(
    binary: Path, mode: Mode, backend_port: int, *, clients: int, is_eager: bool
) -> Iterator[tuple[Mortal, Generator]]:
    port, admin_port = free_ports(2)
    config = YAML.format(
        port=port,
        admin_port=admin_port,
        backend_port=backend_port,
        connections=clients + 100,
        limits=", accept_rate: off" if is_eager else "",
    )
    with (
        gateway(config, port=port) as server,
        herd(binary, mode, port, "/event", clients=clients, topics=TOPICS, width=WIDTH, is_eager=is_eager) as ours,
    ):
        yield server, ours


def _restart(server: Mortal, clients: Generator) -> dict[str, Any]:
    """Kill a server, start it again, and return what the herd saw of it."""
    clients.say(f"storm {BACK_WITHIN}")
    sleep(0.2)  # it has heard that
    server.kill()
    server.start()
    return clients.hear()


def _storm(server: Mortal, clients: Generator, backend_port: int, *, is_changed: bool) -> Storm:
    clients.say(f"storm {BACK_WITHIN}")
    sleep(0.2)
    server.kill()
    if is_changed:
        ask(backend_port, "POST", "/renew")
    ask(backend_port, "GET", "/counts")  # from here on
    server.start()
    seen = clients.hear()
    outdated = _outdated(clients, backend_port)
    polls = sum(ask(backend_port, "GET", "/counts").values())
    ask(server.port, "POST", "/change")
    outdated += _outdated(clients, backend_port)
    state = clients.ask("state")
    return Storm(
        seconds=seen["seconds"],
        first=seen["first"],
        told=seen["most_told_ms"] / 1000,
        missing=state["missing"],
        outdated=outdated,
        repeats=state["repeats"],
        excess=max(0, polls - TOPICS),
        snapshots=seen["snapshots"],
        turned_away=seen["turned_away"],
    )


def _outdated(clients: Generator, backend_port: int) -> int:
    """Wait until every client knows the last state of its topic; return the topics of which some do not in the end."""
    deadline = perf_counter() + CURRENT_WITHIN
    while True:
        stamps: dict[str, int] = ask(backend_port, "GET", "/stamps")
        known: list[list[int]] = clients.ask("state")["stamps"]
        outdated = sum([stamps[f"/event/{n}"]] * 2 != known[n] for n in range(TOPICS))
        if not outdated or perf_counter() > deadline:
            return outdated
        sleep(0.1)


def _greedy_findings(mode: Mode, floors: list[float], storms: list[Storm]) -> Iterator[Finding]:
    own, ours = median(floors), median(storm.seconds for storm in storms)
    what = f"{mode}: until all are back, reconnecting at once, to the floor's"
    note = f"{ours:.2f} s to {own:.2f} s; medians of {len(storms)} restarts"
    yield Figure("storm", what, ours / own, "x", MAX_TIMES_FLOOR, note)


def _obedient_findings(mode: Mode, storms: list[Storm], *, clients: int) -> Iterator[Finding]:
    for storm, how in zip(storms, ("unchanged", "changed meanwhile"), strict=True):
        spread = max(storm.told, UNTOLD_SPREAD if mode == "ws" else 0.0)
        what = f"{mode}: until all are back, with the defaults; {how}"
        note = f"at most {clients} / {ACCEPT_RATE} s + {spread:.1f} s announced; {storm.turned_away} turned away"
        yield Figure("storm", what, storm.seconds, "s", clients / ACCEPT_RATE + spread, note)


def _losses(what: str, storms: list[Storm]) -> Iterator[Finding]:
    """What must be nothing, over all restarts."""
    missing, outdated = sum(storm.missing for storm in storms), sum(storm.outdated for storm in storms)
    yield Figure("storm", f"{what}: clients that did not come back", missing, "", 0)
    yield Figure("storm", f"{what}: topics of which somebody missed the last change", outdated, "", 0)
    yield Figure("storm", f"{what}: changes that came twice", sum(storm.repeats for storm in storms), "", 0)
    snapshots = "/".join(str(storm.snapshots) for storm in storms)
    note = f"{TOPICS} topics, {len(storms)} restarts; snapshots: {snapshots}, every other time nothing had changed"
    yield Figure("storm", f"{what}: polls, more than topics", max(storm.excess for storm in storms), "", 0, note)
