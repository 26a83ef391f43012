"""
How often a document changes, and so how often to poll it and by which transport to push it.

What is known of a change is the two polls between which it fell. A rhythm is believed if the changes were at least
twice as far apart as the polls, and even. What the upstream says itself (Last-Modified, a clock in the body that stands
still between two of its updates, the freshness it vouches for) is finer than what polls can see, and goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from ...quantities import duration_text
from .samples import Finding

# Intervals that people write.
_NICE = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0)

OFTEN = 2.0  # seconds between changes: WebSocket up to here
SOMETIMES = 60.0  # SSE up to here, above it long poll
KNOWN_LONG = 900.0  # from here on a known interval needs no push at all

_GUESS = 30.0
_LONGEST = 300.0  # an interval for changes that come when they like
_UTILISATION = 5.0  # the upstream rests for so many times as long as it worked


@dataclass(frozen=True, slots=True)
class Tempo:
    """
    What is known about the times of changes; all in seconds.

    ``changes``: between which two polls each fell. ``stamps``: moments of changes as the upstream tells them.
    ``fresh_for``: how long it vouches for an answer. ``unchanged_for``: how old the document is by its own account.
    ``seconds``: how long an answer takes. ``least``: the shortest interval after a refusal.
    """

    polls: int
    span: float
    changes: Sequence[tuple[float, float]]
    stamps: Sequence[float] = ()
    fresh_for: float | None = None
    unchanged_for: float | None = None
    seconds: float = 0.0
    least: float = 0.0

    @property
    def gap(self) -> float | None:
        """The mean time between two changes, or None if there was none."""
        return self.span / len(self.changes) if self.changes else None

    @property
    def floor(self) -> float:
        """The shortest interval that the upstream can bear."""
        return max(1.0, self.least, _UTILISATION * self.seconds)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A period between changes, in seconds, and how it is known."""

    period: float
    known_by: str


def find_rhythm(tempo: Tempo) -> Rhythm | None:
    """Return the rhythm of the changes, if they have one."""
    if (period := _even(tempo.stamps, slack=1.0)) is not None:
        return Rhythm(period, "by its own clock")
    fresh_for = tempo.fresh_for or 0.0
    if fresh_for >= KNOWN_LONG and (len(tempo.changes) < 2 or (tempo.gap or 0.0) >= fresh_for / 2):
        return Rhythm(fresh_for, "by how long it vouches for an answer")
    windows = tempo.changes
    if len(windows) < 4 or len(windows) > 0.5 * tempo.polls:
        return None
    slack = max(end - begin for begin, end in windows)
    period = _even([end for _, end in windows], slack=slack)
    return Rhythm(period, f"seen {len(windows)} times") if period is not None and period > 2 * slack else None


def _even(times: Sequence[float], *, slack: float) -> float | None:
    """Return the distance of moments that are evenly spaced up to ``slack`` and a tenth; three are needed."""
    times = sorted(set(times))
    gaps = [after - before for before, after in pairwise(times)]
    if len(gaps) < 2:
        return None
    period = (times[-1] - times[0]) / len(gaps)
    middle = median(gaps)
    is_even = all(abs(gap - middle) <= slack + middle / 10 for gap in gaps)
    return (period if slack > 1 else middle) if is_even and middle > slack else None


def interval(tempo: Tempo, rhythm: Rhythm | None) -> Finding:
    """Return ``poll: {every: …}`` or ``poll: {adaptive: …}``."""
    if rhythm is not None:
        return _with_rhythm(tempo, rhythm)
    gap, floor = tempo.gap, max(tempo.floor, _honoured(tempo))
    if gap is None:
        return _every(*_unchanged(tempo, floor), _because(tempo, floor) if floor > _GUESS else "")
    because = _because(tempo, floor) if floor > min(gap / 2, _LONGEST) else ""
    seen = f"changed {_times(len(tempo.changes))} in {_words(tempo.span)}"
    wished = min(gap / 2, _LONGEST)
    if len(tempo.changes) >= 0.8 * (tempo.polls - 1):
        return _every(max(floor, wished), f"{seen}, at nearly every poll: it may change more often than that", because)
    if _is_bursty(tempo):
        least, most = _nice(max(floor, wished / 4)), _nice(max(4 * floor, 2 * gap))
        value = {"min": duration_text(least), "max": duration_text(max(least, most))}
        return Finding(("poll", "adaptive"), value, f"{seen}, in bursts with quiet between them{because}")
    return _every(max(floor, wished), f"{seen}, about every {_words(gap)} and without a rhythm", because)


