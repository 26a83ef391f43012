"""
What of a trouble that goes on is told: how it begins, a reminder now and then, and how it ends.

Rule 1: the same trouble is told at first, and then at most once in a while, with how often it was left out since; also
if it has been over in between. It is told at once when its reason is another one.
Rule 2: when many have the same trouble at once, as when a backend of ten thousand topics is down, some are told and the
others are counted.
Rule 3: what is remembered is bounded. Of too many troubles, the one that has been quiet for longest is forgotten; it is
then told as if it were new.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# How often the same trouble is told, in seconds.
INTERVAL = 60.0

# So many lines of one event are told in that time, whoever they are about; and so many troubles are remembered.
MOST_LINES = 100
MOST_TROUBLES = 10_000

# The reasons of one trouble that are told apart.
_MOST_REASONS = 16


@dataclass(frozen=True, slots=True)
class Told:
    """
    What is said beside the trouble itself: how often it was ``repeated`` without a word, and how many lines about
    ``others`` were left out.
    """

    repeated: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """
    What is said of the end of a trouble: how long it lasted, in seconds, and how often it was left out since its last
    line. None: it is not remembered how it began.
    """

    seconds: float | None = None
    repeated: int = 0


@dataclass(slots=True)
class _Reason:
    told_at: float
    left_out: int = 0


@dataclass(slots=True)
class _Spell:
    """One trouble of somebody, and what was told of it. ``is_told``: since it began for the last time."""

    began: float
    is_told: bool = False
    is_over: bool = False
    reasons: dict[str, _Reason] = field(default_factory=dict)


@dataclass(slots=True)
class _Window:
    """The lines of one event in the current interval."""

    began: float
    told: int = 0
    left_out: int = 0


class Repetitions:
    """Decides what is told. All times in seconds of one clock, which the caller reads."""

    def __init__(
        self, *, interval: float = INTERVAL, most_lines: int = MOST_LINES, most_troubles: int = MOST_TROUBLES
    ) -> None:
        self._interval = interval
        self._most_lines = most_lines
        self._most_troubles = most_troubles
        self._spells: dict[tuple[str, str], _Spell] = {}  # the one that was quiet for longest first
        self._windows: dict[str, _Window] = {}

    def __len__(self) -> int:
        return len(self._spells)

    def tell(self, event: str, subject: str, reason: str, now: float) -> Told | None:
        """Return what to say beside a trouble of somebody, or None if nothing shall be said of it."""
        spell = self._begun(event, subject, now)
        known = spell.reasons.get(reason)
        if known is not None and now < known.told_at + self._interval:
            known.left_out += 1
            return None
        others = self._room(event, now)
        if others is None:
            if known is not None:
                known.left_out += 1
            return None
        if len(spell.reasons) >= _MOST_REASONS:
            spell.reasons.clear()
        spell.reasons[reason] = _Reason(now)
        spell.is_told = True
        return Told(0 if known is None else known.left_out, others)

    def _begun(self, event: str, subject: str, now: float) -> _Spell:
        spell = self._spells.pop((event, subject), None) or _Spell(now)
        if spell.is_over:
            spell.began, spell.is_told, spell.is_over = now, False, False
        self._spells[event, subject] = spell
        if len(self._spells) > self._most_troubles:
            del self._spells[next(iter(self._spells))]
        return spell

    def end(self, event: str, subject: str, now: float) -> Ended | None:
        """Return what to say of the end of somebody's trouble, or None if nobody has been told of it."""
        spell = self._spells.get((event, subject))
        if spell is None:
            return Ended()
        spell.is_over = True
        if not spell.is_told:
            return None
        repeated = sum(one.left_out for one in spell.reasons.values())
        for reason in spell.reasons.values():
            reason.left_out = 0
        return Ended(now - spell.began, repeated)

    def crowd(self, event: str, now: float) -> Told | None:
        """Return what to say beside a line that stands for itself, or None if there were too many such of late."""
        others = self._room(event, now)
        return None if others is None else Told(0, others)

    def _room(self, event: str, now: float) -> int | None:
        """Return how many lines were left out before this one, or None if this is one too many, too."""
        window = self._windows.get(event)
        if window is None or now >= window.began + self._interval:
            left_out = 0 if window is None else window.left_out
            self._windows[event] = _Window(now, 1)
            return left_out
        if window.told >= self._most_lines:
            window.left_out += 1
            return None
        window.told += 1
        return 0
