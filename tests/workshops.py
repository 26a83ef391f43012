"""The helper process of a gateway, as the tests see it from outside."""

from __future__ import annotations

import os
from pathlib import Path

MODULE = b"pushgate.adapters.workshop"


def helpers_of(pid: int) -> set[int]:
    """Return the helper processes that this process has, dead ones that nobody has buried not included."""
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_helper(entry, pid)}


def own_helpers() -> set[int]:
    return helpers_of(os.getpid())


def is_alive(pid: int) -> bool:
    try:
        return _parent_and_state(Path(f"/proc/{pid}"))[1] != "Z"
    except OSError:
        return False


def _is_helper(entry: Path, parent: int) -> bool:
    try:
        if MODULE not in (entry / "cmdline").read_bytes():
            return False
        found, state = _parent_and_state(entry)
        return found == parent and state != "Z"
    except OSError:  # it has ended meanwhile
        return False


def _parent_and_state(entry: Path) -> tuple[int, str]:
    state, parent, *_ = (entry / "stat").read_text().rpartition(") ")[2].split()
    return int(parent), state