def _with_rhythm(tempo: Tempo, rhythm: Rhythm) -> Finding:
    what = f"changes every {_words(rhythm.period)}, {rhythm.known_by}"
    if rhythm.period >= KNOWN_LONG:
        every = max(tempo.floor, rhythm.period / 6)
        return _every(every, f"{what}: a change is then seen after a twelfth of that on average", "")
    least = _nice(max(tempo.floor, rhythm.period / 20))
    value = {"min": duration_text(least), "max": duration_text(max(least, _nice(rhythm.period)))}
    return Finding(("poll", "adaptive"), value, f"{what}: the gateway finds the beat and polls right behind it")


def _unchanged(tempo: Tempo, floor: float) -> tuple[float, str]:
    did_not = f"did not change in {_words(tempo.span)}"
    if tempo.unchanged_for is not None and tempo.unchanged_for > tempo.span:
        every = max(floor, min(max(_GUESS, tempo.unchanged_for / 20), _LONGEST))
        return every, f"{did_not}, nor for {_words(tempo.unchanged_for)} by its Last-Modified"
    every = max(floor, _GUESS)
    return every, f"{did_not}; {duration_text(_nice(every))} is a guess"


def _honoured(tempo: Tempo) -> float:
    """Return the freshness to wait for; what is vouched for longer than a few minutes is no reason to wait so long."""
    return min(tempo.fresh_for or 0.0, _LONGEST)


def _because(tempo: Tempo, floor: float) -> str:
    """Say what keeps the interval from being shorter."""
    if floor <= 1.0:
        return ""
    if floor == tempo.least:
        return "; it has refused faster polls (429)"
    if floor == _honoured(tempo):
        return f"; it vouches for an answer for {_words(tempo.fresh_for or floor)}"
    return f"; an answer takes {duration_text(tempo.seconds)}, and it shall rest {_UTILISATION:.0f} times as long"


def _every(seconds: float, reason: str, because: str) -> Finding:
    return Finding(("poll", "every"), duration_text(_nice(seconds)), reason + because)


def _is_bursty(tempo: Tempo) -> bool:
    """Whether most changes follow closely on another, although the mean gap is long."""
    gaps = [after[1] - before[1] for before, after in pairwise(tempo.changes)]
    return len(gaps) >= 5 and median(gaps) < 0.4 * fmean(gaps)


def transport(tempo: Tempo, rhythm: Rhythm | None) -> Finding:
    """Return ``transports:`` by how often there is something to push."""
    gap = rhythm.period if rhythm is not None else tempo.gap
    value: Any
    if rhythm is not None and gap is not None and gap >= KNOWN_LONG:
        value = "short_poll"
        reason = f"changes come at a known long interval ({_words(gap)}): clients that poll then need no push"
    elif gap is None:
        value, reason = ["long_poll", "short_poll"], f"rare changes, none in {_words(tempo.span)}: long poll"
    elif gap > SOMETIMES:
        value, reason = ["long_poll", "short_poll"], f"rare changes, about every {_words(gap)}: long poll"
    elif gap > OFTEN:
        value, reason = ["sse", "short_poll"], f"a change about every {_words(gap)}: SSE"
    else:
        value = ["websocket", "short_poll"]
        reason = f"a change about every {_words(gap)}, which is often: WebSocket (it is also the one for both ways)"
    if value != "short_poll":
        reason += "; short_poll is for who only asks once"
    return Finding(("transports",), value, reason)


def _nice(seconds: float) -> float:
    """Return the longest interval that people would write and that is not longer, up to a twentieth."""
    return max((each for each in _NICE if each <= seconds * 1.05), default=_NICE[0])


def _words(seconds: float) -> str:
    """Return a duration without the digits that nobody wants to know."""
    if seconds >= 3600:
        return duration_text(round(seconds / 60) * 60)
    return duration_text(round(seconds)) if seconds >= 10 else f"{round(seconds, 1):g}s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
