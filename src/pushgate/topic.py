"""
The life of one topic, without I/O: events in, commands out.

Rule 1: every decision about when a topic is polled is taken here by ``Topic.handle``; what its answers mean, its
``Condition`` knows.
Rule 2: nothing here awaits, sleeps, reads a clock or rolls dice; the moment is an argument, and a timer is a command.
Rule 3: at most one poll is under way, and none while nobody listens, once ``linger`` is over.
Rule 4: while an operator has paused the topic, no poll begins, whoever asks for it. One that was under way has reached
the upstream already, so its answer is taken. What was asked for meanwhile is done when the pause is over.
"""

from __future__ import annotations

import math
from typing import assert_never

from .condition import Condition, Terms
from .happenings import (
    Announce,
    Answered,
    Command,
    Denied,
    Due,
    Failed,
    Happening,
    Joined,
    Left,
    Missing,
    Outcome,
    Paused,
    Poked,
    Poll,
    Refreshed,
    Resumed,
    Unchanged,
    WakeAt,
)
from .timetable import Moment, Timetable
from .values import State

# Servers exist that say "not modified" for ever: after this many in a row the document is fetched in full.
VERIFY_AFTER = 10


class Topic(Condition):
    """Decides when to poll one resource of a backend."""

    def __init__(
        self, terms: Terms, timetable: Timetable, *, now: float, is_standing: bool = False, listeners: int = 0
    ) -> None:
        super().__init__(terms, now=now)
        self._timetable = timetable
        self._is_standing = is_standing  # polled whether or not somebody listens
        self.is_polling = False
        self.is_catching_up = False  # the poll under way is that of a topic that slept past its time

        self.listeners = listeners
        self._idle_since: float | None = None if listeners else -math.inf  # None while somebody listens
        self._next_poll_at: float | None = None  # None until the first poll, and while one is under way
        self._began_at = now  # the latest poll
        self._paused_at: float | None = None  # by an operator; None: it is not
        self._is_poked = False  # since the poll under way began, or during the pause

    def __repr__(self) -> str:
        return f"<Topic {self.state}, {self.listeners} listening, next poll {self.next_poll_at}>"

    @property
    def is_paused_by_operator(self) -> bool:
        return self._paused_at is not None

    @property
    def state(self) -> State:
        return self._state if self._paused_at is None or self._state == "ended" else "paused"

    @property
    def since(self) -> float:
        """When the state began."""
        return self._since if self._paused_at is None or self._state == "ended" else self._paused_at

    @property
    def next_poll_at(self) -> float | None:
        """None until the first poll, while one is under way, and while an operator wants none."""
        return self._next_poll_at if self._paused_at is None else None

    def is_wanted(self, now: float) -> bool:
        """Whether the topic is to be polled at all: somebody listens or did so a moment ago, or it is standing."""
        return now < self.wanted_until

    @property
    def wanted_until(self) -> float:
        """Until when it is, as far as is known now."""
        if self._state == "ended":
            return -math.inf
        return math.inf if self._is_standing or self._idle_since is None else self._idle_since + self._terms.linger

    @property
    def is_worthless(self) -> bool:
        """Whether nothing would be lost with it: nobody listens, and there is no document to keep."""
        has_nothing = not self.has_document or self.is_absent
        return has_nothing and self.listeners == 0 and not (self.is_polling or self._is_standing)

    @property
    def next_poll_why(self) -> str:
        """Why the next poll is when it is, for people."""
        if self._state == "ended":
            return "`until` came true"
        return "paused by an operator" if self.is_paused_by_operator else self._timetable.why

    def handle(self, event: Happening, at: Moment) -> list[Command]:
        """Take note of what happened and return what shall be done, in this order."""
        match event:
            case Joined():
                is_awake = self.is_wanted(at.now) and not self.is_new  # it is polling, or its timer runs
                self.listeners += 1
                self._idle_since = None
                return [] if is_awake or self.is_paused_by_operator or self._state == "ended" else self._wake_up(at)
            case Left():
                self.listeners -= 1
                if self.listeners == 0:
                    self._idle_since = at.now
                return []
            case Due():
                return self._poll_or_wait(at) if self.is_wanted(at.now) else []
            case Poked() | Refreshed():
                return self._poke(at, is_insisting=isinstance(event, Refreshed))
            case Paused():
                return self._stop(at)
            case Resumed():
                return self._go_on(at, event.delay)
            case Answered() | Unchanged() | Missing() | Failed() | Denied():
                return self._polled(event, at)
            case _:
                assert_never(event)

    def revise(self, terms: Terms, timetable: Timetable | None, *, is_standing: bool, at: Moment) -> list[Command]:
        """Go on under other terms; ``timetable``: None if that is the same. A poll under way is not disturbed."""
        was_wanted = self.is_wanted(at.now)
        self._terms, self._is_standing = terms, is_standing
        if timetable is not None:
            if self._next_poll_at is not None:
                self._next_poll_at = timetable.take_over(self._timetable, self._next_poll_at, at)
            self._timetable = timetable
        if self._next_poll_at is None or not self.is_wanted(at.now):
            return []
        if not was_wanted:  # many who slept are woken together
            self._next_poll_at = max(self._next_poll_at, at.now + self._timetable.pace * at.chance)
        return self._poll_or_wait(at)

    # When to poll.

    @property
    def is_new(self) -> bool:
        """Whether its first poll is still to begin, and may."""
        return self._next_poll_at is None and not (self.is_polling or self.is_paused_by_operator)

    def _wake_up(self, at: Moment) -> list[Command]:
        """Poll a topic that slept, if it is time; from then on by a grid of its own."""
        if self._next_poll_at is None or at.now >= self._next_poll_at:
            self._timetable.wake(at.now)
            self.is_catching_up = not self._timetable.is_closed(at.wall)
        return self._poll_or_wait(at)

    def _poll_or_wait(self, at: Moment) -> list[Command]:
        if self.is_polling or self.is_paused_by_operator:
            return []
        if self.has_document and self._timetable.is_closed(at.wall) and not self._is_poked:
            return self._rest(at)
        if self._next_poll_at is not None and at.now < self._next_poll_at:
            return [WakeAt(self._timetable.before_closing(self._next_poll_at, at))]
        return [self._poll(at)]

    def _poll(self, at: Moment) -> Poll:
        if self._state == "paused" or self.is_new:
            self._timetable.wake(at.now)
        self.is_polling, self._is_poked = True, False
        self._next_poll_at = None
        self._began_at = at.now
        return Poll(conditional=self._not_modified < VERIFY_AFTER and self._doubted is None)

    def _poke(self, at: Moment, *, is_insisting: bool) -> list[Command]:
        """Poll now if there is anything to be out of date; after the poll under way if there is one, or the pause."""
        is_due = self.has_document or is_insisting
        if self.is_polling or self.is_paused_by_operator:
            self._is_poked = self._is_poked or self.is_polling or is_due
            return []
        return [self._poll(at)] if is_due and self._state != "ended" else []

    def _stop(self, at: Moment) -> list[Command]:
        was = self.state
        if self._paused_at is None:
            self._paused_at = at.now
        return [Announce()] if self.state != was else []

    def _go_on(self, at: Moment, delay: float) -> list[Command]:
        """Be what the last poll has said, and poll in so many seconds if it was time for that meanwhile."""
        if self._paused_at is None:
            return []
        was, self._paused_at = self.state, None
        if self._next_poll_at is not None and (self._is_poked or at.now >= self._next_poll_at):
            self._next_poll_at = at.now + delay
            self._timetable.wake(self._next_poll_at)
            self._timetable.why = "an operator has resumed it"
        commands: list[Command] = []
        if self.is_wanted(at.now):
            commands = [WakeAt(at.now + delay)] if self.is_new else self._poll_or_wait(at)
        return commands if self.state == was else [*commands, Announce()]

    def _rest(self, at: Moment) -> list[Command]:
        """Rest until the active hours begin."""
        was = self.state
        self._next_poll_at = self._timetable.opening(at)
        self._enter("paused", at.now)
        return [WakeAt(self._next_poll_at), *([Announce()] if was != "paused" else [])]

    def _polled(self, event: Outcome, at: Moment) -> list[Command]:
        self.is_polling = self.is_catching_up = False
        if isinstance(event, Failed) and event.is_turned_away:  # it is still to begin
            is_lost = self.is_paused_by_operator or not self.is_wanted(at.now)
            return [] if is_lost else [WakeAt(at.now + self._timetable.pace * at.chance)]
        was = self.state
        commands = self._take(event, at.now)
        if self._state == "ended":
            return commands
        self._next_poll_at = self._timetable.next(
            event, at, began_at=self._began_at, failures=self._setbacks, confirming=self._confirming
        )
        if self._state in ("live", "stale") and self._timetable.is_closed(at.wall):
            self._enter("paused", at.now)
        if not self.is_paused_by_operator:
            commands += self._follow_up(self._next_poll_at, at)
        if self.state != was or (self.state == "cold" and self.failures == self._terms.stale_after):
            commands.append(Announce())
        return commands

    def _follow_up(self, when: float, at: Moment) -> list[Command]:
        is_poked, self._is_poked = self._is_poked and self.has_document, False
        if is_poked:
            return [self._poll(at)]
        return [WakeAt(self._timetable.before_closing(when, at))] if self.is_wanted(at.now) else []
