"""
How fast a probe polls: quickly at first, then slower, and never faster again once the upstream said "too many".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...answers import Answer
from ...schedules.scheduling import clamp_retry_after

_FIRST = 1.0
_LAST = 5.0
_GROWTH = 1.15
_PRESSURE = 2.0  # after a 429
_REST = 5.0  # the upstream rests for so many times as long as it worked


@dataclass(frozen=True, slots=True)
class Pace:
    """
    The wait before the next poll, in seconds.

    It grows from one second to five, or to what spreads the polls over a long probe; uneven waits are meant: with them,
    what counts seconds can be told from what counts polls.
    """

    wait: float = _FIRST
    longest: float = _LAST

    @classmethod
    def over(cls, seconds: float, *, polls: int) -> Pace:
        """Return the pace with which so many polls suffice for the whole time."""
        return cls(longest=max(_LAST, seconds / max(1, polls)))

    def after(self, answer: Answer | None, *, seconds: float) -> Pace:
        """Return the pace after a poll that took so long; None: there was no answer at all."""
        if answer is None:
            return replace(self, wait=max(self.wait, self.longest))
        retry_after = clamp_retry_after(answer.retry_after or 0.0)
        if answer.status == 429 or answer.status == 503:
            slower = max(self.wait * _PRESSURE, retry_after)
            return Pace(slower, max(slower, self.longest))
        grown = min(self.wait * _GROWTH, self.longest)
        return replace(self, wait=max(grown, retry_after, _REST * seconds))
