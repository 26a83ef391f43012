"""
Which members change at every turn and say nothing: clocks, seconds that are counted, random tokens.

A member is looked at as one: all strands of a place together (``/stations/*/seen``), and if these do not agree, the
strands at one index of arrays that never move (``/3/value``). It is noise if it differs in nearly every pair of
successive versions *and* looks like one of these; what merely changes often is news. A number that only goes up counts
something, and somebody may want to know: such members, and clocks that stand still at times, are proposed as ``quiet``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import pstdev
from typing import Any, Literal, TypeAlias

from .moments import moment_of, numbers_of
from .samples import Version
from .strands import ANY, MISSING, Place, Strand, Weave, pointer

# "polls": a counter of our own requests, which watching alone makes change.
Kind: TypeAlias = Literal["clock", "token", "counter", "polls"]

_ALWAYS = 0.9  # of the pairs: "nearly every"
_OFTEN = 0.5  # a number that goes up more rarely is news when it does
_DAY_AND_ZONES = 26 * 3600.0  # a time of day without a zone may be this far from ours
_LOOKED_AT = 500  # changes of one place: more of them say the same
_MAX_BY_INDEX = 200  # strands of a place; of a longer array nobody ignores single items

_TIMELY = re.compile(r"(?i)(time|date|updat|generat|now|clock|stamp|published|asof|as_of)")
_COUNTS_SECONDS = re.compile(r"(?i)(uptime|sec|age$|elapsed|duration|since|running|lastch|last_?change)")
_FRACTION = re.compile(r"(?i)(usec|nsec|micros|nanos|microseconds|nanoseconds)$")
_TOKEN = re.compile(r"(?=.*\d)[0-9A-Za-z+/_=.\-]{8,}|[0-9a-fA-F]{8,}")


@dataclass(frozen=True, slots=True)
class Noise:
    """A member that says nothing by itself: its pointer, the reason for people, and whether to ignore it."""

    pointer: str
    kind: Kind
    reason: str
    is_ignored: bool
    strands: tuple[Strand, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One strand from one version to the next."""

    version: Version
    seconds: float
    polls: int
    old: Any
    new: Any

    @property
    def is_change(self) -> bool:
        return self.old != self.new or isinstance(self.old, bool) is not isinstance(self.new, bool)


def find_noise(woven: Weave, versions: Sequence[Version], *, polls: int) -> list[Noise]:
    """Return what is noise or may be, in the order of the document; ``polls`` counts the answers, repeated ones too."""
    turnover = (len(versions) - 1) / max(1, polls - 1)
    found: list[Noise] = []
    for place, strands in sorted(woven.leaves.items()):
        if not _is_key(woven, place):
            found += _of_place(place, strands, versions, turnover)
    return found


def _is_key(woven: Weave, place: Place) -> bool:
    key = woven.keys.get(place[:-2]) if place[-2:-1] == (ANY,) else None
    return key is not None and key.names is not None and place[-1] in key.names


def _of_place(place: Place, strands: list[Strand], versions: Sequence[Version], turnover: float) -> Iterator[Noise]:
    """Judge the strands of a place together, then in ever smaller groups those that were not noise together."""
    left = strands
    for mask in _masks(place, len(strands)):
        groups: dict[Place, list[Strand]] = defaultdict(list)
        for strand in left:
            groups[_masked(place, strand, mask)].append(strand)
        left = []
        for path, group in groups.items():
            noise = _judge(path, group, versions, turnover) if _is_sound(path, group, mask) else None
            if noise is None:
                left += group
            else:
                yield noise


def _masks(place: Place, strands: int) -> list[tuple[bool, ...]]:
    """Return which array levels stand for any item, from all of them to none."""
    levels = place.count(ANY)
    if strands > _MAX_BY_INDEX:
        return [(True,) * levels]
    return sorted(product((True, False), repeat=levels), key=sum, reverse=True)


def _masked(place: Place, strand: Strand, mask: tuple[bool, ...]) -> Place:
    level = iter(mask)
    return tuple(
        index if token == ANY and not next(level) else token for token, index in zip(place, strand.path, strict=True)
    )


def _is_sound(path: Place, group: list[Strand], mask: tuple[bool, ...]) -> bool:
    """Whether the pointer addresses these strands: an index does only where an item was there all the time."""
    if all(mask):
        return True
    is_fixed = path.count(ANY) == sum(mask)
    return is_fixed and all(value is not MISSING for strand in group for value in strand.values)


