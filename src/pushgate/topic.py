"""
The life of one topic, without I/O: events in, commands out.

Rule 1: every decision about when a topic is polled, and about what an answer means, is taken here by ``Topic.handle``.
Rule 2: nothing here awaits, sleeps, reads a clock or rolls dice; ``now`` (monotonic seconds) and ``chance`` (0 up to
1) are arguments, and a timer is a command.
Rule 3: at most one poll is under way, and none while nobody listens, once ``linger`` is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from .diffing import compare
from .patching import Operation
from .scheduling import backoff, clamp_retry_after, next_tick, spread
from .values import ABSENT, Absent, Document, Json, State


@dataclass(frozen=True, slots=True)
class Terms:
    """What the route says about polling; all times in seconds."""

    every: float
    jitter: float  # the part of an interval over which polls are spread, 0 to 1
    linger: float
    stale_after: int  # failed polls in a row
    expire: float | None  # how long a stale document is served; None: for ever
    key: str | None


# What happens to a topic.


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody listens who did not before."""


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody no longer listens."""


@dataclass(frozen=True, slots=True)
class Due:
    """The timer went off that WakeAt asked for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A poll yielded a document; the topic owns it from now on. ``at``: when it was read, since the epoch."""

    document: Json
    at: float


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A good poll brought nothing new; ``not_modified`` if we have only the upstream's word for it (304)."""

    not_modified: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """The upstream says that what the topic names does not exist."""

    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A poll failed. ``retry_after``: what the upstream asked for, in seconds."""

    reason: str
    retry_after: float | None = None


Happening: TypeAlias = Joined | Left | Due | Answered | Unchanged | Missing | Failed


# What shall be done about it.


@dataclass(frozen=True, slots=True)
class Poll:
    """Start a poll now; its outcome comes back as Answered, Unchanged, Missing or Failed."""

    conditional: bool


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Say Due at this time; replaces the timer there was."""

    when: float


@dataclass(frozen=True, slots=True)
class Append:
    """Publish a new document; ``patch`` leads to it from the last one."""

    document: Document
    at: float
    patch: tuple[Operation, ...]
    keyless: int  # arrays that had to be compared by index although the route names a key


@dataclass(frozen=True, slots=True)
class Announce:
    """The topic's state changed: tell whoever listens."""


Command: TypeAlias = Poll | WakeAt | Append | Announce

# How often in a row the upstream must say that a document does not exist before it is believed, and how soon it is
# asked again. A topic that never had a document has nothing to lose: there, once is enough.
GONE_CONFIRMATIONS = 2
CONFIRM_AFTER = 2.0

# Servers exist that say "not modified" for ever: after this many in a row the document is fetched in full.
VERIFY_AFTER = 10


