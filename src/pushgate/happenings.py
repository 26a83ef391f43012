"""
What happens to a topic, and what shall be done about it: the words between ``Topic.handle`` and whoever drives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .documents.changes import Sealed
from .documents.guarding import Doubt
from .documents.patching import Operation
from .values import Document


@dataclass(frozen=True, slots=True)
class News:
    """A document that differs from the one published last; ``patch`` leads to it from there, if there was one."""

    document: Document | Sealed
    patch: tuple[Operation, ...] = ()
    keyless: tuple[str, ...] = ()  # pointers of arrays that had to be compared by index, in spite of ``key``
    keyless_count: int = 0  # of which only the first few are named


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the upstream tells about time: for how long it vouches for its answer, and when that last changed."""

    fresh_for: float | None = None  # seconds from when the answer was read
    modified_at: float | None = None  # since the epoch, by our clock
    ttl: float | None = None  # like fresh_for, but told by the body


UNTOLD = Freshness()

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
class Poked:
    """Somebody knows that there may be news: a write went through. What a poll under way brings is too old."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """An operator wants it to be polled now, also if there is no document yet and polls have been failing."""


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator wants no polls until ``Resumed``."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """There may be polls again; what is due waits for so many seconds, since many topics are woken together."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """
    A poll yielded a document. ``news`` is None if it is the one that is published already.

    ``at``: when it was read, since the epoch. ``doubt``: the guard that it fails. ``is_last``: it makes ``until`` true.
    """

    news: News | None
    at: float
    doubt: Doubt | None = None
    is_last: bool = False
    freshness: Freshness = UNTOLD


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A good poll brought nothing new; ``not_modified`` if we have only the upstream's word for it (304)."""

    not_modified: bool = False
    freshness: Freshness = UNTOLD


@dataclass(frozen=True, slots=True)
class Missing:
    """The upstream says that what the topic names does not exist."""

    at: float
    freshness: Freshness = UNTOLD


@dataclass(frozen=True, slots=True)
class Failed:
    """
    A poll failed. ``retry_after``: what the upstream asked for, or how long it is left alone, in seconds.

    ``was_asked``: whether a request went out; otherwise the upstream has said nothing.
    """

    reason: str
    retry_after: float | None = None
    was_asked: bool = True

    @property
    def is_skipped(self) -> bool:
        """Whether it was left out for the upstream's sake; one that the budget refuses has failed."""
        return not self.was_asked and self.reason != "budget"

    @property
    def is_turned_away(self) -> bool:
        """Whether it did not take place, because an operator has paused its upstream."""
        return not self.was_asked and self.reason == "paused"


@dataclass(frozen=True, slots=True)
class Denied:
    """The upstream no longer shows this to the caller as whom it was asked: 401 or 403."""

    status: int


Outcome: TypeAlias = Answered | Unchanged | Missing | Failed | Denied
Happening: TypeAlias = Joined | Left | Due | Poked | Refreshed | Paused | Resumed | Outcome

# What shall be done about it.


@dataclass(frozen=True, slots=True)
class Poll:
    """Start a poll now; what comes of it is an Outcome."""

    conditional: bool


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Say Due at this time; replaces the timer there was."""

    when: float


@dataclass(frozen=True, slots=True)
class Append:
    """Publish this; ``at``: when it was read, since the epoch."""

    news: News
    at: float


@dataclass(frozen=True, slots=True)
class End:
    """Publish that the document will not change any more."""

    at: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget the document and its history, and send away whoever follows it, with this status."""

    status: int


@dataclass(frozen=True, slots=True)
class Announce:
    """The topic's state changed: tell whoever listens."""


Command: TypeAlias = Poll | WakeAt | Append | End | Drop | Announce
