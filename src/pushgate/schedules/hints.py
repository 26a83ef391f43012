"""
What an upstream says about its changes, as far as it has proved true: when the document changed, when it will.

Rule 1: nothing is believed that has not agreed with the polls several times, and what they refute is not believed.
Rule 2: a `Last-Modified` that moves although nothing has changed is worthless (servers exist that always say now).
Rule 3: a freshness is a rhythm only if changes come right when it is over; one that is the same for every answer,
whenever it was given, says nothing.
"""

from __future__ import annotations

from .beats import Window
from .scheduling import Polled

_SECOND = 1.0  # dates in HTTP are whole seconds (RFC 9110, section 5.6.7)

_AGREED = 3  # stamps in a row
_WORTHLESS = -8

_KEPT, _MOST_KEPT = 4, 8  # promises; a broken one counts twice


class Stamps:
    """When the document changed, as the upstream says."""

    __slots__ = ("_agreed", "_latest")

    def __init__(self) -> None:
        self._agreed = 0
        self._latest: float | None = None

    def see(self, polled: Polled, *, begin: float) -> Window:
        """Return when the change fell that this poll has seen, if it has: after ``begin``, at which nothing had."""
        whole = Window(begin, polled.ended_at)
        stamp, before = polled.modified_at, self._latest
        self._latest = stamp
        if stamp is None:
            return whole
        if not polled.has_changed:
            if before is not None and abs(stamp - before) > _SECOND:
                self._agreed = _WORTHLESS
            return whole
        if not begin - _SECOND <= stamp <= polled.ended_at:  # published late, or by a clock that is wrong
            self._agreed = min(self._agreed, 0)
            return whole
        if stamp < polled.began_at - 2 * _SECOND:  # one that is as good as now agrees with everything
            self._agreed = min(self._agreed + 1, _AGREED)
        if self._agreed < _AGREED:
            return whole
        return Window(max(begin, stamp - _SECOND / 4), min(polled.ended_at, stamp + 1.25 * _SECOND))


class Promises:
    """Until when the document stays as it is, as the upstream says."""

    __slots__ = ("_kept", "_until")

    def __init__(self) -> None:
        self._kept = 0
        self._until: float | None = None

    def wake(self) -> None:
        """Nobody looked for a while: what was promised before cannot be judged."""
        self._until = None

    def see(self, polled: Polled) -> None:
        if self._until is not None:
            self._judge(self._until, polled)
        self._until = polled.ended_at + polled.fresh_for if polled.fresh_for else None

    @property
    def until(self) -> float | None:
        """When the next change is due, if such promises have been kept; None otherwise."""
        return self._until if self._kept >= _KEPT else None

    def _judge(self, until: float, polled: Polled) -> None:
        if polled.began_at < until:
            if polled.has_changed and polled.ended_at < until - _SECOND:
                self._kept = 0
        elif polled.has_changed:
            self._kept = min(self._kept + 1, _MOST_KEPT)
        else:
            self._kept = max(self._kept - 2, 0)