class Topic:
    """Decides when to poll one resource of a backend, and what its answers mean."""

    def __init__(self, terms: Terms, *, now: float, is_standing: bool = False) -> None:
        self._terms = terms
        self._is_standing = is_standing  # polled whether or not somebody listens
        self.document: Document | None = None  # the last one published; None until there is one
        self.has_document = False  # because JSON's null is None too
        self.state: State = "cold"
        self.since = now  # when the state began
        self.reason: str | None = None  # of the latest failed poll; None after a good one
        self.confirmed_at: float | None = None  # when the upstream last vouched for the document
        self.next_poll_at: float | None = None  # None until the first poll, and while one is under way
        self.failures = 0  # in a row
        self.is_polling = False
        self.is_catching_up = False  # the poll under way is that of a topic that slept past its time

        self._listeners = 0
        self._idle_since: float | None = -math.inf  # None while somebody listens
        self._tick = now  # the point of the grid that the latest poll belongs to
        self._missing = 0  # answers in a row that said the topic does not exist
        self._not_modified = 0  # answers in a row for which we have only the upstream's word

    def __repr__(self) -> str:
        return f"<Topic {self.state}, {self._listeners} listening, next poll {self.next_poll_at}>"

    def is_wanted(self, now: float) -> bool:
        """Whether the topic is to be polled at all: somebody listens or did so a moment ago, or it is standing."""
        if self._is_standing or self._idle_since is None:
            return True
        return now < self._idle_since + self._terms.linger

    @property
    def is_worthless(self) -> bool:
        """Whether nothing would be lost with it: nobody listens, and there is no document to keep."""
        has_nothing = not self.has_document or self.document is ABSENT
        return has_nothing and self._listeners == 0 and not (self.is_polling or self._is_standing)

    def is_expired(self, now: float) -> bool:
        """Whether the document has been stale for so long that it is no longer served."""
        return self.state == "stale" and self._terms.expire is not None and now >= self.since + self._terms.expire

    def handle(self, event: Happening, *, now: float, chance: float) -> list[Command]:
        """Take note of what happened and return what shall be done, in this order."""
        match event:
            case Joined():
                is_awake = self.is_wanted(now) and not self._is_new  # it is polling, or its timer runs
                self._listeners += 1
                self._idle_since = None
                return [] if is_awake else self._wake_up(now)
            case Left():
                self._listeners -= 1
                if self._listeners == 0:
                    self._idle_since = now
                return []
            case Due():
                return self._poll_or_wait(now) if self.is_wanted(now) else []
            case Answered() | Unchanged() | Missing() | Failed():
                return self._polled(event, now=now, chance=chance)
            case _:
                assert_never(event)

    @property
    def _is_new(self) -> bool:
        return self.next_poll_at is None and not self.is_polling

    def _wake_up(self, now: float) -> list[Command]:
        """Poll a topic that slept, if it is time; from then on by a grid of its own."""
        if self.next_poll_at is None or now >= self.next_poll_at:
            self._tick = now
            self.is_catching_up = True
        return self._poll_or_wait(now)

    def _poll_or_wait(self, now: float) -> list[Command]:
        if self.is_polling:
            return []
        if self.next_poll_at is not None and now < self.next_poll_at:
            return [WakeAt(self.next_poll_at)]
        self.is_polling = True
        self.next_poll_at = None
        return [Poll(conditional=self._not_modified < VERIFY_AFTER)]

    def _polled(self, event: Answered | Unchanged | Missing | Failed, *, now: float, chance: float) -> list[Command]:
        self.is_polling = self.is_catching_up = False
        was = self.state
        commands: list[Command] = []
        match event:
            case Answered():
                commands += self._on_answer(event, now)
            case Unchanged():
                assert self.has_document, "a poll that has nothing to keep has failed before it gets here"
                self._not_modified = self._not_modified + 1 if event.not_modified else 0
                self._confirm("gone" if self.document is ABSENT else "live", now)
            case Missing():
                commands += self._on_missing(event, now)
            case Failed():
                self._on_failure(event, now)
            case _:
                assert_never(event)
        self.next_poll_at = self._next_poll(event, now=now, chance=chance)
        if self.is_wanted(now):
            commands.append(WakeAt(self.next_poll_at))
        if self.state != was or (self.state == "cold" and self.failures == self._terms.stale_after):
            commands.append(Announce())
        return commands

    def _on_answer(self, event: Answered, now: float) -> list[Command]:
        news = self._news(event)  # before anything is believed: it may fail
        self._not_modified = 0
        self._confirm("live", now)
        return news

    def _news(self, event: Answered) -> list[Command]:
        if not self.has_document or isinstance(self.document, Absent):
            return [self._publish(event.document, event.at)]
        difference = compare(self.document, event.document, key=self._terms.key)
        if difference is None:
            return []
        return [self._publish(difference.document, event.at, tuple(difference.patch), difference.keyless)]

    def _on_missing(self, event: Missing, now: float) -> list[Command]:
        self._missing += 1
        if self.has_document and self._missing < GONE_CONFIRMATIONS:
            return []
        self._confirm("gone", now)
        return [] if self.document is ABSENT else [self._publish(ABSENT, event.at)]

    def _on_failure(self, event: Failed, now: float) -> None:
        self.failures += 1
        self.reason = event.reason
        self._missing = 0  # no longer in a row
        if self.state == "live" and self.failures >= self._terms.stale_after:
            self._enter("stale", now)

    def _confirm(self, state: State, now: float) -> None:
        self.failures = 0
        self.reason = None
        if state != "gone":
            self._missing = 0
        self.confirmed_at = now
        self._enter(state, now)

    def _enter(self, state: State, now: float) -> None:
        if state != self.state:
            self.state, self.since = state, now

    def _publish(self, document: Document, at: float, patch: tuple[Operation, ...] = (), keyless: int = 0) -> Append:
        self.document, self.has_document = document, True
        return Append(document, at, patch, keyless)

    def _next_poll(self, event: Answered | Unchanged | Missing | Failed, *, now: float, chance: float) -> float:
        every = self._terms.every
        if isinstance(event, Failed):
            wait = backoff(self.failures, every=every, chance=chance)
            self._tick = now + max(wait, clamp_retry_after(event.retry_after or 0.0))
            return self._tick
        if isinstance(event, Missing) and self.state != "gone":
            return now + min(CONFIRM_AFTER, every)
        self._tick = next_tick(self._tick, now=now, every=every)
        return spread(self._tick, every=every, jitter=self._terms.jitter, chance=chance)
