"""
What a client knows that follows topics: where it is, and in how long to come back when a connection has ended.

Rule 1: the id of what was taken last is the position, whatever transport it came by.
Rule 2: what the gateway says about when to come back is never undercut. Beyond that waits double, with half of each
left to chance, so that those who were sent away together do not return together.
Rule 3: once something was heard, the next trouble is the first again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .endings import Closed, Cut, Ending, Finished, Refused, advice_of, is_passing, words_of

# An event with all that is known of it: ``event``, ``data``, and maybe ``topic``, ``id``, ``at``, ``encoding``.
Envelope: TypeAlias = dict[str, Any]

# Between the first two tries and between the last ones, in seconds.
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0

# Events that are a position: what they tell has become part of the document.
CHANGES = frozenset({"snapshot", "patch", "merge", "items", "gone", "end"})


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing to come back for. ``is_good``: because all was told."""

    why: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Again:
    """Come back in so many seconds."""

    after: float
    why: str


Verdict: TypeAlias = "Over | Again"


@dataclass(slots=True)
class Follower:
    """
    One client's memory. ``cursor``: of what is followed as a whole; ``cursors``: of each topic by its name, where there
    are several. ``retry``: what the stream said about when to come back.
    """

    cursor: str | None = None
    cursors: dict[str, str] = field(default_factory=dict)
    retry: float | None = None
    was_heard: bool = False
    ended: set[str] = field(default_factory=set)
    _tries: int = 0

    def hear(self) -> None:
        """Note that the gateway is there, and lets us listen."""
        self._tries, self.was_heard = 0, True

    def take(self, event: Envelope, *, position: str | None) -> None:
        """Note an event that was taken in. ``position``: where that leaves the connection, if it says so."""
        self.hear()
        self.cursor = position or self.cursor
        topic, own = event.get("topic"), event.get("id")
        if topic is not None and own:
            self.cursors[topic] = own
        if event["event"] == "end":
            self.ended.add(topic or "")

    def judge(self, ending: Ending, *, chance: float) -> Verdict:
        """Return what to do now that a connection has ended; ``chance`` is from 0 up to 1."""
        if isinstance(ending, Finished):
            return Over(words_of(ending), is_good=True)
        if isinstance(ending, Closed) and ending.code == 1000:
            return Over(words_of(Finished()), is_good=True)
        if isinstance(ending, Refused | Closed) and not is_passing(ending):
            return Over(words_of(ending), is_good=False)
        if isinstance(ending, Cut) and not ending.was_there and not self.was_heard:
            return Over(words_of(ending), is_good=False)
        return Again(self._wait(advice_of(ending), chance), words_of(ending))

    def _wait(self, advice: float | None, chance: float) -> float:
        wait = min(LONGEST_WAIT, (self.retry or FIRST_WAIT) * 2.0 ** min(self._tries, 16)) * (0.5 + chance / 2)
        self._tries += 1
        return max(wait, advice or 0.0, self.retry or 0.0)
