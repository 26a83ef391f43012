"""
Processes of the tests: started on loopback, waited for by what they say, ended by their own id and never by name.

What a process prints is kept, because it is the first thing to look at when a test fails.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]

# A gateway is ready in half a second; a machine that is busy with the rest of the suite may take longer.
READY_WITHIN = 30.0
END_WITHIN = 15.0

# Below the range from which the kernel takes the ports of outgoing connections: while a gateway is down, no client
# that reconnects may be given the gateway's own port.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port on loopback that nobody listens on and that no outgoing connection will take."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port from {PORTS.start} to {PORTS.stop}")


class Process:
    """A child process whose output is collected; ended when the context is left."""

    def __init__(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._is_silent = False
        self.popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is not None:
            error.add_note(self.output())

    def _read(self) -> None:
        assert self.popen.stdout is not None, "it was opened with a pipe"
        with self.popen.stdout as lines:
            for line in lines:
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._is_silent = True
            self._news.notify_all()

    def output(self) -> str:
        return f"--- {self.name} (process {self.popen.pid}) printed:\n{''.join(self.lines[-60:])}"

    def wait_for(self, pattern: str, *, timeout: float = READY_WITHIN) -> re.Match[str]:
        """Return the first match in what the process prints."""

        def find() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: find() or self._is_silent, timeout)
            match = find()
        if match is None:
            raise AssertionError(f"{self.name} did not print {pattern!r}\n{self.output()}")
        return match

    def wait_until_ready(self, url: str, *, timeout: float = READY_WITHIN) -> None:
        """Ask until the URL answers 200."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}\n{self.output()}")
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise AssertionError(f"{self.name} is not ready: {url}\n{self.output()}")

    def wait(self, *, timeout: float = END_WITHIN) -> int:
        """Return the exit status of a process that ends by itself."""
        try:
            status = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s\n{self.output()}") from None
        self._reader.join(timeout=5)
        return status

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the exit status, negative if the signal ended it."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.wait()


class Legacy(Process):
    """The example backend on a free port."""

    def __init__(self, *options: str | Path) -> None:
        super().__init__("legacy", [sys.executable, ROOT / "examples" / "legacy", "--port", "0", *options])
        self.url = self.wait_for(r"legacy backend on (http://\S+)")[1]


class GatewayProcess:
    """``pushgate run`` with a configuration of its own; comes back on the same ports after a restart."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        server = {
            "drain": {"window": "0s"},  # a test does not wait for clients to leave unless that is its subject
            **config.get("server", {}),
            "listen": f"127.0.0.1:{self.port}",
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
        }
        self.config = folder / f"gateway-{self.port}.yaml"
        self.config.write_text(json.dumps({"version": 1, **config, "server": server}, indent=1))  # JSON is YAML
        self.process: Process | None = None
        self._ended: list[Process] = []

    def __enter__(self) -> GatewayProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.end()
        for process in self._ended if error is not None else []:
            error.add_note(process.output())

    def command(self) -> list[str | Path]:
        return [Path(sys.executable).parent / "pushgate", "run", "-c", self.config]

    def start(self) -> None:
        assert self.process is None, "it runs already"
        self.process = Process("pushgate", self.command())
        self._ended.append(self.process)
        self.process.wait_until_ready(f"{self.admin_url}/readyz")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None, "it does not run"
        process, self.process = self.process, None
        return process.end(number)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=READY_WITHIN) as answer:
            return str(answer.read().decode())
