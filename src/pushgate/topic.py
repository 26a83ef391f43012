"""
The life of one topic, without I/O: events in, commands out.

Rule 1: every decision about when a topic is polled, and about what an answer means, is taken here by ``Topic.handle``.
Rule 2: nothing here awaits, sleeps, reads a clock or rolls dice; the moment is an argument, and a timer is a command.
Rule 3: at most one poll is under way, and none while nobody listens, once ``linger`` is over.
Rule 4: what is in doubt is held until the upstream has said it often enough in a row; a state that nobody confirmed is
never published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from .happenings import (
    Announce,
    Answered,
    Append,
    Command,
    Denied,
    Drop,
    Due,
    End,
    Failed,
    Happening,
    Joined,
    Left,
    Missing,
    News,
    Outcome,
    Poked,
    Poll,
    Unchanged,
    WakeAt,
)
from .timetable import Moment, Timetable
from .values import ABSENT, State

# Servers exist that say "not modified" for ever: after this many in a row the document is fetched in full.
VERIFY_AFTER = 10


@dataclass(frozen=True, slots=True)
class Terms:
    """What the route says about the life of its topics; all times in seconds."""

    linger: float
    stale_after: int  # failed polls in a row
    expire: float | None  # how long a stale document is served; None: for ever
    confirmations: int  # how often in a row the upstream must say what is hard to believe


class Topic:
    """Decides when to poll one resource of a backend, and what its answers mean."""

    def __init__(
        self, terms: Terms, timetable: Timetable, *, now: float, is_standing: bool = False, listeners: int = 0
    ) -> None:
        self._terms = terms
        self._timetable = timetable
        self._is_standing = is_standing  # polled whether or not somebody listens
        self.has_document = False  # published; also one that is ABSENT
        self.is_absent = False
        self.state: State = "cold"
        self.since = now  # when the state began
        self.reason: str | None = None  # of the latest failed poll; None after a good one
        self.denied: int | None = None  # the status with which the upstream sent the caller away
        self.confirmed_at: float | None = None  # when the upstream last vouched for the document
        self.next_poll_at: float | None = None  # None until the first poll, and while one is under way
        self.failures = 0  # in a row
        self._setbacks = 0  # those of them in which the upstream had a part
        self.is_polling = False
        self.is_catching_up = False  # the poll under way is that of a topic that slept past its time
        self.listeners = listeners
        self._idle_since: float | None = None if listeners else -math.inf  # None while somebody listens
        self._began_at = now  # the latest poll
        self._is_poked = False  # during the poll under way
        self._missing = 0  # answers in a row that said the topic does not exist
        self._not_modified = 0  # answers in a row for which we have only the upstream's word
        self._doubts = 0  # answers in a row that failed the same guard
        self._doubted: str | None = None  # that guard

    def __repr__(self) -> str:
        return f"<Topic {self.state}, {self.listeners} listening, next poll {self.next_poll_at}>"

    def is_wanted(self, now: float) -> bool:
        """Whether the topic is to be polled at all: somebody listens or did so a moment ago, or it is standing."""
        return now < self.wanted_until

    @property
    def wanted_until(self) -> float:
        if self.state == "ended":
            return -math.inf
        return math.inf if self._is_standing or self._idle_since is None else self._idle_since + self._terms.linger

    @property
    def is_worthless(self) -> bool:
        """Whether nothing would be lost with it: nobody listens, and there is no document to keep."""
        is_needed = self.listeners > 0 or self.is_polling or self._is_standing
        return not is_needed and (not self.has_document or self.is_absent)

    def is_expired(self, now: float) -> bool:
        """Whether the document has been stale for so long that it is no longer served."""
        return self.state == "stale" and self._terms.expire is not None and now >= self.since + self._terms.expire

    @property
    def next_poll_why(self) -> str:
        """Why the next poll is when it is, for people."""
        return "`until` came true" if self.state == "ended" else self._timetable.why

    def handle(self, event: Happening, at: Moment) -> list[Command]:
        """Take note of what happened and return what shall be done, in this order."""
        match event:
            case Joined():
                is_awake = self.is_wanted(at.now) and not self.is_new  # it is polling, or its timer runs
                self.listeners += 1
                self._idle_since = None
                return [] if is_awake or self.state == "ended" else self._wake_up(at)
            case Left():
                self.listeners -= 1
                if self.listeners == 0:
                    self._idle_since = at.now
                return []
            case Due():
                return self._poll_or_wait(at) if self.is_wanted(at.now) else []
            case Poked():
                return self._poke(at)
            case Answered() | Unchanged() | Missing() | Failed() | Denied():
                return self._polled(event, at)
            case _:
                assert_never(event)

    def revise(self, terms: Terms, timetable: Timetable | None, *, is_standing: bool, at: Moment) -> list[Command]:
        """Go on under other terms; ``timetable``: None if that is the same. A poll under way is not disturbed."""
        was_wanted = self.is_wanted(at.now)
        self._terms, self._is_standing = terms, is_standing
        if timetable is not None and self.next_poll_at is not None:
            self.next_poll_at = timetable.take_over(self._timetable, self.next_poll_at, at)
        self._timetable = timetable or self._timetable
        if self.next_poll_at is None or not self.is_wanted(at.now):
            return []
        if not was_wanted:  # many who slept are woken together
            self.next_poll_at = max(self.next_poll_at, at.now + self._timetable.pace * at.chance)
        return self._poll_or_wait(at)

    # When to poll.

    @property
    def is_new(self) -> bool:  # its first poll is still to begin
        return self.next_poll_at is None and not self.is_polling

    def _wake_up(self, at: Moment) -> list[Command]:
        """Poll a topic that slept, if it is time; from then on by a grid of its own."""
        if self.next_poll_at is None or at.now >= self.next_poll_at:
            self._timetable.wake(at.now)
            self.is_catching_up = not self._timetable.is_closed(at.wall)
        return self._poll_or_wait(at)

    def _poll_or_wait(self, at: Moment) -> list[Command]:
        if self.is_polling:
            return []
        if self.has_document and self._timetable.is_closed(at.wall):
            return self._pause(at)
        if self.next_poll_at is not None and at.now < self.next_poll_at:
            return [WakeAt(self._timetable.before_closing(self.next_poll_at, at))]
        return [self._poll(at)]

    def _poll(self, at: Moment) -> Poll:
        if self.state == "paused" or self.is_new:
            self._timetable.wake(at.now)
        self.is_polling = True
        self.next_poll_at = None
        self._began_at = at.now
        return Poll(conditional=self._not_modified < VERIFY_AFTER and self._doubted is None)

    def _poke(self, at: Moment) -> list[Command]:
        """Poll now if there is anything to be out of date; after the poll under way if there is one."""
        if self.is_polling:
            self._is_poked = True
            return []
        return [self._poll(at)] if self.has_document and self.state != "ended" else []

    def _pause(self, at: Moment) -> list[Command]:
        """Rest until the active hours begin."""
        was = self.state
        self.next_poll_at = self._timetable.opening(at)
        self._enter("paused", at.now)
        return [WakeAt(self.next_poll_at), *([Announce()] if was != "paused" else [])]

    @property
    def _confirming(self) -> str | None:
        """What the next poll has to confirm, for people."""
        if self._doubted is not None:
            return f"an answer that fails the guard `{self._doubted}`"
        return "that it is gone" if self._missing and self.state != "gone" else None

    # What an answer means.

    def _polled(self, event: Outcome, at: Moment) -> list[Command]:
        self.is_polling = self.is_catching_up = False
        was = self.state
        commands = self._take(event, at.now)
        if self.state == "ended":
            return commands
        self.next_poll_at = self._timetable.next(
            event, at, began_at=self._began_at, failures=self._setbacks, confirming=self._confirming
        )
        if self.state in ("live", "stale") and self._timetable.is_closed(at.wall):
            self._enter("paused", at.now)
        if self._is_poked and self.has_document:
            commands.append(self._poll(at))
        elif self.is_wanted(at.now):
            commands.append(WakeAt(self._timetable.before_closing(self.next_poll_at, at)))
        self._is_poked = False
        if self.state != was or (self.state == "cold" and self.failures == self._terms.stale_after):
            commands.append(Announce())
        return commands

    def _take(self, event: Outcome, now: float) -> list[Command]:
        match event:
            case Answered():
                return self._on_answer(event, now)
            case Unchanged():
                assert self.has_document, "a poll that has nothing to keep has failed before it gets here"
                self._not_modified = self._not_modified + 1 if event.not_modified else 0
                self._confirm("gone" if self.is_absent else "live", now)
                return []
            case Missing():
                return self._on_missing(event, now)
            case Failed():
                self._on_failure(event.reason, now, was_asked=event.was_asked)
                return []
            case Denied():
                self._on_failure("upstream_auth", now, was_asked=True)
                self.denied, self.has_document, self.is_absent = event.status, False, False
                self._enter("cold", now)
                return [Drop(event.status)]
            case _:
                assert_never(event)

    def _on_answer(self, event: Answered, now: float) -> list[Command]:
        if event.doubt is not None and not self._is_confirmed(event.doubt.guard):
            self.failures, self._setbacks, self.reason = 0, 0, None
            self._enter("held", now)
            return []
        self._not_modified = 0
        self._confirm("live", now)
        commands: list[Command] = [] if event.news is None else [self._publish(event.news, event.at)]
        if event.is_last:
            self._enter("ended", now)
            self.next_poll_at = None
            commands.append(End(event.at))
        return commands

    def _is_confirmed(self, guard: str) -> bool:
        """Count an answer that fails a guard; tell whether the upstream has now said so often enough."""
        self._doubts = self._doubts + 1 if guard == self._doubted else 1
        self._doubted = guard
        return self._doubts >= self._terms.confirmations

    def _on_missing(self, event: Missing, now: float) -> list[Command]:
        self._forget_doubt()
        self._missing += 1
        # A topic that never had a document has nothing to lose: there, once is enough.
        if self.has_document and self._missing < self._terms.confirmations:
            return []
        self._confirm("gone", now)
        return [] if self.is_absent else [self._publish(News(ABSENT), event.at)]

    def _on_failure(self, reason: str, now: float, *, was_asked: bool) -> None:
        self.failures += 1
        self.reason = reason
        if was_asked:  # otherwise what was said in a row still is
            self._setbacks += 1
            self._missing = 0
            self._forget_doubt()
        if self.state in ("live", "held", "paused") and self.failures >= self._terms.stale_after:
            self._enter("stale", now)

    def _confirm(self, state: State, now: float) -> None:
        self.failures = self._setbacks = 0
        self.reason = self.denied = None
        self._forget_doubt()
        if state != "gone":
            self._missing = 0
        self.confirmed_at = now
        self._enter(state, now)

    def _forget_doubt(self) -> None:
        self._doubts, self._doubted = 0, None

    def _enter(self, state: State, now: float) -> None:
        if state != self.state:
            self.state, self.since = state, now

    def _publish(self, news: News, at: float) -> Append:
        self.has_document, self.is_absent = True, news.document is ABSENT
        return Append(news, at)
