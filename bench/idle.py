"""
Idle: what a gateway occupies before anybody has come, and how long it takes until it may have clients.

The gateway has the example configuration, which polls nothing while nobody listens. Beside it is a bare aiohttp server
(`bench/bare.py`): two listeners, and the same modules of other people imported, as `python -X importtime` tells them of
the gateway. Both are up at the same time. Resident memory counts what they share with each other, such as libraries;
private memory does not. Ready is who answers `/readyz` with 200 for the first time; it is told which packages take how
much of the imports, each by itself.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter

from .processes import cpu_of, started
from .servers import free_ports
from .table import Figure, Finding

MAX_RATIO = 1.3

# One line of -X importtime: microseconds by itself, with what it imports, and its name.
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \| +(\S+)$", re.MULTILINE)
_SHOWN = 6  # packages
_PAUSE = 0.002  # seconds


@dataclass(frozen=True, slots=True)
class Start:
    """A process that has just become ready: what it took, in seconds, and what it occupies, in MB of 1,024 KB."""

    wait: float
    cpu: float
    resident: float
    private: float


def measure(*, rounds: int) -> Iterator[Finding]:
    """Compare the two processes, each time with fresh ones, and take the start apart."""
    with _gateway():  # so that nothing has to be compiled from now on
        pass
    imports = _imports()
    names = [name for name, _ in imports if name.partition(".")[0] not in ("pushgate", "__main__")]
    starts: list[tuple[Start, Start]] = []
    for _ in range(2 * rounds + 1):
        with _gateway() as gateway, _bare(names) as bare:
            starts.append((gateway(), bare()))

    def compared(what: str, read: Callable[[Start], float], unit: str, target: float | None = None) -> Figure:
        ours, theirs = (median(read(start[side]) for start in starts) for side in (0, 1))
        note = f"{ours:.0f} {unit} to {theirs:.0f} {unit}"
        return Figure("idle", f"{what}, to a bare server's with the same imports", ours / theirs, "x", target, note)

    yield compared("resident memory", lambda start: start.resident, "MB", MAX_RATIO)
    yield compared("private memory", lambda start: start.private, "MB")
    yield compared("CPU until it is ready", lambda start: 1000 * start.cpu, "ms")
    ready = 1000 * median(ours.wait for ours, _ in starts)
    yield Figure("idle", "time until it is ready", ready, "ms", None, _shares(imports))


def _imports() -> list[tuple[str, int]]:
    """Return what the gateway imports until it is ready, in that order, with the microseconds of each by itself."""
    with TemporaryFile("w+") as log:
        with _gateway("-X", "importtime", output=log.fileno()):
            pass
        log.seek(0)
        return [(match[2], int(match[1])) for match in _IMPORT.finditer(log.read())]


def _shares(imports: list[tuple[str, int]]) -> str:
    """Return which packages take most of the time that goes into imports; the standard library counts as one."""
    times: Counter[str] = Counter()
    for name, microseconds in imports:
        package = name.partition(".")[0]
        times["the standard library" if package in sys.stdlib_module_names else package] += microseconds
    told = ", ".join(f"{package} {took / times.total():.0%}" for package, took in times.most_common(_SHOWN))
    return f"{len(imports)} modules: {told}"


@contextmanager
def _gateway(*options: str, output: int = subprocess.DEVNULL) -> Iterator[Callable[[], Start]]:
    """Run the gateway with the example configuration; yields what tells about it."""
    port, admin, legacy = free_ports(3)
    command = [sys.executable, *options, "-m", "pushgate", "run", "-c", "gateway.yaml"]
    environ = {"PORT": str(port), "ADMIN_PORT": str(admin), "LEGACY_PORT": str(legacy)}
    with _measured(command, admin, environ=environ, output=output) as measured:
        yield measured


@contextmanager
def _bare(modules: list[str]) -> Iterator[Callable[[], Start]]:
    """Run the server that does nothing, as `_gateway` runs the other one."""
    ports = free_ports(2)
    with TemporaryFile("w+") as names:
        names.write("\n".join(modules))
        names.seek(0)
        command = [sys.executable, "-m", "bench.bare", *map(str, ports)]
        with _measured(command, ports[1], stdin=names.fileno()) as measured:
            yield measured


@contextmanager
def _measured(
    command: list[str],
    port: int,
    *,
    environ: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
) -> Iterator[Callable[[], Start]]:
    """Run a server until the context ends; yields, once it is ready, what tells about it."""
    begin = perf_counter()
    environ = {"PYTHONDONTWRITEBYTECODE": ""} | (environ or {})  # installed is what has bytecode
    ready = partial(_is_ready, port)
    with started(command, is_up=ready, pause=_PAUSE, environ=environ, stdin=stdin, output=output) as pid:
        wait, spent = perf_counter() - begin, cpu_of(pid)
        yield lambda: _told(pid, wait=wait, cpu=spent)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _told(pid: int, *, wait: float, cpu: float) -> Start:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return Start(wait, cpu, kilobytes["Rss"] / 1024, private / 1024)
