"""
What ``make run`` starts: the legacy backend, and the gateway in front of it.

It says what to try once both are ready, passes their output on, and ends both when it is told to end (Ctrl-C or
SIGTERM). If one of them ends by itself, it says so, with its last lines, and ends with status 1.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
READY_WITHIN, END_WITHIN = 30.0, 10.0
PAUSE = 0.1

LEGACY_PORT = os.environ.get("LEGACY_PORT") or "9000"
PORT = os.environ.get("PORT") or "8080"
ADMIN_PORT = os.environ.get("ADMIN_PORT") or "8081"

WELCOME = """
pushgate is listening. The backend behind it only knows short polling: http://127.0.0.1:{legacy}/api/departures

  topics     http://127.0.0.1:{port}/departures
             http://127.0.0.1:{port}/quotes/ACME?currency=EUR   (also GLOBEX, INITECH, UMBRELLA; USD, GBP)
             http://127.0.0.1:{port}/boarding
  operators  http://127.0.0.1:{admin}/readyz   http://127.0.0.1:{admin}/metrics

One URL, four behaviours; in another terminal:

  short poll   curl -i http://127.0.0.1:{port}/departures
  SSE          curl -N -H 'Accept: text/event-stream' http://127.0.0.1:{port}/departures
  long poll    curl -i 'http://127.0.0.1:{port}/departures?wait=0'
               curl -i 'http://127.0.0.1:{port}/departures?cursor=CURSOR'   with the "cursor" of the last answer
  WebSocket    {python} -m websockets ws://127.0.0.1:{port}/quotes/ACME
               (curl 8.11 and later can too: curl -N ws://127.0.0.1:{port}/quotes/ACME)

Ctrl-C ends everything. What goes on here, and a console to try it:

  dashboard  http://127.0.0.1:{admin}/"""


class Ended(Exception):
    """A child ended although nobody told it to."""


class Child:
    """A process of ours, in a session of its own so that Ctrl-C reaches only the one that ends it in order."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._last: deque[str] = deque(maxlen=15)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "LEGACY_PORT": LEGACY_PORT, "PORT": PORT, "ADMIN_PORT": ADMIN_PORT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None, "it was opened with a pipe"
        for line in self.process.stdout:
            self._last.append(line)
            print(f"{self.name:8} | {line}", end="", flush=True)

    def check(self) -> None:
        """Raise ``Ended`` if the process is no more."""
        if self.process.poll() is None:
            return
        self._reader.join(timeout=1)
        last = "".join(f"    {line}" for line in self._last)
        raise Ended(f"{self.name} ended with status {self.process.returncode}; its last lines:\n{last or '    (none)'}")

    def end(self) -> None:
        """Ask the process to end, and make it if it does not listen."""
        self.process.terminate()
        try:
            self.process.wait(timeout=END_WITHIN)
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not end within {END_WITHIN:g} s: killed", file=sys.stderr)
            self.process.kill()
            self.process.wait()  # no timeout: nothing survives SIGKILL


def refuse_taken_ports() -> None:
    """Say which port is in use, and how to choose another, before anything is started."""
    wanted = [("LEGACY_PORT", LEGACY_PORT, "127.0.0.1"), ("PORT", PORT, ""), ("ADMIN_PORT", ADMIN_PORT, "127.0.0.1")]
    for variable, port, host in wanted:
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise SystemExit(f"{variable}={port} is not a port: give a number from 1 to 65535")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                remedy = f"choose another one: {variable}=… make run"
                raise SystemExit(f"port {port} cannot be used ({error.strerror}); {remedy}") from error


@contextmanager
def running(stop: threading.Event) -> Iterator[list[Child]]:
    """Start both, yield them, and end both whatever happens."""
    children: list[Child] = []
    try:
        legacy = [sys.executable, "-u", "examples/legacy", "--port", LEGACY_PORT]
        children.append(Child("legacy", legacy))
        wait_until_ready(f"http://127.0.0.1:{LEGACY_PORT}/", children, stop)
        pushgate = [sys.executable, "-u", "-m", "pushgate", "run", "-c", "gateway.yaml"]
        children.append(Child("pushgate", pushgate))
        wait_until_ready(f"http://127.0.0.1:{ADMIN_PORT}/readyz", children, stop)
        yield children
    finally:
        for child in reversed(children):
            child.end()


def wait_until_ready(url: str, children: list[Child], stop: threading.Event) -> None:
    """Ask until the URL answers 200, a child ends, or somebody wants us to end."""
    for _ in range(int(READY_WITHIN / PAUSE)):
        for child in children:
            child.check()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if stop.wait(PAUSE):
                return
    raise Ended(f"{children[-1].name} is not ready after {READY_WITHIN:g} s: {url} does not answer 200")


def main() -> int:
    """Run both until told to end."""
    stop = threading.Event()

    def told_to_end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, told_to_end)
    refuse_taken_ports()
    try:
        with running(stop) as children:
            if not stop.is_set():
                print(WELCOME.format(legacy=LEGACY_PORT, port=PORT, admin=ADMIN_PORT, python=python()), flush=True)
            while not stop.wait(PAUSE):
                for child in children:
                    child.check()
    except Ended as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print("\nended", flush=True)
    return 0


def python() -> str:
    """Name this interpreter as one would type it from here."""
    path = Path(sys.executable)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
