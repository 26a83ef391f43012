"""The only place that reads time or chance; everything else gets them as arguments."""

from __future__ import annotations

import asyncio
import random
import secrets
import time


class Clock:
    """Time and chance as the running gateway sees them."""

    def now(self) -> float:
        """Return monotonic seconds: for durations and schedules."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch: for people and for the wire."""
        return time.time()

    def wall_at(self, moment: float) -> float:
        """Return the time of day of a monotonic moment, past or to come."""
        return time.time() + (moment - time.monotonic())

    def chance(self) -> float:
        """Return a number from 0 up to 1."""
        return random.random()

    def bits(self, count: int) -> int:
        """Return so many random bits, which somebody may guess."""
        return random.getrandbits(count)

    def token(self) -> str:
        """Return 64 random bits that nobody can guess, as 11 characters that may stand in a cursor."""
        return secrets.token_urlsafe(8)

    def wait(self, seconds: float) -> None:
        """Do nothing for a while: for commands that have no loop."""
        time.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
