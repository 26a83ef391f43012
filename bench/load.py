"""
The load generator (fan.c): opens many clients, and tells what came of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Literal

from .generator import Generator, generating
from .machine import pinned
from .servers import Mode, Server

# What fan.c can be: gzip is SSE whose client takes it, deflate a WebSocket that offers permessage-deflate.
Kind = Literal["sse", "ws", "longpoll", "gzip", "deflate"]

# Seconds in which an event must reach everybody.
PATIENCE = 60.0

# A server is at rest if it used less than this of its core in such a moment; polls alone cost less.
MOMENT, REST_SHARE = 0.05, 0.1


@dataclass(slots=True)
class Clients:
    """The clients of one server, all open."""

    server: Server
    fan: Generator
    compressed: int  # of them, who were promised it
    is_long_poll: bool

    def ask(self, text: str) -> dict[str, Any]:
        return self.fan.ask(text)

    def deliver(self, events: int, size: int, *, every: float) -> tuple[dict[str, float], float]:
        """
        Return what they saw of so many events, and what these cost the server in CPU seconds.

        The next event is published after ``every`` seconds, but not before everybody has the last one and, if they are
        long polls, waits again.
        """
        self.ask("report")
        before, begin = self.server.cpu(), perf_counter()
        for n in range(events):
            sleep(max(0.0, begin + n * every - perf_counter()))
            self.fan.say(f"more {PATIENCE}")
            self.server.publish(size)
            if lacking := self.fan.hear()["lacking"]:
                raise RuntimeError(f"{self.server.name}: an event of {size} bytes did not reach {lacking:.0f} clients")
            if self.is_long_poll:
                rest(self.server)
        rest(self.server)
        cpu = self.server.cpu() - before
        return self.ask("report"), cpu


def rest(server: Server) -> None:
    """Wait until a server has done all there was to do."""
    deadline = perf_counter() + PATIENCE
    used = server.cpu()
    while perf_counter() < deadline:
        sleep(MOMENT)
        before, used = used, server.cpu()
        if used - before < REST_SHARE * MOMENT:
            return


@dataclass(frozen=True, slots=True)
class Load:
    """The load generator; ``binary`` is fan.c, compiled."""

    binary: Path

    @contextmanager
    def clients(self, server: Server, kind: Kind, number: int, *, verb: str = "watch") -> Iterator[Clients]:
        """Open so many clients, and return once they are open; they are closed with the context."""
        command: list[object] = [self.binary, verb, kind, server.port, server.path, number]
        if kind == "longpoll":
            assert server.long_poll is not None, "the caller asks only servers that can be polled"
            command = [*command[:4], server.long_poll.first, number, server.long_poll.next, server.long_poll.fields]
        with generating(f"{server.name} {kind}", command, clients=number) as fan:
            rest(server)
            yield Clients(server, fan, int(fan.ready[2]), is_long_poll=kind == "longpoll")

    def churn(self, server: Server, mode: Mode, *, connections: int, width: int) -> float:
        """Return the server's CPU seconds for one connection from accept to close."""
        before = server.cpu()
        command = [self.binary, "churn", mode, server.port, server.path, connections, width]
        with pinned(to_server_core=False):
            output = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout
        seen = json.loads(output)
        if seen["failed"]:
            raise RuntimeError(f"{server.name} {mode}: {seen['failed']} of {connections} connections failed")
        sleep(0.3)  # the last ones are being closed
        return (server.cpu() - before) / connections
