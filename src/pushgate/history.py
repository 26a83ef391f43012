"""
The bounded log of a topic's latest changes, and what somebody at a cursor has missed.

Rule 1: a cursor is ``E.N.S.H``: the store's epoch, the number of a change, what the cursor is for, and the hash of the
document at that change. It is good if all four agree with this log; anything else is a gap, and a gap is answered with
the whole document: never with silence, never with a part.
Rule 2: the log holds versions and the changes between them, so there is always one version more than changes; the
oldest version is the floor. A number below the floor cannot be continued.
Rule 3: nothing here counts time: old changes leave when a new one comes, never by themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Literal

from .changes import Change, Telling, Version
from .equality import fingerprint
from .patching import Operation
from .values import Document, Event, Mode

# A client may hand back any text as a cursor; longer ones are not ours.
MAX_CURSOR_LENGTH = 128

# Up to this many bytes, whoever is behind gets every change there was rather than their sum.
REPLAY_BYTES = 16 * 1024

Family = Literal["document", "items"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, taken apart; ``parse`` returns None for a text that was never one of ours."""

    epoch: str
    number: int
    scope: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        parts = text.split(".")
        if len(text) > MAX_CURSOR_LENGTH or len(parts) != 4 or not (parts[1].isascii() and parts[1].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}.{self.scope}.{self.digest}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past a topic keeps: changes, bytes of what was told of them, and seconds."""

    events: int
    bytes: int
    age: float


@dataclass(frozen=True, slots=True)
class Replay:
    """
    What brings a cursor up to date.

    ``result`` is a label value of ``pushgate_resumes_total``. ``current`` has no events; ``snapshot`` has one and says
    that the cursor was unknown, or that everything else would have been larger. ``disproved``: a patch that was made
    for this replay failed its proof.
    """

    result: Literal["current", "replayed", "combined", "snapshot"]
    events: tuple[Event, ...] = ()
    disproved: bool = False


class History:
    """The log of one topic. ``scope`` is what its cursors are for: the topic's name and the route's definition."""

    def __init__(self, *, epoch: str, scope: str, limits: Limits, key: str | None) -> None:
        self._epoch = epoch
        self._scopes: dict[Family, str] = {
            "document": fingerprint(f"document\n{scope}".encode()),
            "items": fingerprint(f"items\n{scope}".encode()),
        }
        self._limits = limits
        self._key = key
        self._versions: deque[Version] = deque()  # the floor first
        self._changes: deque[Change] = deque()  # _changes[i] leads from _versions[i] to _versions[i + 1]
        self._weight = 0
        self._combined: dict[tuple[int, Mode], Telling | None] = {}  # of the latest version; emptied when it changes
        self._first: Event | None = None  # likewise

    def __repr__(self) -> str:
        numbers = f"{self._versions[0].number}..{self._versions[-1].number}" if self._versions else "empty"
        return f"<History {numbers}, {self._weight} bytes>"

    @property
    def latest(self) -> Version | None:
        """The current document; None until the first answer was accepted."""
        return self._versions[-1] if self._versions else None

    @property
    def etag(self) -> str:
        """A weak entity tag's text: what the document is for and what it is, not its number, so a restart keeps it."""
        latest = self._head()
        return f"{self._scopes['document']}.{latest.digest}"

    def head(self, mode: Mode) -> str:
        """Return the cursor of the current document, for somebody who follows it in this mode."""
        return self._cursor(self._head(), "items" if mode == "items" else "document")

    def append(self, number: int, *, at: float, document: Document, patch: list[Operation]) -> Change:
        """Log a new document; ``patch`` leads to it from the latest one. Numbers must rise."""
        before = self.latest
        change = Change(before, Version(number, at=at, document=document), patch=patch, key=self._key)
        self._versions.append(change.after)
        self._combined.clear()
        self._first = None
        if before is not None:
            before.forget_snapshot()
            self._changes.append(change)
            self._weight += change.weight
            self._forget_oldest()
        return change

    def event(self, change: Change, mode: Mode) -> Event | None:
        """Return the event that tells a change in a mode; None if it has nothing to say there."""
        telling = change.tell(mode)
        return None if telling is None else self._event(change.after, telling)

    def first(self) -> Event:
        """Return what somebody gets who has no cursor: the whole document, or ``gone``."""
        if self._first is None:
            latest = self._head()
            self._first = self._event(latest, latest.tell())
        return self._first

    def replay(self, cursor: str | None, mode: Mode) -> Replay:
        """Return what a client at this cursor has missed; the log must hold a document."""
        position = None if cursor is None else self._find(cursor, mode)
        if position is None:
            return Replay("snapshot", (self.first(),))
        if position == len(self._changes):
            return Replay("current")
        return self._replay_from(position, mode)

    def _head(self) -> Version:
        assert self._versions, "the caller looks at `latest` first"
        return self._versions[-1]

    def _find(self, text: str, mode: Mode) -> int | None:
        """Return the index of the version that a cursor stands at; None is a gap."""
        cursor = Cursor.parse(text)
        scopes = self._scopes.values() if mode == "items" else [self._scopes["document"]]
        if cursor is None or cursor.scope not in scopes:
            return None
        if cursor.epoch != self._epoch:  # from before a restart: good only if nothing has changed since
            return len(self._changes) if cursor.digest == self._head().digest else None
        index = bisect_right(self._versions, cursor.number, key=lambda version: version.number) - 1
        if index < 0 or self._versions[index].digest != cursor.digest:
            return None
        return index

    def _replay_from(self, index: int, mode: Mode) -> Replay:
        missed = [self._changes[i] for i in range(index, len(self._changes))]
        events = tuple(event for change in missed if (event := self.event(change, mode)))
        if not events:
            return Replay("current")
        size = sum(len(event.data) for event in events)
        if size <= REPLAY_BYTES or size < self._head().size:
            return Replay("replayed", events)
        return self._combine(index, mode)

    def _combine(self, index: int, mode: Mode) -> Replay:
        before, latest = self._versions[index], self._head()
        disproved = False
        if (index, mode) not in self._combined:
            change = Change.between(before, latest, key=self._key)
            self._combined[index, mode] = change.tell(mode)
            disproved = change.disproved
        telling = self._combined[index, mode]
        if telling is None:
            return Replay("current")
        result: Literal["combined", "snapshot"] = "snapshot" if telling.kind == "snapshot" else "combined"
        return Replay(result, (self._event(latest, telling),), disproved)

    def _event(self, version: Version, telling: Telling) -> Event:
        family: Family = "items" if telling.kind == "items" else "document"
        return Event(telling.kind, self._cursor(version, family), version.at, telling.data)

    def _cursor(self, version: Version, family: Family) -> str:
        return str(Cursor(self._epoch, version.number, self._scopes[family], version.digest))

    def _forget_oldest(self) -> None:
        horizon = self._versions[-1].at - self._limits.age
        while len(self._changes) > self._limits.events or (
            self._changes and (self._weight > self._limits.bytes or self._changes[0].after.at < horizon)
        ):
            self._weight -= self._changes.popleft().weight
            self._versions.popleft()
