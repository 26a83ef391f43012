"""
How the gateway itself is doing: how far it has come, whether its loop turns, and whether its own tasks still run.

Rule 1: whoever runs for ever shows itself now and then (``felt``). What has not for long has stopped, whatever the
reason, and only a restart brings it back.
Rule 2: the loop is watched by sleeping for a moment and looking how late it is to be woken. That is how late everything
else is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .clock import Clock

# How long the watch sleeps, in seconds: seldom enough to cost nothing, often enough to meet what stalls a loop.
NAP: Final = 0.25

# What has not shown itself for so long has stopped. The loop may have stood still meanwhile, for a document that is too
# large, or the machine; no restart helps with that, so it is far longer than any of these.
PATIENCE: Final = 30.0


class Vitals:
    """What is known of the gateway's own health. ``lagged`` hears how late the loop woke somebody, in seconds."""

    def __init__(self, clock: Clock, lagged: Callable[[float], None]) -> None:
        self._clock = clock
        self._lagged = lagged
        self._began = clock.now()
        self._felt: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.is_configured = False
        self.is_listening = False
        self.is_store_reached = False  # once: losing it later makes nobody unready
        self.is_ending = False

    def feel(self, name: str) -> None:
        """Take note that something that runs for ever does."""
        self._felt[name] = self._clock.now()

    def rely_on(self, *tasks: asyncio.Task[None]) -> None:
        """Take note of tasks that run for as long as the gateway does."""
        self._tasks += tasks

    def silence(self, name: str) -> str | None:
        """Return for how long something has not shown itself, if that is too long."""
        silent = self._clock.now() - self._felt.get(name, self._began)
        return f"not for {silent:.0f}s" if silent > PATIENCE else None

    def crashed(self) -> str | None:
        """Return the names of tasks that have ended and should not have; who has nothing to do may."""
        names = [] if self.is_ending else [task.get_name() for task in self._tasks if _has_crashed(task)]
        return f"{', '.join(names)} has ended" if names else None

    async def watch_loop(self) -> None:
        """Look for ever how late the loop is."""
        while True:
            due = self._clock.now() + NAP
            await self._clock.sleep(NAP)
            self._lagged(max(0.0, self._clock.now() - due))
            self.feel("loop")


def _has_crashed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
