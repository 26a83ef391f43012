"""A load generator in C while it runs: what can be said to it, and what it answers, one line of JSON for each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .machine import pinned


@dataclass(slots=True)
class Generator:
    """A running generator, and what it said when all its clients were open."""

    name: str
    process: subprocess.Popen[str]
    ready: list[str]

    def say(self, text: str) -> None:
        assert self.process.stdin is not None, "it is a pipe"
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Read its next answer; raises RuntimeError if there will be none."""
        assert self.process.stdout is not None, "it is a pipe"
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the load generator ended: {self.process.poll()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, text: str) -> dict[str, Any]:
        self.say(text)
        return self.hear()


@contextmanager
def generating(name: str, command: Sequence[object], *, clients: int) -> Iterator[Generator]:
    """Start a generator off the server's core, and return once its clients are open; it ends with the context."""
    with pinned(to_server_core=False):
        process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None and process.stdout is not None, "they are pipes"
        try:
            ready = process.stdout.readline().split()
            if ready[:2] != ["READY", str(clients)]:
                raise RuntimeError(f"{name}: the load generator said {ready} instead of READY {clients}")
            yield Generator(name, process, ready)
        finally:
            process.stdin.close()
