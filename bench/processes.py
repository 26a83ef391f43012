"""Processes that are measured: started, looked at and ended. What they cost is read from ``/proc``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 15.0
STOP_TIMEOUT = 5.0


@contextmanager
def started(
    command: list[str],
    *,
    is_up: Callable[[], bool],
    pause: float = 0.05,
    environ: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
) -> Iterator[int]:
    """Run a server until the context ends; yields its process once ``is_up``, which is asked after every pause."""
    begin, env = perf_counter(), os.environ | (environ or {})
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=stdin, stdout=output, stderr=output)
    try:
        while not is_up():
            if process.poll() is not None or perf_counter() - begin > START_TIMEOUT:
                raise RuntimeError(f"{command} does not come up; exit code {process.poll()}")
            sleep(pause)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> list[int]:
    """Return the process and its children: nginx's master has a worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_of(pid: int) -> float:
    """Return user and system time: to the nanosecond where the kernel counts it, otherwise in its ticks (10 ms)."""
    try:
        threads = [thread.read_text() for thread in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        return sum(int(thread.split()[0]) for thread in threads) / 1e9
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_of(pid: int) -> int:
    """Return the bytes of memory that it occupies."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
