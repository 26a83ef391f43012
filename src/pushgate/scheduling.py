"""
When a topic is polled next: arithmetic on numbers, nothing else.

All times are seconds on one monotonic clock; ``chance`` is a number from 0 up to 1 that the caller drew.
"""

from __future__ import annotations

import math

# A failing upstream is asked less and less, but never less than this: ten intervals, or five minutes if that is sooner,
# so that its recovery is seen in reasonable time whatever the interval.
MAX_BACKOFF_INTERVALS = 10
MAX_BACKOFF = 300.0

# "Come back in a year" is a mistake, not a wish.
MAX_RETRY_AFTER = 3600.0


def next_tick(tick: float, *, now: float, every: float) -> float:
    """
    Return the first point of the grid ``tick + k × every`` (k ≥ 1) that is not in the past.

    A fixed rate: how long a poll took does not shift the next one, and polls that were missed are not made up for.
    """
    return tick + every * max(1, math.ceil((now - tick) / every))


def spread(tick: float, *, every: float, jitter: float, chance: float) -> float:
    """Return when the poll of a grid point starts: somewhere in the first ``jitter`` part of its interval."""
    return tick + every * jitter * chance


def backoff(failures: int, *, every: float, chance: float) -> float:
    """
    Return how long to wait after the n-th failure in a row (n ≥ 1).

    The first failure costs nothing extra; from then on the interval doubles up to the ceiling, and a quarter of it is
    spread so that many topics of one upstream do not come back together.
    """
    ceiling = max(every, min(every * MAX_BACKOFF_INTERVALS, MAX_BACKOFF))
    wait = min(every * 2.0 ** min(failures - 1, 30), ceiling)
    return wait * (1 - 0.25 * chance) if failures > 1 else wait


def clamp_retry_after(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
