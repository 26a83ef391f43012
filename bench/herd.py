"""
The herd (herd.c), and the gateways it is turned on, which can be killed and started again.

A gateway runs on the server's core; the herd, the backend and whatever else is not measured run on the others.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from .generator import Generator, generating
from .machine import pinned
from .servers import Mode, Server, free_ports, running_beside

END_WITHIN = 10.0
SETTLE_WITHIN = 30.0


@contextmanager
def herd(
    binary: Path,
    mode: Mode,
    port: int,
    path: str,
    *,
    clients: int,
    topics: int = 0,
    width: int = 128,
    is_eager: bool = False,
    is_dumping: bool = False,
) -> Iterator[Generator]:
    """Open so many streams, and return once each has had its first event; they are closed with the context."""
    options = ["eager" if is_eager else "obedient", *(["dump"] if is_dumping else [])]
    command = [binary, mode, port, path, clients, topics, width, *options]
    with generating(f"{mode} {path}", command, clients=clients) as generator:
        yield generator


@dataclass(slots=True)
class Mortal:
    """A server that can be killed and started again on the same port."""

    name: str
    port: int
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on the server's core, and do not wait for it."""
        with pinned(to_server_core=True), self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """End it as a power failure does: nobody hears a word."""
        assert self.process is not None, "it was started"
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()

    def as_server(self) -> Server:
        """Return what its processes cost can be asked of."""
        assert self.process is not None, "it was started"
        return Server(self.name, self.port, "", self.process.pid, lambda count: None)

    def wait(self) -> None:
        """Wait until it accepts connections."""
        deadline = perf_counter() + SETTLE_WITHIN
        while perf_counter() < deadline and self.process is not None and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen on port {self.port}: {self.log.read_text()[-2000:]}")


@contextmanager
def mortal(name: str, port: int, command: list[str]) -> Iterator[Mortal]:
    """A server that runs until the context ends, unless it is killed before."""
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        server = Mortal(name, port, command, Path(folder) / "log")
        server.start()
        try:
            server.wait()
            yield server
        finally:
            server.stop()


@contextmanager
def gateway(config: str, *, port: int) -> Iterator[Mortal]:
    """``pushgate run`` with this configuration."""
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(config)
        with mortal("pushgate", port, [sys.executable, "-m", "pushgate", "run", "-c", str(path)]) as server:
            yield server


@contextmanager
def resources() -> Iterator[int]:
    """The backend of many resources (stock.py); yields its port."""
    (port,) = free_ports(1)
    with running_beside([sys.executable, "-m", "bench.stock", str(port)], port=port):
        yield port


def ask(port: int, method: str, path: str) -> Any:
    """Return the JSON that a server on this machine answers; None if it has no body that is JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=b"" if method == "POST" else None)
        body = connection.getresponse().read()
    finally:
        connection.close()
    try:
        return json.loads(body)
    except ValueError:
        return None
