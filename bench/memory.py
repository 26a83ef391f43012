"""
Memory: what an idle connection costs: resident bytes of the server's processes, more after N streams were opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import get_args

from .machine import missing_nchan
from .servers import Load, Mode, Server, build, nchan, pushgate
from .table import Figure, Finding, NotMeasured

MAX_KILOBYTES: dict[Mode, float] = {"sse": 4.0, "ws": 8.0}


def measure(folder: Path, *, connections: int) -> Iterator[Finding]:
    """Measure fresh processes, because memory that was used once is not given back."""
    load = Load(build(folder, "fan"))
    for mode in get_args(Mode):
        size = _per_connection(load, lambda: pushgate(connections=connections + 100), mode, connections)
        yield Figure("memory", f"{mode}: pushgate, per idle connection", size, "KB", MAX_KILOBYTES[mode])
        if reason := missing_nchan():
            yield NotMeasured("memory", f"{mode}: nchan, per idle connection", reason)
            continue
        size = _per_connection(load, lambda: nchan(connections=2 * connections + 100), mode, connections)
        yield Figure("memory", f"{mode}: nchan, per idle connection", size, "KB", note=f"{connections} connections")


def _per_connection(
    load: Load, start: Callable[[], AbstractContextManager[Server]], mode: Mode, connections: int
) -> float:
    """Return resident kilobytes (1,024 bytes) per connection."""
    with start() as server:
        before = server.resident()
        with load.streams(server, mode, "hold", connections):
            time.sleep(1.0)  # whatever was left over from accepting them is freed
            return (server.resident() - before) / connections / 1024