def _judge(path: Place, group: list[Strand], versions: Sequence[Version], turnover: float) -> Noise | None:
    steps = [step for strand in group if not _is_blank(strand) for step in _steps(strand, versions)]
    changes = [step for step in steps if step.is_change]
    if not changes:
        return None
    share = len(changes) / len(steps)
    changes = changes[:: 1 + len(changes) // _LOOKED_AT]
    if _is_clock(path, changes):
        often = share >= _ALWAYS and (len(changes) > 1 or _TIMELY.search(path[-1]) is not None)
        if often:
            return Noise(pointer(path), "clock", "is the time of the answer", True, tuple(group))
        if _ALWAYS * len(changes) <= sum(map(_is_of_now, changes)):
            return Noise(pointer(path), "clock", "is the time of an update", False, tuple(group))
    if share >= _ALWAYS and (reason := _counted(path, changes)):
        return Noise(pointer(path), "clock", reason, True, tuple(group))
    if share * turnover >= _ALWAYS and len(versions) > 3 and _is_random(group):
        return Noise(pointer(path), "token", "is a random token", True, tuple(group))
    return _counter(path, changes, group) if share >= _OFTEN else None


def _is_blank(strand: Strand) -> bool:
    """Whether there never was a value, as in a column that says nothing about this row."""
    return all(value in ("", None) or value is MISSING for value in strand.values)


def _steps(strand: Strand, versions: Sequence[Version]) -> Iterator[_Step]:
    last: tuple[Version, Any] | None = None
    for version, value in zip(versions, strand.values, strict=True):
        if value is MISSING:
            continue
        if last is not None:
            before, old = last
            yield _Step(version, version.at - before.at, version.number - before.number, old, value)
        last = version, value


def _is_clock(path: Place, changes: list[_Step]) -> bool:
    """
    Whether it is a moment near that of the answer, and moves forward; items must all say the same moment.

    Not always forward: caches in front of a backend answer out of their order.
    """
    lags: dict[float, list[float]] = defaultdict(list)
    forward = 0
    for step in changes:
        moment, before = moment_of(step.new), moment_of(step.old)
        if moment is None or abs(step.version.at - moment) > _DAY_AND_ZONES:
            continue
        lags[step.version.at].append(step.version.at - moment)
        forward += before is None or moment > before
    near = sum(map(len, lags.values()))
    if near < _ALWAYS * len(changes) or forward < 0.5 * near:
        return False
    spread = max(max(each) - min(each) for each in lags.values())
    return ANY not in path or spread <= 10 + 0.1 * max(step.seconds for step in changes)


def _is_of_now(step: _Step) -> bool:
    """Whether the new moment lies between the version before and this one, give or take a minute."""
    moment = moment_of(step.new)
    return moment is not None and -60 <= step.version.at - moment <= step.seconds + 60


def _counted(path: Place, changes: list[_Step]) -> str | None:
    """Say what is counted, if it is time: each change is as long as the time between the answers."""
    if not path:
        return None  # a document that is nothing but a text
    if _FRACTION.search(path[-1]) and all(_is_below(step.new, 1e9) for step in changes):
        return "is the fraction of a second"
    moves = [move for step in changes if (move := _move(step)) is not None]
    if len(changes) < 3 or len(moves) < _ALWAYS * len(changes):
        return None
    if _is_even(changes) and not _COUNTS_SECONDS.search(path[-1]) and all(moves[0][1] == move for _, move in moves):
        return None  # one more at each poll, and all polls a second apart: it may as well count requests
    for sign, words in ((1, "counts the seconds"), (-1, "counts down the seconds")):
        for scale in (1.0, 1e3):
            fitting = sum(abs(sign * move / scale - seconds) <= 1.2 + seconds / 10 for seconds, move in moves)
            total, took = sum(move for _, move in moves) * sign / scale, sum(seconds for seconds, _ in moves)
            if fitting >= _ALWAYS * len(changes) and abs(total - took) <= 1.5 + took / 10:
                return words
    return None


def _is_even(changes: list[_Step]) -> bool:
    seconds = [step.seconds for step in changes]
    return pstdev(seconds) < 0.1 * sum(seconds) / len(seconds)


def _is_below(value: Any, limit: float) -> bool:
    numbers = numbers_of(value)
    return numbers is not None and numbers[0] in ("", "0") and numbers[1][0] < limit


def _move(step: _Step) -> tuple[float, float] | None:
    """Return the seconds of a step and by how much its number went up; of several numbers all must move alike."""
    old, new = numbers_of(step.old), numbers_of(step.new)
    if old is None or new is None or old[0] != new[0] or len(old[1]) != len(new[1]):
        return None
    moves = {round(after - before, 6) for before, after in zip(old[1], new[1], strict=True) if after != before}
    return (step.seconds, moves.pop()) if len(moves) == 1 else None


def _is_random(group: list[Strand]) -> bool:
    """Whether its texts look drawn by lot, never come back, and neither are moments nor count anything."""
    texts = [value for strand in group for value in strand.values if value is not MISSING]
    if not all(isinstance(text, str) and _TOKEN.fullmatch(text) and moment_of(text) is None for text in texts):
        return False
    if len(set(texts)) < len(texts):
        return False
    return not all(text.isdecimal() for text in texts) or texts != sorted(texts, key=int)


def _counter(path: Place, changes: list[_Step], group: list[Strand]) -> Noise | None:
    """Return a number that only goes up, and whether it is our own polls that it counts."""
    moves = [_move(step) for step in changes if moment_of(step.new) is None]
    ups = [move[1] for move in moves if move is not None and move[1] > 0]
    if len(changes) < 3 or len(ups) < len(changes):
        return None
    polls = [step.polls for step in changes]
    kind: Kind = "counter"
    if all(up == ups[0] * count for up, count in zip(ups, polls, strict=True)):
        what = "the time or our own requests" if _is_even(changes) else "our own requests"
        kind = "counter" if _is_even(changes) else "polls"
        words = f"goes up by {ups[0]:g} at each poll: it seems to count {what}"
    elif all(up == int(up) for up in ups):
        words = "only goes up: it counts something"
    else:
        return None
    return Noise(pointer(path), kind, words, False, tuple(group))
