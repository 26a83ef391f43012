"""
What the process takes of its machine, under the names that every client library of Prometheus gives them.

prometheus-client has a collector for this, which counts open files by listing them: with 10,000 clients that takes
20 ms of every scrape. Here the kernel is asked for their number, which it knows (since Linux 6.2; earlier: the list).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client import Metric

_OWN = "/proc/self"
_FILES = f"{_OWN}/fd"


class Footprint(Collector):
    """Memory, CPU, open files and the start of this process; nothing where there is no ``/proc``."""

    def __init__(self) -> None:
        self._started_at = _started_at() if os.path.exists(_OWN) else None

    def collect(self) -> Iterator[Metric]:
        if self._started_at is None:
            return
        import resource  # which Windows has not

        pages, resident_pages = _fields(f"{_OWN}/statm")[:2]
        page_size, used = resource.getpagesize(), resource.getrusage(resource.RUSAGE_SELF)
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        cpu = used.ru_utime + used.ru_stime
        yield _gauge("virtual_memory_bytes", "Virtual memory size.", int(pages) * page_size)
        yield _gauge("resident_memory_bytes", "Resident memory size.", int(resident_pages) * page_size)
        yield _gauge("start_time_seconds", "Start of the process, since the Unix epoch.", self._started_at)
        yield CounterMetricFamily("process_cpu_seconds_total", "User and system CPU time spent.", value=cpu)
        yield _gauge("open_fds", "Open file descriptors.", open_files())
        yield _gauge("max_fds", "How many file descriptors may be open.", most_files)


def open_files() -> int:
    """Return how many files, sockets included, this process has open."""
    return os.stat(_FILES).st_size or len(os.listdir(_FILES))


def _started_at() -> float:
    """Return when the process began, since the epoch (proc(5): ``btime``, and field 22 of ``stat``)."""
    with open("/proc/stat") as stat:
        booted_at = next(float(line.split()[1]) for line in stat if line.startswith("btime "))
    with open(f"{_OWN}/stat") as stat:
        after_name = stat.read().rpartition(")")[2].split()
    return booted_at + int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def _fields(path: str) -> list[str]:
    with open(path) as file:
        return file.read().split()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"process_{name}", text, value=value)
