"""
Whether a topic's changes have a rhythm, and where to look for the next one.

Rule 1: nobody says in which manner an upstream keeps time. Therefore a beat for each manner follows the same changes,
and the one that foretold them best is followed, provided that it did clearly better than whoever expects no rhythm.
Rule 2: a belief is put to the proof: who looks only around the ticks never sees what happens between them, and who
looks only after them always finds a change, however late he is. So now and then one poll goes ahead.
Rule 3: beats that convince nobody for long begin anew, in turn as if each tick brought a change, and as if some did
not.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean

from .beats import Beat, Window

# Standard deviations in periods: of a change from its tick, and of one tick from the one before. A clock that keeps
# time still drifts by a tenth of its strays, so that the filter never stops looking.
_MANNERS = (
    (0.01, 0.001),
    (0.03, 0.003),
    (0.06, 0.006),
    (0.12, 0.012),
    (0.0, 0.01),
    (0.0, 0.03),
    (0.0, 0.06),
    (0.0, 0.12),
    (0.0, 0.25),
)

# A beat is believed from this advantage on, as a logarithm of odds, and given up below the second; more than the third
# is not counted, so that a rhythm that has ended is given up soon.
_BELIEVED, _GIVEN_UP, _ENOUGH = 6.0, 2.0, 12.0

# When to begin anew: after so many changes if it is hopeless, after more if it is only not convincing.
_HOPELESS, _PATIENCE, _LONG_PATIENCE = -4.0, 10, 24

# How many of the latest windows a beginning rests on.
_LEAST_WINDOWS, _MOST_WINDOWS = 5, 8

# Changes that no tick explains are too many from this part on, of about so many proofs.
_BESIDE, _PROOFS = 0.2, 8

# A poll goes ahead of the tick, so many standard deviations, once in so many ticks divided by the square of the polls
# that may be spent on each: where they are scarce, a belief is what they are scarcest for.
_PROOF, _AHEAD = 96.0, 4.0


class Rhythm:
    """The beats of all manners, side by side."""

    __slots__ = (
        "_attempts",
        "_beats",
        "_believed",
        "_beside",
        "_is_proving",
        "_since",
        "_unproved",
        "count",
        "windows",
    )

    def __init__(self) -> None:
        self._believed: Beat | None = None
        self._beside = 0.0  # the part of the ticks, lately, before which there was a change that none explains
        self.count = 0  # of changes
        self.windows: list[Window] = []  # the latest
        self._beats: list[Beat] = []
        self._attempts = self._since = 0  # beginnings, and changes since the latest
        self._unproved = 0  # changes since a poll went ahead
        self._is_proving = False  # with the poll under way

    def see(self, window: Window, *, base: float, least: float) -> None:
        """
        Learn of a change.

        ``base``: logarithm of the likelihood of its window for whoever expects no rhythm. ``least``: the shortest
        period that could be followed.
        """
        self.count += 1
        self._since += 1
        self.windows = [*self.windows[1 - _MOST_WINDOWS :], window]
        for beat in self._beats:
            beat.see(window, base=base)
        self._prove()
        best = max(self._beats, key=lambda beat: beat.score, default=None)
        if best is not None:
            self._believe(best, least)
        if self._believed is None and (best is None or self._is_stuck(best)) and self.count >= _LEAST_WINDOWS:
            self._begin_anew()

    @property
    def beat(self) -> Beat | None:
        """The beat to follow, if there is one that is believed, tells nearly all changes, and knows when."""
        beat = self._believed
        return beat if beat is not None and self._is_regular and beat.is_sharp else None

    def next_poll(self, now: float, *, polls: float, spacing: float) -> float:
        """Return when to poll if ``polls`` may be spent per tick, and two must be ``spacing`` seconds apart."""
        assert self._believed is not None, "who follows a rhythm believes in one"
        mean, deviation = self._believed.upcoming(now)
        ahead = mean - max(_AHEAD * deviation, spacing)
        if self._unproved * polls**2 >= _PROOF and now < ahead - spacing:
            self._is_proving = True
            return ahead
        return self._believed.next_poll(now, polls=polls, spacing=spacing)

    def skip_to(self, now: float) -> None:
        """Nobody looked until ``now``."""
        for beat in self._beats:
            beat.skip_to(now)

    def _prove(self) -> None:
        """Note what a poll between the ticks has shown; all polls are such while no rhythm is followed."""
        self._unproved += 1
        if self._believed is not None and (self._is_proving or not self._is_regular):
            is_refuted = self._believed.is_at_a_loss
            self._beside += (is_refuted - self._beside) / _PROOFS
            if not is_refuted:  # otherwise the next one goes ahead as well
                self._unproved = 0
        self._is_proving = False

    @property
    def _is_regular(self) -> bool:
        return self._beside < _BESIDE

    def _believe(self, best: Beat, least: float) -> None:
        excess = max(0.0, best.score - _ENOUGH)
        for beat in self._beats:
            beat.score -= excess
        if best.period < least:
            best.score = min(best.score, 0.0)
        if best.score < (_BELIEVED if self._believed is None else _GIVEN_UP):
            self._believed, self._beside, self._unproved = None, 0.0, 0
        else:
            self._believed = best

    def _is_stuck(self, best: Beat) -> bool:
        return self._since >= (_PATIENCE if best.score < _HOPELESS else _LONG_PATIENCE)

    def _begin_anew(self) -> None:
        self._attempts += 1
        self._since = 0
        ticks = list(range(len(self.windows))) if self._attempts % 2 else number_ticks(self.windows)
        self._beats = [Beat(manner, self.windows, ticks) for manner in _MANNERS]


def number_ticks(windows: list[Window]) -> list[int]:
    """
    Return the number of the tick of each window, from 0, where some ticks may have brought no change.

    The period is the one with which the windows are most in phase (the longest sum of unit vectors, shortened by what
    a window's width blurs), between two thirds of their shortest distance and their mean distance.
    """
    middles = [window.middle - windows[0].middle for window in windows]
    width = fmean(window.width for window in windows)
    shortest = min(after - before for before, after in pairwise(middles))
    mean = middles[-1] / (len(windows) - 1)
    period, best = mean, 0.0
    candidate = max(shortest / 1.5, width, mean / 8)
    while candidate < mean:
        turn = 2 * math.pi / candidate
        blur = math.sin(turn * width / 2) / (turn * width / 2) if width > 0 else 1.0
        length = blur * math.hypot(sum(math.cos(turn * t) for t in middles), sum(math.sin(turn * t) for t in middles))
        if length > best:
            period, best = candidate, length
        candidate *= 1.03
    ticks = [0]
    for before, after in pairwise(middles):
        ticks.append(ticks[-1] + max(1, round((after - before) / period)))
    return ticks
