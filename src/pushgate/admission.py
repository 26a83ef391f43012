"""
At what rate connections are let in, and when those that are not shall come back.

Rule 1: whoever is sent away is given a slot of its own, one interval of the rate after the one before, so that a crowd
comes back exactly as fast as it can be let in, and not in waves.
Rule 2: a slot is a time and no ticket. Nobody can be told apart when it comes back, so a newcomer may take the place
that was meant for it; then it gets another slot.
"""

from __future__ import annotations

from .quantities import Rate

# Within this time an EventSource reconnects, each after a moment of its own, so that a restart is no stampede.
MIN_RETRY, MAX_RETRY = 1.0, 4.0

# Up to so much later than its slot a client comes back: whoever is early would be sent away again.
JITTER = 0.5

# No slot is further away. Beyond it nothing is promised: those too many are spread over the farther half of it.
HORIZON = 300.0


class Admission:
    """Lets connections in at a rate. What it counts may come all at once, after it has been quiet for as long."""

    __slots__ = ("_burst", "_full_at", "_interval", "_next_slot", "rate")

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate  # None: everybody is let in
        self._interval = 0.0 if rate is None else rate.per / rate.count
        self._burst = 0.0 if rate is None else rate.per  # in seconds of the rate
        self._full_at = float("-inf")  # when everything that was let in will have been paid for
        self._next_slot = float("-inf")

    def admit(self, now: float, *, chance: float) -> float | None:
        """Let a new connection in and return None, or return after how many seconds it shall come back."""
        if self.rate is None:
            return None
        paid_for_at = max(self._full_at, now) + self._interval
        # A microsecond of tolerance: slots are sums of many intervals.
        if paid_for_at - now <= max(self._burst, self._interval) + 1e-6:
            self._full_at = paid_for_at
            return None
        return self._next_wait(now, chance)

    def _next_wait(self, now: float, chance: float) -> float:
        """Give out the next moment that is nobody's: as soon as there is room again, and after all others."""
        if self._next_slot >= now + HORIZON:
            return HORIZON * (1 + chance) / 2
        self._next_slot = max(self._next_slot, now) + self._interval
        return min(self._next_slot - now, HORIZON) + JITTER * chance


def retry_delay(rate: Rate | None, *, connections: int, chance: float) -> float:
    """
    Return after how many seconds a client that loses its stream shall come back, if so many are connected.

    Each gets another moment, over as long a time as it takes to let them all in again.
    """
    spread = MAX_RETRY - MIN_RETRY
    if rate is not None:
        spread = max(spread, connections / rate.per_second)
    return MIN_RETRY + spread * chance
